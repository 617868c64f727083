package relay

import (
	"bytes"
	"testing"
	"time"
)

// A side whose bytes we do not read, because the other side takes none, is not
// silent: its answer to a Ping may be waiting.
func TestBackPressureIsNotSilence(t *testing.T) {
	eachScheme(t, plainAndTLS, testBackPressureIsNotSilence)
}

func testBackPressureIsNotSilence(t *testing.T, over scheme) {
	const interval, timeout = 50 * time.Millisecond, 2 * time.Second
	r := startSmall(t, Options{PingInterval: interval, PingTimeout: timeout}, over)
	// Not the smallest buffers: there the kernel itself may pause for a second.
	const buffer = 64 << 10
	l := r.join(t, func(p *Pair) {
		setBuffers(p.Client, buffer)
		setBuffers(p.Upstream, buffer)
	})
	setBuffers(l.client.conn, buffer)
	setBuffers(l.upstream.conn, buffer)
	frame := unmasked(binaryFrame, payload(randomness(t), 30_000))
	const count = 140
	stop := make(chan struct{})
	talked := chatter(l.client, stop)
	pings := listenForPings(l.upstream)

	rest, blocked := l.upstream.fill(bytes.Repeat(frame, count)), time.Now()
	for time.Since(blocked) < interval+timeout+timeout/2 {
		rest = l.upstream.fill(rest)
	}
	answered := make(chan error, 1)
	go func() { answered <- sendAndAnswer(l.upstream, rest, len(frame), pings) }()
	var asked int
	for i := range count {
		if f := l.client.next(&asked, new(Traffic)); f.payload != string(frame[4:]) {
			t.Fatalf("frame %d: got %v", i, f)
		}
	}
	l.session.Close(1000, "")
	if f := l.client.next(&asked, new(Traffic)); f.first != closeFrame || f.payload != body(1000, "") {
		t.Errorf("client: got %v", f)
	}
	close(stop)
	if err := <-talked; err != nil {
		t.Errorf("client: %v", err)
	}
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Asked {
		t.Errorf("ended with %+v", e)
	}
	if err := <-answered; err != nil {
		t.Errorf("upstream: %v", err)
	}
}

// chatter lets a side be heard without pause.
func chatter(p *peer, stop <-chan struct{}) <-chan error {
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := p.conn.Write(p.frameFrom(pongFrame, "alive")); err != nil {
					done <- err
					return
				}
			case <-stop:
				done <- nil
				return
			}
		}
	}()
	return done
}

// listenForPings reads what a side gets, to the end, and returns the payloads of
// the pings.
func listenForPings(p *peer) <-chan string {
	pings := make(chan string, 1000)
	go func() {
		defer close(pings)
		for {
			f, err := readFrame(p.in)
			if err != nil {
				return
			}
			if f.first == pingFrame {
				pings <- f.payload
			}
		}
	}()
	return pings
}

// sendAndAnswer sends what is left of frames of the given size and answers the
// pings between them, and after them until there are no more.
func sendAndAnswer(p *peer, rest []byte, size int, pings <-chan string) error {
	for first := true; len(rest) > 0; first = false {
		n := size
		if first && len(rest)%size > 0 {
			n = len(rest) % size
		}
		if _, err := p.conn.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		select {
		case ping, ok := <-pings:
			if ok {
				_, _ = p.conn.Write(p.frameFrom(pongFrame, ping))
			}
		default:
		}
	}
	for ping := range pings {
		_, _ = p.conn.Write(p.frameFrom(pongFrame, ping)) // the session may have ended
	}
	return nil
}
