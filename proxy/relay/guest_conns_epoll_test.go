//go:build linux && !portable

package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// handedOver is what a guest becomes that is handed over.
type handedOver struct {
	client, upstream net.Conn
	loop             *loop
}

// over hands a guest over.
func (r *rig) over(to chan<- handedOver, g *Guest) {
	toClient, toUpstream := g.Conns()
	for _, near := range []net.Conn{toClient, toUpstream} {
		if near != nil {
			_ = near.SetDeadline(time.Now().Add(patience))
		}
	}
	to <- handedOver{toClient, toUpstream, g.loop}
}

// carries joins connections that were handed over, and checks the session.
func (r *rig) carries(t testing.TB, h handedOver, c, u *peer) {
	t.Helper()
	o := r.expect(t)
	o.client, o.upstream = c, u
	r.carry(o.link, Pair{Client: h.client, Upstream: h.upstream, Ended: o.note})
	if o.session.s.loop != h.loop {
		t.Error("the session is not in the loop of the guest")
	}
	o.exchange()
	if n := r.parked(); n != 0 {
		t.Errorf("%d connections still wait", n)
	}
}

// wantsRead reads what must be exactly this.
func wantsRead(t testing.TB, near net.Conn, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if n, err := io.ReadFull(near, p); string(p) != want {
		t.Errorf("read %q, %v, want %q", p[:n], err, want)
	}
}

// wantsLate checks that a read waits for so long, and no longer.
func wantsLate(t testing.TB, near net.Conn, wait time.Duration) {
	t.Helper()
	began := time.Now()
	_ = near.SetReadDeadline(began.Add(wait))
	n, err := near.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %d, %v", n, err)
	}
	if waited := time.Since(began); waited < wait {
		t.Errorf("read waited %v of %v", waited, wait)
	}
	_ = near.SetReadDeadline(time.Now().Add(patience))
}

// A guest that has only been heard is handed over, however much of what it has said was
// read. Its connection is like others, and can be joined.
func TestGuestIsHandedOver(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	const words = "some words"
	for _, come := range []time.Duration{0, patience} {
		for _, ahead := range []int{0, 4, len(words), 100} {
			over := make(chan handedOver, 1)
			read := make(chan string, 1)
			door := r.receive(t, Reception{
				Come: func() time.Duration { return come },
				Heard: func(g *Guest) {
					p := make([]byte, ahead)
					n := 0
					if ahead > 0 {
						var err error
						if n, err = g.Read(p); err != nil {
							t.Errorf("read: %v", err)
						}
					}
					read <- string(p[:n])
					r.over(over, g)
				},
			})
			c := visit(t, door)
			c.send([]byte(words))
			before, h := await(t, read), await(t, over)
			if h.upstream != nil {
				t.Errorf("there is an upstream: %v", h.upstream)
			}
			if a := h.client.RemoteAddr().String(); a != c.own().String() {
				t.Errorf("the client is at %s, not at %v", a, c.own())
			}
			wantsRead(t, h.client, words[len(before):])
			wantsLate(t, h.client, 20*time.Millisecond)
			c.send([]byte("more"))
			wantsRead(t, h.client, "more")
			if _, err := h.client.Write([]byte("I see")); err != nil {
				t.Errorf("write: %v", err)
			}
			c.bytes([]byte("I see"))
			near, far := r.dial(t, h.client)
			h.upstream = near
			r.carries(t, h, c, newPeer(t, "upstream", true, bare(far)))
		}
	}
}

// A guest that was answered is handed over with both its connections.
func TestAnsweredGuestIsHandedOver(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	const words, answer = "some words", "an answer"
	for _, request := range []string{"well?", string(hugeRequest)} {
		for _, ahead := range []int{0, 2, len(answer), 100} {
			over := make(chan handedOver, 1)
			read := make(chan string, 1)
			door := r.receive(t, Reception{
				Heard: func(g *Guest) {
					if err := g.Ask(&Question{r.upstream(), []byte(request), patience, patience}); err != nil {
						t.Errorf("ask: %v", err)
					}
				},
				Answered: func(g *Guest) {
					p := make([]byte, ahead)
					n := 0
					if ahead > 0 {
						n, _ = g.ReadAnswer(p)
					}
					read <- string(p[:n])
					r.over(over, g)
				},
			})
			c := visit(t, door)
			c.send([]byte(words))
			u := r.wantsQuestion(t, request)
			u.send([]byte(answer))
			before, h := await(t, read), await(t, over)
			if a := h.upstream.RemoteAddr().String(); a != r.upstream().String() {
				t.Errorf("the upstream is at %s", a)
			}
			wantsRead(t, h.client, words)
			wantsRead(t, h.upstream, answer[len(before):])
			for near, far := range map[net.Conn]*peer{h.client: c, h.upstream: u} {
				wantsLate(t, near, 10*time.Millisecond)
				far.send([]byte("more"))
				wantsRead(t, near, "more")
				words := []byte(words)
				if ahead == 0 { // once is enough
					words = hugeRequest
				}
				wrote := background(func() error { _, err := near.Write(words); return err })
				far.bytes(words)
				if err := await(t, wrote); err != nil {
					t.Errorf("write: %v", err)
				}
			}
			r.carries(t, h, c, u)
		}
	}
}

