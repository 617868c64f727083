package relay

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// warmUp sends large frames, so that the relay treats the direction as one of
// large frames from then on, and reads them.
func warmUp(from, to *peer, random *rand.Rand) []byte {
	from.t.Helper()
	var frames []byte
	for range 8 {
		frames = append(frames, from.frameFrom(binaryFrame, payload(random, 200_000))...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := from.conn.Write(frames)
		sent <- err
	}()
	to.bytes(frames)
	if err := <-sent; err != nil {
		from.t.Fatalf("%s: %v", from.name, err)
	}
	return frames
}

// eachWay runs f for the frames of both sides.
func eachWay(t *testing.T, r *rig, f func(t *testing.T, l *link, from, to *peer)) {
	t.Helper()
	t.Run("from client", func(t *testing.T) {
		l := r.join(t)
		f(t, l, l.client, l.upstream)
	})
	t.Run("from upstream", func(t *testing.T) {
		l := r.join(t)
		f(t, l, l.upstream, l.client)
	})
}

// Frames of all sizes between large ones, headers anywhere in a read.
func TestBulkAmongSmallFrames(t *testing.T) { eachScheme(t, everywhere, testBulkAmongSmallFrames) }

func testBulkAmongSmallFrames(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	for range over.times(5) {
		l := r.join(t)
		var frames [2][][]byte
		for d, p := range []*peer{l.client, l.upstream} {
			for range 30 {
				frames[d] = append(frames[d], p.frameFrom(binaryFrame, payload(random, 1+random.IntN(150_000))))
				for range random.IntN(4) {
					first := []byte{textFrame, pingFrame, pongFrame}[random.IntN(3)]
					frames[d] = append(frames[d], p.frameFrom(first, payload(random, random.IntN(126))))
				}
				frames[d] = append(frames[d], p.frameFrom(textStart, payload(random, 20_000)),
					p.frameFrom(pingFrame, ""), p.frameFrom(lastPart, payload(random, random.IntN(40_000))))
			}
		}
		l.talk(random, 1<<20, frames[0], frames[1])
		l.client.reset()
		e := l.anyEndAfter(l.upstream)
		for d, got := range []Traffic{e.Client, e.Upstream} {
			var messages uint64
			for _, f := range frames[d] {
				if f[0] == textFrame || f[0] == binaryFrame || f[0] == lastPart {
					messages++
				}
			}
			if want := sent(messages, frames[d]...); got != want {
				t.Errorf("side %d: counted %+v, want %+v", d, got, want)
			}
		}
	}
}

// The source delivers much at once and the sink takes little.
func TestBulkIntoSmallSocket(t *testing.T) { eachScheme(t, plainAndTLS, testBulkIntoSmallSocket) }

func testBulkIntoSmallSocket(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	random := randomness(t)
	for _, fromClient := range []bool{true, false} {
		l := r.join(t, func(p *Pair) {
			source, sink := p.Upstream, p.Client
			if fromClient {
				source, sink = sink, source
			}
			setBuffers(source, 256<<10)
			setBuffers(sink, smallBuffer)
		})
		from, to := l.upstream, l.client
		if fromClient {
			from, to = to, from
		}
		setBuffers(from.conn, 256<<10)
		setBuffers(to.conn, smallBuffer)
		var frames [][]byte
		const count = 24
		for range count {
			frames = append(frames, from.frameFrom(binaryFrame, payload(random, 100_000+random.IntN(400_000))),
				from.frameFrom(pingFrame, "between"))
		}
		flood := bytes.Join(frames, nil)
		rest := from.fill(flood)
		taken := make(chan error, 1)
		go func() {
			_, err := from.conn.Write(rest)
			taken <- err
		}()
		back := to.frameFrom(textFrame, "still there")
		to.send(back)
		from.bytes(back)
		to.bytes(flood)
		if err := <-taken; err != nil {
			t.Errorf("%s: %v", from.name, err)
		}
		traffic := [2]Traffic{sent(1, back), sent(count, flood)}
		if fromClient {
			traffic[0], traffic[1] = traffic[1], traffic[0]
		}
		l.goodBye(traffic[0], traffic[1])
	}
}

// A frame that stays unfinished is delivered as far as it came, and is followed
// by nothing.
func TestBulkLostInsideFrame(t *testing.T) { eachScheme(t, plainAndTLS, testBulkLostInsideFrame) }

func testBulkLostInsideFrame(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	eachWay(t, r, func(t *testing.T, l *link, from, to *peer) {
		warm := warmUp(from, to, random)
		part := from.frameFrom(binaryFrame, payload(random, 200_000))[:150_000]
		from.send(part)
		to.bytes(part)
		from.reset()
		to.eof()
		e := l.anyEndAfter(to)
		if want := (ClientLost + Cause(from.side())); e.Cause != want {
			t.Errorf("ended with %v, want %v", e.Cause, want)
		}
		if n := e.Client.Bytes + e.Upstream.Bytes; n != uint64(len(warm)+len(part)) {
			t.Errorf("counted %d bytes of %d", n, len(warm)+len(part))
		}
	})
}

func (p *peer) side() side {
	if p.masks {
		return upstream
	}
	return client
}

func TestBulkLostBetweenFrames(t *testing.T) { eachScheme(t, plainAndTLS, testBulkLostBetweenFrames) }

func testBulkLostBetweenFrames(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		l := r.join(t)
		warm := warmUp(l.upstream, l.client, random)
		leave(l.upstream)
		l.client.wantsClose(1012, "upstream lost")
		l.hangUp()
		l.end(End{Cause: UpstreamLost, Upstream: sent(8, warm)})
	})
}

