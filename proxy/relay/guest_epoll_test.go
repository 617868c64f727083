//go:build linux && !portable

package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A guest is heard once, and can be read to where it has stopped. What it says later
// waits.
func TestGuestIsHeardOnce(t *testing.T) {
	r := startGuests(t, Options{})
	var heard atomic.Int32
	said := make(chan string, 2)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if heard.Add(1) > 1 {
				return
			}
			first, err := takeAll(g.Read, 2)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			if n, err := g.Read(make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("read of nothing: %d, %v", n, err)
			}
			said <- first
			if err := g.Ask(&Question{r.upstream(), []byte("well?"), patience, patience}); err != nil {
				t.Errorf("ask: %v", err)
				g.Close()
			}
		},
		Answered: func(g *Guest) {
			later, rest, err := takeLine(g.Read)
			if rest != "" || err != nil {
				t.Errorf("read: %q, %v", rest, err)
			}
			said <- later
			g.Close()
		},
	})
	c := visit(t, door)
	c.send([]byte("hello"))
	if s := await(t, said); s != "hello" {
		t.Errorf("heard %q", s)
	}
	u := r.wantsQuestion(t, "well?")
	c.send([]byte("all "))
	c.send([]byte("the rest\n"))
	u.send([]byte("so."))
	if s := await(t, said); s != "all the rest" {
		t.Errorf("later %q", s)
	}
	c.gone()
	if n := heard.Load(); n != 1 {
		t.Errorf("heard %d times", n)
	}
}

// Each of many guests is heard once, and they are spread over the loops.
func TestGuestsAreSpread(t *testing.T) {
	const loops, guests = 3, 60
	r := startGuests(t, Options{Loops: loops})
	type news struct {
		client netip.AddrPort
		said   string
		loop   *loop
	}
	heard := make(chan news, 2*guests)
	door := r.receive(t, Reception{Heard: func(g *Guest) {
		line, rest, err := takeLine(g.Read)
		if rest != "" || err != nil {
			t.Errorf("behind the line %q, %v", rest, err)
		}
		heard <- news{g.Client(), line, g.loop}
		g.Close()
	}})
	want := make(map[netip.AddrPort]string)
	var all []*peer
	for i := range guests {
		c := visit(t, door)
		want[c.own()] = fmt.Sprint("guest ", i)
		c.send([]byte(want[c.own()] + "\n"))
		all = append(all, c)
	}
	in := make(map[*loop]int)
	for range guests {
		n := await(t, heard)
		if n.said == "" || n.said != want[n.client] {
			t.Errorf("%v has said %q, heard was %q", n.client, want[n.client], n.said)
		}
		delete(want, n.client)
		in[n.loop]++
	}
	for _, n := range in {
		if n != guests/loops {
			t.Errorf("%d of %d guests are in one loop of %d", n, guests, loops)
		}
	}
	for _, c := range all {
		c.eof()
	}
	r.stop()
	if n := len(heard); n != 0 {
		t.Errorf("%d were heard twice", n)
	}
}

// The end of what a client says is heard, too, whether it has said something or not.
func TestGuestGoes(t *testing.T) {
	r := startGuests(t, Options{})
	type end struct {
		said string
		err  error
		at   netip.AddrPort
	}
	heard := make(chan end, 1)
	door := r.receive(t, Reception{Heard: func(g *Guest) {
		said, err := takeEnd(g.Read)
		heard <- end{said, err, g.Client()}
		g.Close()
	}})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		for _, words := range []string{"", "bye"} {
			c := visit(t, door)
			address := c.own()
			c.send([]byte(words))
			leave(c)
			got := await(t, heard)
			var failure *net.OpError
			switch {
			case got.err == io.EOF && got.said == words:
			case errors.Is(got.err, syscall.ECONNRESET) && errors.As(got.err, &failure):
				if failure.Op != "read" || failure.Addr.String() != address.String() {
					t.Errorf("error %q, the client is %v", got.err, address)
				}
			default:
				t.Errorf("said %q, heard %q, %v", words, got.said, got.err)
			}
			if got.at != address {
				t.Errorf("client %v is said to be %v", address, got.at)
			}
		}
	})
}

// A guest that is not waited for is heard at once, with nothing.
func TestGuestIsNotWaitedFor(t *testing.T) {
	r := startGuests(t, Options{})
	heard := make(chan string, 1)
	door := r.receive(t, Reception{
		Come: func() time.Duration { return 0 },
		Heard: func(g *Guest) {
			said, err := takeAll(g.Read, 10)
			if left, bounded := g.Left(); bounded || err != nil {
				t.Errorf("%v left, %v; read: %v", left, bounded, err)
			}
			heard <- said
			g.Close()
		},
	})
	c := visit(t, door)
	if s := await(t, heard); s != "" {
		t.Errorf("heard %q", s)
	}
	c.eof()
}

