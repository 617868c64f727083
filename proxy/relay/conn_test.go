package relay

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// spare is a connection of the relay to the test for which there is no client
// yet, and its far end.
func (r *rig) spare(t testing.TB) (near net.Conn, distant *peer) {
	t.Helper()
	near, tcp := r.dial(t, nil)
	near, f := r.dress(t, upstream, near, tcp)
	t.Cleanup(func() {
		below(near).Close()
		tcp.Close()
	})
	return near, newPeer(t, "upstream", true, f)
}

// eachUpward runs f without TLS to the upstream, and with it.
func eachUpward(t *testing.T, f func(t *testing.T, s scheme)) {
	eachScheme(t, []scheme{plain, wsToWSS, {upstream: tls.VersionTLS12}}, f)
}

// A connection is quiet until its far end does something, whatever that is, and
// however often one asks.
func TestQuiet(t *testing.T) {
	eachUpward(t, func(t *testing.T, s scheme) {
		for name, act := range map[string]func(near net.Conn, far *peer){
			"speaks": func(_ net.Conn, far *peer) { far.send([]byte("x")) },
			"speaks and ends": func(_ net.Conn, far *peer) {
				far.send([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n"))
				far.fin()
			},
			"ends":               func(_ net.Conn, far *peer) { far.fin() },
			"ends without a bye": func(_ net.Conn, far *peer) { _ = far.conn.tcp.CloseWrite() },
			"resets":             func(_ net.Conn, far *peer) { far.reset() },
			"says only goodbye": func(_ net.Conn, far *peer) {
				if c, ok := far.conn.Conn.(*tls.Conn); ok {
					if err := c.CloseWrite(); err != nil {
						far.t.Error(err)
					}
				} else {
					far.fin()
				}
			},
			"is closed here": func(near net.Conn, _ *peer) { below(near).Close() },
		} {
			t.Run(name, func(t *testing.T) {
				r := start(t, Options{}, s)
				near, far := r.spare(t)
				for range 3 {
					if !Quiet(near) {
						t.Fatal("a new connection is not quiet")
					}
				}
				act(near, far)
				if !within(patience, func() bool { return !Quiet(near) }) {
					t.Error("it is still quiet")
				}
			})
		}
	})
}

// What is quiet can be used: nothing was lost and no deadline is left.
func TestQuietHarmsNothing(t *testing.T) {
	eachUpward(t, func(t *testing.T, s scheme) {
		r := start(t, Options{}, s)
		near, far := r.spare(t)
		for i := range 5 {
			if !Quiet(near) {
				t.Fatalf("not quiet after %d rounds", i)
			}
			question, answer := fmt.Sprint("question ", i), fmt.Sprint("answer ", i)
			if _, err := near.Write([]byte(question)); err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			buffer := make([]byte, len(answer))
			go func() {
				_, err := io.ReadFull(near, buffer)
				got <- err
			}()
			far.bytes([]byte(question))
			far.send([]byte(answer))
			if err := <-got; err != nil || string(buffer) != answer {
				t.Fatalf("read %q, %v", buffer, err)
			}
		}
	})
}

// Session tickets come behind the handshake. They are no disturbance, and the
// next connection has the use of them, though nothing was ever said on this one.
func TestQuietTakesTickets(t *testing.T) {
	t.Parallel()
	cache := tls.NewLRUClientSessionCache(1)
	r := startSecured(t, Options{}, upstream, tls.VersionTLS13, func(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
		return secureOver(t, d, version, near, &bed{TCPConn: tcp}, func(near, far *tls.Config) {
			near.ClientSessionCache = cache
			far.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
		})
	})
	near, _ := r.spare(t)
	if !within(patience, func() bool {
		if !Quiet(near) {
			t.Fatal("a ticket is taken for something that was said")
		}
		_, there := cache.Get(serverName)
		return there
	}) {
		t.Fatal("no ticket")
	}
	next, _ := r.spare(t)
	if !next.(*tls.Conn).ConnectionState().DidResume {
		t.Error("the session was not resumed")
	}
}

// A connection that was opened for nobody is joined with a client that lives in
// whatever loop, while its far end speaks all the time.
func TestSpareJoins(t *testing.T) {
	eachUpward(t, func(t *testing.T, s scheme) {
		r := start(t, Options{Loops: 3}, s)
		for range s.times(60) {
			near, distant := r.spare(t)
			if !Quiet(near) {
				t.Fatal("not quiet")
			}
			tcp, accepted := r.connect(t, r.door)
			l := &link{
				t: t, client: newPeer(t, "client", false, bare(tcp)), upstream: distant,
				ended: make(chan End, 1), began: time.Now(),
			}
			const frames = 40
			wrote := make(chan error, 1)
			go func() {
				for i := range frames {
					if _, err := distant.conn.Write(unmasked(textFrame, fmt.Sprint("line ", i))); err != nil {
						wrote <- err
						return
					}
				}
				wrote <- nil
			}()
			r.carry(l, Pair{Client: accepted, Upstream: near, Ended: l.note})
			hello := masked(textFrame, "hello")
			l.client.send(hello)
			l.upstream.bytes(hello)
			var all [][]byte
			for i := range frames {
				line := unmasked(textFrame, fmt.Sprint("line ", i))
				l.client.bytes(line)
				all = append(all, line)
			}
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
			l.goodBye(sent(1, hello), sent(frames, all...))
		}
	})
}