// What stands right behind a large frame is seen for what it is.
func TestBulkBeforeCloseAndOffence(t *testing.T) {
	eachScheme(t, plainAndTLS, testBulkBeforeCloseAndOffence)
}

func testBulkBeforeCloseAndOffence(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	eachWay(t, r, func(t *testing.T, l *link, from, to *peer) {
		warmUp(from, to, random)
		last, bye := from.frameFrom(binaryFrame, payload(random, 200_000)), from.frameFrom(closeFrame, body(1001, "bye"))
		go func() { _, _ = from.conn.Write(append(append([]byte(nil), last...), bye...)) }()
		to.bytes(last, bye)
		l.client.reset()
		if e, want := l.anyEndAfter(l.upstream), ClientClosed+Cause(from.side()); e.Cause != want || e.Code != 1001 {
			t.Errorf("ended with %+v, want %v", e, want)
		}
	})
	eachWay(t, r, func(t *testing.T, l *link, from, to *peer) {
		warmUp(from, to, random)
		last, bad := from.frameFrom(binaryFrame, payload(random, 200_000)), from.frameFrom(0x83, payload(random, 100))
		go func() { _, _ = from.conn.Write(append(append([]byte(nil), last...), bad...)) }()
		to.bytes(last)
		if f := to.frame(); f.first != closeFrame || f.payload[2:] != "reserved opcode" {
			t.Errorf("got %v", f)
		}
		l.client.reset()
		if e, want := l.anyEndAfter(l.upstream), ClientOffence+Cause(from.side()); e.Cause != want {
			t.Errorf("ended with %+v, want %v", e, want)
		}
	})
}

func TestBulkCloseInsideFrame(t *testing.T) { eachScheme(t, plainAndTLS, testBulkCloseInsideFrame) }

func testBulkCloseInsideFrame(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	for range 4 {
		l := r.join(t)
		warmUp(l.upstream, l.client, random)
		frame := unmasked(binaryFrame, payload(random, 200_000))
		cut := 1 + random.IntN(len(frame)-1)
		l.upstream.send(frame[:cut])
		if cut >= 10 {
			l.client.bytes(frame[:cut])
		}
		l.session.Close(1012, "moved")
		l.barrier()
		go func() { _, _ = l.upstream.conn.Write(append(append([]byte(nil), frame[cut:]...), frame...)) }()
		if cut >= 10 {
			l.client.bytes(frame[cut:])
		}
		l.client.wantsClose(1012, "moved")
		l.client.reset()
		if e := l.anyEndAfter(l.upstream); e.Cause != Asked {
			t.Errorf("ended with %+v", e)
		}
	}
}

// A stuck client and large frames: what is held stays bounded.
func TestBulkClientStalls(t *testing.T) { eachScheme(t, plainAndTLS, testBulkClientStalls) }

func testBulkClientStalls(t *testing.T, over scheme) {
	r := startSmall(t, Options{WriteTimeout: 300 * time.Millisecond}, over)
	l := r.join(t, func(p *Pair) { setBuffers(p.Client, smallBuffer) })
	setBuffers(l.client.conn, smallBuffer)
	go func() {
		_, _ = l.upstream.conn.Write(bytes.Repeat(unmasked(binaryFrame, payload(randomness(l.t), 1_000_000)), 6))
		_ = l.upstream.conn.CloseWrite()
	}()
	l.upstream.eof()
	if e := l.anyEnd(); e.Cause != ClientStalled {
		t.Errorf("ended with %+v", e)
	}
}

// A reset on the way of large frames is seen as the loss it is.
func TestBulkIntoReset(t *testing.T) { eachScheme(t, plainAndTLS, testBulkIntoReset) }

func testBulkIntoReset(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	eachWay(t, r, func(t *testing.T, l *link, from, to *peer) {
		warmUp(from, to, random)
		flood := bytes.Repeat(from.frameFrom(binaryFrame, payload(random, 300_000)), 30)
		done := make(chan struct{})
		go func() {
			_, _ = from.conn.Write(flood)
			close(done)
		}()
		to.bytes(flood[:1_000_000])
		to.reset()
		if to == l.client {
			from.gone() // the client is lost: the plain end
		} else {
			from.wantsClose(1012, "upstream lost")
		}
		from.conn.Close()
		<-done
		if e, want := l.anyEnd(), ClientLost+Cause(to.side()); e.Cause != want {
			t.Errorf("ended with %+v, want %v", e, want)
		}
	})
}
