//go:build linux && !portable

package relay

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

const lastWord = "we are closed\n"

// refusesAll is a door whose guests are refused when they are heard, unread. over
// is told of each that has gone.
func (r *rig) refusesAll(t *testing.T, grace time.Duration, most int) (come func() *peer, over chan netip.AddrPort) {
	t.Helper()
	over = make(chan netip.AddrPort, 8)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) { g.Refuse([]byte(lastWord), grace, most) },
		Over:  func(g *Guest) { over <- g.Client() },
	})
	return func() *peer { return visit(t, door) }, over
}

// A guest that is refused gets its last word and the end of the stream, whatever it
// has sent that nobody read, and whatever it goes on sending. It is closed once it ends.
func TestGuestIsRefused(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	come, over := r.refusesAll(t, patience, 8<<20)
	for _, size := range []int{1, 100, 1 << 20} {
		c := come()
		c.send([]byte(strings.Repeat("x", size)))
		c.bytes([]byte(lastWord))
		c.eof()
		c.send([]byte(strings.Repeat("y", size)))
		if len(over) > 0 {
			t.Error("it was closed before its end")
		}
		c.fin()
		if who := await(t, over); who != c.own() {
			t.Errorf("over is %v", who)
		}
	}
}

// A guest that had ended its stream before is closed when it has got its last word.
func TestEndedGuestIsRefused(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	come, over := r.refusesAll(t, patience, 1<<20)
	goOn := r.stall(0)
	c := come()
	c.send([]byte("hello"))
	c.fin()
	goOn()
	c.bytes([]byte(lastWord))
	c.eof()
	await(t, over)
}

// A guest that does not go is closed when its grace is over, and not before.
func TestRefusedGuestStays(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	for _, grace := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond} {
		come, over := r.refusesAll(t, grace, 1<<20)
		began := time.Now()
		c := come()
		c.send([]byte("hello"))
		c.bytes([]byte(lastWord))
		await(t, over)
		if took := time.Since(began); took < grace {
			t.Errorf("closed after %v of %v", took, grace)
		}
		c.gone()
	}
}

// A guest that has no grace is closed with its last word.
func TestGuestIsRefusedAtOnce(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	told, over := make(chan bool, 1), make(chan bool, 1)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if _, err := takeAll(g.Read, 64); err != nil {
				t.Errorf("read: %v", err)
			}
			g.Refuse([]byte(lastWord), 0, 1<<20)
			if len(over) == 0 {
				t.Error("it is not over when Refuse returns")
			}
			told <- true
		},
		Over: func(*Guest) { over <- true },
	})
	c := visit(t, door)
	c.send([]byte("hello"))
	await(t, told)
	c.bytes([]byte(lastWord))
	c.eof()
}

// A guest that sends on and on is closed after so many bytes, and one that resets its
// connection at once.
func TestRefusedGuestSendsOn(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	come, over := r.refusesAll(t, time.Hour, 1<<20)
	c := come()
	for {
		if _, err := c.conn.Write(make([]byte, 64<<10)); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("send: %v", err)
			}
			break
		}
	}
	await(t, over)
	c = come()
	c.send([]byte("hello"))
	c.bytes([]byte(lastWord))
	c.reset()
	await(t, over)
}

// Who can be asked for no more can be refused.
func TestFailedGuestIsRefused(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	over := make(chan bool, 1)
	nobody := r.nobodyThere(t)
	refuse := func(g *Guest) { g.Refuse([]byte(lastWord), patience, 1<<20) }
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if _, _, err := takeLine(g.Read); err != nil {
				t.Errorf("read: %v", err)
			}
			if g.Ask(&Question{nobody, []byte("well?"), patience, patience}) != nil {
				refuse(g)
			}
		},
		Failed: func(g *Guest, _ bool, _ error) { refuse(g) },
		Over:   func(*Guest) { over <- true },
	})
	c := visit(t, door)
	c.send([]byte("hello\n"))
	c.bytes([]byte(lastWord))
	c.eof()
	c.fin()
	await(t, over)
}