// What was said to a guest's connection and not read when it was handed over goes into
// its session.
func TestGuestIsHandedOverUnread(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	over := make(chan handedOver, 1)
	door := r.receive(t, Reception{
		Heard:    func(g *Guest) { r.askFrom(t, g, r.upstream()) },
		Answered: func(g *Guest) { r.over(over, g) },
	})
	there, back := masked(binaryFrame, noise[:3000]), unmasked(binaryFrame, noise[:3000])
	o := r.expect(t)
	o.client = visit(t, door)
	o.client.send(there)
	o.upstream = r.wantsQuestion(t, "well?")
	o.upstream.send(back)
	h := await(t, over)
	r.carry(o.link, Pair{Client: h.client, Upstream: h.upstream, Ended: o.note})
	o.upstream.bytes(there)
	o.client.bytes(back)
	o.goodBye(sent(1, there), sent(1, back))
}

// A guest whose question has failed is handed over without an upstream, and another one
// is asked as usual.
func TestFailedGuestIsHandedOver(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	for _, address := range []netip.AddrPort{r.nobodyThere(t), deaf(t), r.upstream()} {
		over := make(chan handedOver, 1)
		door := r.receive(t, Reception{
			Heard: func(g *Guest) {
				if err := g.Ask(&Question{address, []byte("well?"), 30 * time.Millisecond, 60 * time.Millisecond}); err != nil {
					r.over(over, g)
				}
			},
			Failed: func(g *Guest, _ bool, _ error) { r.over(over, g) },
		})
		c := visit(t, door)
		c.send([]byte("hello"))
		if address == r.upstream() {
			r.wantsQuestion(t, "well?").gone()
		}
		h := await(t, over)
		if h.upstream != nil {
			t.Errorf("there is an upstream: %v", h.upstream)
		}
		wantsRead(t, h.client, "hello")
		near, far := r.dial(t, h.client)
		h.upstream = near
		r.carries(t, h, c, newPeer(t, "upstream", true, bare(far)))
	}
}

// A client that has gone is found out by whoever it was handed over to.
func TestGoneGuestIsHandedOver(t *testing.T) {
	r := startGuests(t, Options{})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		over := make(chan handedOver, 1)
		door := r.receive(t, Reception{Heard: func(g *Guest) { r.over(over, g) }})
		c := visit(t, door)
		c.send([]byte("bye"))
		leave(c)
		h := await(t, over)
		got, err := io.ReadAll(h.client)
		if err == nil && string(got) != "bye" || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v", got, err)
		}
		if err := h.client.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// Who gets the connections of a guest closes them.
func TestHandedOverIsClosed(t *testing.T) {
	r := startGuests(t, Options{})
	over := make(chan handedOver, 1)
	door := r.receive(t, Reception{
		Heard:    func(g *Guest) { r.askFrom(t, g, r.upstream()) },
		Answered: func(g *Guest) { r.over(over, g) },
	})
	c := visit(t, door)
	c.send([]byte("x"))
	u := r.wantsQuestion(t, "well?")
	u.send([]byte("y"))
	h := await(t, over)
	wantsRead(t, h.client, "x")
	wantsRead(t, h.upstream, "y")
	reading := background(func() error { _, err := h.client.Read(make([]byte, 1)); return err })
	h.client.Close()
	wantsClosed(t, "read", reading)
	c.eof()
	h.upstream.Close()
	u.eof()
	if n := r.parked(); n != 0 {
		t.Errorf("%d connections still wait", n)
	}
}
