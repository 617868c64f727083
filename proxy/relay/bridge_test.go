package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// opaque is a connection that does not show that it is a socket.
type opaque struct{ net.Conn }

func (o opaque) CloseWrite() error {
	return o.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// hide hides what the client's connection is. One that has waited in a loop could
// not be used by two goroutines.
func hide(p *Pair) { p.Client = opaque{p.Client} }

// joinHidden makes a session whose client is no socket.
func (r *rig) joinHidden(t testing.TB, setup ...func(*Pair)) *link {
	t.Helper()
	r.mu.Lock()
	r.joined |= 1 // the next one is opened by somebody else
	r.mu.Unlock()
	return r.join(t, append(setup, hide)...)
}

// TestHidden ends sessions whose client is no socket in each way.
func TestHidden(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	hello, bye := masked(textFrame, "hello"), masked(closeFrame, body(1000, "bye"))
	back := unmasked(closeFrame, body(1000, "bye"))

	l := r.joinHidden(t, func(p *Pair) { p.FromClient, p.FromUpstream = hello, unmasked(textFrame, "welcome") })
	l.upstream.bytes(hello)
	l.client.wants(textFrame, "welcome")
	l.client.send(bye)
	l.upstream.bytes(bye)
	l.upstream.send(back)
	l.client.bytes(back)
	l.client.eof()
	l.client.fin()
	l.upstream.eof()
	l.upstream.fin()
	l.end(End{Cause: ClientClosed, Code: 1000, Reason: "bye", Client: sent(1, hello, bye), Upstream: sent(1, unmasked(textFrame, "welcome"), back)})

	l = r.joinHidden(t)
	l.client.fin() // without a Close frame
	l.upstream.eof()
	l.upstream.send(unmasked(textFrame, "still here"))
	l.client.wants(textFrame, "still here")
	l.upstream.fin()
	l.end(End{Cause: ClientLost, Upstream: sent(1, unmasked(textFrame, "still here"))})

	l = r.joinHidden(t)
	l.client.reset()
	l.upstream.eof()
	l.upstream.fin()
	l.end(End{Cause: ClientLost})

	l = r.joinHidden(t)
	l.upstream.reset()
	l.client.wantsClose(1012, "upstream lost")
	l.client.fin()
	if e := l.anyEnd(); e.Cause != UpstreamLost {
		t.Errorf("ended with %+v", e)
	}

	l = r.joinHidden(t)
	l.session.Close(1001, "asked")
	l.client.wantsClose(1001, "asked")
	l.client.fin()
	l.upstream.eof()
	l.upstream.fin()
	l.end(End{Cause: Asked, Code: 1001, Reason: "asked"})

}

// TestHiddenBulk carries large frames both ways at once, byte by byte the same.
func TestHiddenBulk(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	l := r.joinHidden(t)
	random := randomness(t)
	var up, down []byte
	for _, size := range []int{0, 100, 65536, 1 << 20, 3, 200_000, 1 << 20} {
		up = append(up, masked(binaryFrame, payload(random, size))...)
		down = append(down, unmasked(binaryFrame, payload(random, size))...)
	}
	var group sync.WaitGroup
	for _, way := range []struct {
		from, to *peer
		bytes    []byte
	}{{l.client, l.upstream, up}, {l.upstream, l.client, down}} {
		pieces := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		group.Go(func() {
			if err := way.from.sendPieces(pieces, 300_000, way.bytes); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			got := make([]byte, len(way.bytes))
			if _, err := io.ReadFull(way.to.in, got); err != nil || !bytes.Equal(got, way.bytes) {
				t.Errorf("%s: other bytes, %v", way.to.name, err)
			}
		})
	}
	group.Wait()
	l.client.reset()
	l.upstream.eof()
	l.upstream.fin()
	l.anyEnd()
}

// TestHiddenStuck stops the relay while clients that are no sockets take nothing,
// and while they send what nobody takes.
func TestHiddenStuck(t *testing.T) {
	t.Parallel()
	r := startSmall(t, Options{})
	frame := strings.Repeat("x", 8<<20)
	inward := r.joinHidden(t, smallSockets)
	setBuffers(inward.upstream.conn, smallBuffer)
	inward.client.fill(masked(binaryFrame, frame))
	outward := r.joinHidden(t, smallSockets)
	setBuffers(outward.client.conn, smallBuffer)
	outward.upstream.fill(unmasked(binaryFrame, frame))
	r.stop()
	for _, l := range []*link{inward, outward} {
		if e := l.anyEnd(); e.Cause != Aborted {
			t.Errorf("ended with %+v", e)
		}
		l.client.readOut()
	}
}

// readOut reads what is left up to the end of the connection.
func (p *peer) readOut() {
	if _, err := io.Copy(io.Discard, p.in); errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("%s: the connection has not ended", p.name)
	}
}

// TestHiddenLosesWhoTakesNothing ends a session whose client takes nothing for the
// write time-out.
func TestHiddenLosesWhoTakesNothing(t *testing.T) {
	t.Parallel()
	r := startSmall(t, Options{WriteTimeout: 300 * time.Millisecond, CloseWait: 300 * time.Millisecond})
	l := r.joinHidden(t, smallSockets)
	setBuffers(l.client.conn, smallBuffer)
	var group sync.WaitGroup
	group.Go(func() { _, _ = l.upstream.conn.Write(unmasked(binaryFrame, strings.Repeat("x", 8<<20))) })
	if e := l.anyEnd(); e.Cause != ClientStalled {
		t.Errorf("ended with %+v", e)
	}
	group.Wait()
	l.client.readOut()
}

// TestHiddenTooLate joins a client that is no socket when the relay has stopped.
func TestHiddenTooLate(t *testing.T) {
	r := start(t, Options{})
	client, upstream, p := r.pairUp(t)
	hide(&p)
	r.stop()
	if s, err := r.relay.Join(p); s != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("join: %v, %v", s, err)
	}
	client.gone()
	upstream.gone()
}

// TestDetached takes a connection out of the loops. Several goroutines may use it
// then, and deadlines hold for calls under way.
func TestDetached(t *testing.T) {
	t.Parallel()
	r := start(t, Options{}, scheme{client: tls.VersionTLS13})
	for _, name := range []string{"accepted by the relay", "accepted elsewhere"} {
		t.Run(name, func(t *testing.T) {
			c, _, p := r.pairUp(t)
			defer p.Upstream.Close()
			near := p.Client.(*tls.Conn)
			defer near.Close()
			if err := Detach(near); err != nil {
				t.Fatal(err)
			}
			read := make(chan error, 1)
			go func() {
				_, err := near.Read(make([]byte, 1))
				read <- err
			}()
			const text = "written while somebody reads"
			if _, err := io.WriteString(near, text); err != nil {
				t.Fatal(err)
			}
			c.bytes([]byte(text))
			_ = near.SetReadDeadline(time.Unix(1, 0))
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			_ = near.SetReadDeadline(time.Time{})
			c.send([]byte("and back"))
			got := make([]byte, 8)
			if _, err := io.ReadFull(near, got); err != nil || string(got) != "and back" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