// An upstream that was asked is hung up on when its client is refused.
func TestAskingGuestIsRefused(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	over := make(chan bool, 1)
	door := r.receive(t, Reception{
		Heard:    func(g *Guest) { r.askFrom(t, g, r.upstream()) },
		Answered: func(g *Guest) { g.Refuse([]byte(lastWord), patience, 1<<20) },
		Over:     func(*Guest) { over <- true },
	})
	c := visit(t, door)
	c.send([]byte("hello\n"))
	u := r.wantsQuestion(t, "well?")
	u.send([]byte("no"))
	u.gone()
	c.bytes([]byte(lastWord))
	c.eof()
	c.fin()
	await(t, over)
}

// A request that comes in pieces is heard piece by piece, until it is whole.
func TestGuestIsHeardInPieces(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	pieces, whole := make(chan string, 16), make(chan string, 1)
	var got string
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			more, err := takeAll(g.Read, 3)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			if got += more; strings.HasSuffix(got, "\n") {
				whole <- got
				g.Close()
				return
			}
			pieces <- more
		},
		Late: func(*Guest) { t.Error("it was late") },
	})
	c := visit(t, door)
	for _, piece := range []string{"h", "ello, ", "who is", " there"} {
		c.send([]byte(piece))
		for heard := ""; heard != piece; {
			if heard += await(t, pieces); len(heard) > len(piece) {
				t.Fatalf("heard %q for %q", heard, piece)
			}
		}
	}
	c.send([]byte("?\n"))
	if s := await(t, whole); s != "hello, who is there?\n" {
		t.Errorf("heard %q", s)
	}
	c.gone()
}

// A request that is not whole in time is late, also if each of its pieces was not; and
// one whose last piece has come while the loop stood still is not.
func TestLateGuest(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const allowed = time.Second
	heard, over := make(chan string, 64), make(chan string, 64)
	door := r.receive(t, Reception{
		Come: func() time.Duration { return allowed },
		Heard: func(g *Guest) {
			more, err := takeAll(g.Read, 64)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			said, _ := g.Tag.(string)
			said += more
			if g.Tag = said; strings.HasSuffix(said, "\n") {
				g.Close()
				heard <- said
				return
			}
			heard <- said
		},
		Late: func(g *Guest) {
			if said, _ := g.Tag.(string); said == "tell me" {
				g.Refuse([]byte(lastWord), patience, 1<<20)
			}
		},
		Over: func(g *Guest) {
			said, _ := g.Tag.(string)
			over <- said
		},
	})
	began := time.Now()
	told, untold := visit(t, door), visit(t, door)
	told.send([]byte("tell "))
	untold.send([]byte("he"))
	await(t, heard)
	await(t, heard)
	told.send([]byte("me"))
	await(t, heard)
	if said := await(t, over); said != "he" {
		t.Errorf("over is who has said %q", said)
	}
	if took := time.Since(began); took < allowed {
		t.Errorf("over after %v of %v", took, allowed)
	}
	untold.eof()
	told.bytes([]byte(lastWord))
	told.eof()
	told.fin()
	if said := await(t, over); said != "tell me" {
		t.Errorf("over is who has said %q", said)
	}

	inTime, late := visit(t, door), visit(t, door)
	inTime.send([]byte("hel"))
	late.send([]byte("hel"))
	await(t, heard)
	await(t, heard)
	goOn := r.stall(allowed)
	inTime.send([]byte("lo\n"))
	late.send([]byte("lo"))
	goOn()
	got := map[string]bool{await(t, heard): true, await(t, heard): true}
	if !got["hello\n"] || !got["hello"] {
		t.Errorf("heard %v", got)
	}
	if said := await(t, over); said != "hello" {
		t.Errorf("over is who has said %q", said)
	}
	inTime.gone()
	late.gone()
}

// Guests that were refused, and those whose requests are not whole, are seen off by a stop.
func TestStopMeetsRefusedGuests(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	const each = 6
	over, heard := make(chan bool, 2*each), make(chan bool, 2*each)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			said, err := takeAll(g.Read, 64)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			if said == "refuse" {
				g.Refuse([]byte(lastWord), time.Hour, 1<<20)
			}
			heard <- true
		},
		Over: func(*Guest) { over <- true },
	})
	var far []*peer
	for range each {
		for _, word := range []string{"refuse", "wait"} {
			c := visit(t, door)
			c.send([]byte(word))
			await(t, heard)
			if word == "refuse" {
				c.bytes([]byte(lastWord))
				c.eof()
			}
			far = append(far, c)
		}
	}
	r.stop()
	for range 2 * each {
		await(t, over)
	}
	for _, c := range far {
		c.gone()
	}
}
