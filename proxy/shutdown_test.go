package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/relay"
)

// endsWithin checks that Run returns in time after its context has ended.
func (r *rig) endsWithin(limit time.Duration) {
	r.t.Helper()
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > limit {
		r.t.Errorf("Run returned after %v", took)
	}
}

// TestShutdown: every client gets a good-bye, nobody new comes in, and Run
// returns as soon as all have answered.
func TestShutdown(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address()})
	const sessions = 50
	var group sync.WaitGroup
	for range sessions {
		c, u := r.open(s)
		group.Go(func() {
			c.wants(closeFrame, status(1001, "shutting down"))
			c.send(masked(closeFrame, status(1001, "")))
			c.eof()
			c.Close()
		})
		group.Go(func() {
			u.wantsClose(1001)
			u.send(plain(closeFrame, status(1001, "")))
			u.eof()
			u.Close()
		})
	}
	r.endsWithin(leeway)
	group.Wait()
	if conn, err := net.Dial("tcp4", r.address); err == nil {
		conn.Close()
		t.Error("a connection was accepted after the end")
	}
	for range sessions {
		r.wantEnd("asked")
	}
	if got := r.Totals(); got.Accepted != sessions || got.Ended != sessions {
		t.Errorf("totals %+v", got)
	}
}

// TestShutdownDeadline: those who do not answer are cut, whatever they hold back.
func TestShutdownDeadline(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Shutdown: Shutdown{Deadline: 2 * soon}, Relay: relay.Options{CloseWait: time.Minute, WriteTimeout: -1}}, member{address: s.address()})
	var mute []*peer
	for range 10 {
		c, u := r.open(s)
		mute = append(mute, c, u)
	}
	stuck, flooder := r.open(s)
	flooder.fill(wave)
	half, _ := r.open(s)
	half.send(masked(binaryFrame, "never ends")[:10])
	r.endsWithin(2*soon + leeway)
	for i := 0; i < len(mute); i += 2 {
		mute[i].wantsClose(1001)
		mute[i].gone()
		mute[i+1].gone()
	}
	flooder.gone()
	stuck.Close()
}

// TestShutdownInFrame is row 56: the good-bye stands behind the frame that is
// half written, or is left out.
func TestShutdownInFrame(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 64<<10)
	for name, ends := range map[string]bool{"the frame ends": true, "the frame does not end": false} {
		t.Run(name, func(t *testing.T) {
			balanced(t)
			s := newAccepter(t)
			deadline, wait := 2*time.Second, 4*soon
			if ends { // it has all the time it needs
				deadline, wait = patience, patience
			}
			r := start(t, Options{Shutdown: Shutdown{Deadline: deadline}, Relay: relay.Options{CloseWait: wait}}, member{address: s.address()})
			c, u := r.open(s)
			whole := plain(binaryFrame, long)
			u.send(whole[:len(whole)/2])
			c.skip(len(whole) / 2)
			r.cancel()
			until(t, "the end to begin", r.stopping.Load)
			if ends {
				u.send(whole[len(whole)/2:])
				c.skip(len(whole) - len(whole)/2)
				c.wants(closeFrame, status(1001, "shutting down"))
				c.send(masked(closeFrame, status(1001, "")))
				u.wantsClose(1001)
			} else {
				c.gone()
			}
			c.Close()
			u.Close()
			r.wantEnd("asked")
		})
	}
}

// TestShutdownInHandshake: a handshake under way when the end begins ends like
// any other, and its session, if there is one, with a good-bye.
func TestShutdownInHandshake(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer string
		want   int
	}{
		{"accepted", good101, 101},
		{"refused", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404},
		{"failed, and nobody else is asked", "nonsense", 502},
		{"never answered", "", 504},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			asked, goOn := make(chan struct{}), make(chan struct{})
			s := newStub(t, func(c *stubConn) {
				if !c.readHead() {
					return
				}
				close(asked)
				if c.await(goOn) && c.reply(row.answer) {
					c.hold()
				}
			})
			other := newAccepter(t)
			limit := patience
			if row.want == 504 {
				limit = 6 * soon
			}
			r := start(t, Options{
				Failover: Failover{HandshakeTimeout: limit}, Shutdown: Shutdown{Deadline: patience},
				Relay: quickClose,
			}, member{address: s.address()}, member{name: "other", address: other.address(), role: pool.Secondary})
			c := r.ask(goodHead)
			<-asked
			late := r.dial()
			silent := r.dial()
			late.say(goodHead[:30])
			until(t, "all to be accepted", func() bool { return r.counters.atGate.Load() == 3 })
			r.cancel()
			until(t, "the end to begin", r.stopping.Load)
			close(goOn)
			if a := c.answer(); a.StatusCode != row.want {
				t.Errorf("got %s, want %d", a.Status, row.want)
			}
			if row.want == 101 {
				// Past the deadline the session ends without a word.
				if f, err := readFrame(c.in); err == nil && (f.first != closeFrame || f.payload != status(1001, "shutting down")) {
					t.Errorf("got %v", f)
				}
			} else {
				c.gone()
			}
			c.Close()
			late.say(goodHead[30:])
			late.refusedBy(t, 503)
			silent.Close()
			r.stop()
			if n := other.conns.Load(); n != 0 {
				t.Errorf("%d attempts elsewhere during the end", n)
			}
		})
	}
}

// brokenListener is a listener whose Accept fails.
type brokenListener struct{ net.Listener }

var errBroken = errors.New("broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

// TestBrokenListener: Run ends in an orderly way and says why.
func TestBrokenListener(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	u := member{address: s.address()}.build(t)
	p, err := New(Options{Upstreams: []*pool.Upstream{u}, Routes: []Route{{Set: set(t, u)}}})
	if err != nil {
		t.Fatal(err)
	}
	var listeners []net.Listener
	for range 2 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
	}
	broken := listeners[1].Addr().String()
	listeners[1] = brokenListener{listeners[1]}
	if err := p.Run(context.Background(), listeners...); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), broken) {
		t.Errorf("Run: %v", err)
	}
	if _, err := net.Dial("tcp4", listeners[0].Addr().String()); err == nil {
		t.Error("the good listener is still open")
	}
}

// TestTwoListeners: both serve the same routes and end together.
func TestTwoListeners(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	u := member{address: s.address()}.build(t)
	p, err := New(Options{Upstreams: []*pool.Upstream{u}, Routes: []Route{{Set: set(t, u)}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var listeners []net.Listener
	for range 2 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, listeners...) }()
	for _, ln := range listeners {
		conn, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, "client", false, conn)
		c.say(goodHead)
		c.upgraded()
		u := s.session()
		echoes(t, c, u, 1)
		c.Close()
		u.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