// What is left of a guest's patience is known.
func TestGuestHasTimeLeft(t *testing.T) {
	r := startGuests(t, Options{})
	const whole = 3 * patience
	left := make(chan time.Duration, 1)
	door := r.receive(t, Reception{
		Come: func() time.Duration { return whole },
		Heard: func(g *Guest) {
			d, bounded := g.Left()
			if !bounded {
				t.Error("there is no bound")
			}
			left <- d
			g.Close()
		},
	})
	c := visit(t, door)
	c.send([]byte("x"))
	if d := await(t, left); d > whole+time.Millisecond || d < whole-patience {
		t.Errorf("%v left of %v", d, whole)
	}
	c.gone()
}

// A guest that says nothing is sent away when its time is over, not before.
func TestSilentGuest(t *testing.T) {
	r := startGuests(t, Options{})
	for _, allowed := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		over := make(chan netip.AddrPort, 2)
		door := r.receive(t, Reception{
			Come: func() time.Duration { return allowed },
			Over: func(g *Guest) { over <- g.Client() },
		})
		began := time.Now()
		c := visit(t, door)
		who := await(t, over)
		if waited := time.Since(began); waited < allowed {
			t.Errorf("over after %v of %v", waited, allowed)
		}
		if who != c.own() {
			t.Errorf("over is the time of %v", who)
		}
		c.eof()
		if len(over) > 0 {
			t.Error("its time was over twice")
		}
	}
}

// Guests go in the order in which their time ends, whenever they have come, and those
// who have said something do not go.
func TestSilentGuestsGoInOrder(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	times := []time.Duration{50, 90, 30, 30, 70, 10, 70, 50, 20, 90, 10}
	speaks := map[int]bool{2: true, 6: true, 9: true}
	var mu sync.Mutex
	came := 0
	gone := make(chan netip.AddrPort, len(times))
	heard := make(chan netip.AddrPort, len(times))
	allThere := make(chan struct{})
	door := r.receive(t, Reception{
		Room: func() bool { <-allThere; return true }, // they come in one turn of the loop
		Come: func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			came++
			return times[came-1] * time.Millisecond
		},
		Heard: func(g *Guest) { heard <- g.Client(); g.Close() },
		Over:  func(g *Guest) { gone <- g.Client() },
	})
	var clients []*peer
	var order []int // of those who are silent
	for i := range times {
		c := visit(t, door)
		if clients = append(clients, c); speaks[i] {
			c.send([]byte("hello"))
		} else {
			order = append(order, i)
		}
	}
	close(allThere)
	slices.SortStableFunc(order, func(i, k int) int { return int(times[i] - times[k]) })
	for place, i := range order {
		if who := await(t, gone); who != clients[i].own() {
			t.Errorf("at place %d goes %v, not the %dth guest", place, who, i)
		}
	}
	for range speaks {
		await(t, heard)
	}
	for _, c := range clients {
		c.gone()
	}
}

// Once it has said something, a guest's patience is of no account.
func TestHeardGuestStays(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const short = 100 * time.Millisecond
	heard, over, answered := make(chan bool, 1), make(chan netip.AddrPort, 2), make(chan bool, 1)
	said := make(chan struct{})
	door := r.receive(t, Reception{
		Room: func() bool { <-said; return true }, // it is not late
		Come: func() time.Duration { return short },
		Heard: func(g *Guest) {
			if err := g.Ask(&Question{r.upstream(), []byte("well?"), patience, patience}); err != nil {
				t.Errorf("ask: %v", err)
			}
			heard <- true
		},
		Answered: func(g *Guest) { g.Close(); answered <- true },
		Over:     func(g *Guest) { over <- g.Client() },
	})
	talks := visit(t, door)
	talks.send([]byte("hello"))
	close(said)
	await(t, heard)
	u := r.wantsQuestion(t, "well?")
	silent := visit(t, door) // it has come later, and waits as long
	if who := await(t, over); who != silent.own() {
		t.Errorf("over is the time of %v", who)
	}
	silent.eof()
	u.send([]byte("x"))
	await(t, answered)
	talks.gone()
	if len(over) > 0 {
		t.Error("a guest's time was over that has said something")
	}
}
