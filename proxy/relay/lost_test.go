package relay

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

// waysToGo are how a connection ends without a Close frame.
var waysToGo = map[string]func(*peer){
	"fin":           (*peer).fin,
	"close":         func(p *peer) { p.conn.Close() },
	"reset":         (*peer).reset,
	"only tcp ends": func(p *peer) { _ = p.conn.tcp.CloseWrite() },
}

func eachWayToGo(t *testing.T, f func(t *testing.T, leave func(*peer))) {
	for name, leave := range waysToGo {
		t.Run(name, func(t *testing.T) { f(t, leave) })
	}
}

func TestUpstreamLostBetweenFrames(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamLostBetweenFrames)
}

func testUpstreamLostBetweenFrames(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		l := r.join(t)
		hello, frames := masked(textFrame, "hello"), [][]byte{unmasked(textFrame, "one"), unmasked(textStart, "in a fragmented message")}
		l.client.send(hello)
		l.upstream.bytes(hello)
		l.upstream.send(frames...)
		l.client.bytes(frames...)
		leave(l.upstream)
		l.client.wantsClose(1012, "upstream lost")
		echo := masked(closeFrame, body(1012, ""))
		l.client.send(echo)
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamLost, Client: sent(1, hello, echo), Upstream: sent(1, frames...)})
	})
}

// All that came before the loss is delivered, in whatever it came.
func TestUpstreamLostBehindData(t *testing.T) { eachScheme(t, plainAndTLS, testUpstreamLostBehindData) }

func testUpstreamLostBehindData(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	l := r.join(t)
	large := unmasked(binaryFrame, payload(randomness(t), 700_000))
	go func() {
		_, _ = l.upstream.conn.Write(large)
		l.upstream.conn.Close()
	}()
	l.client.bytes(large)
	l.client.wantsClose(1012, "upstream lost")
	l.hangUp()
	l.end(End{Cause: UpstreamLost, Upstream: sent(1, large)})
}

// A frame that will never be whole cannot be followed by a Close frame.
func TestUpstreamLostInsidePayload(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamLostInsidePayload)
}

func testUpstreamLostInsidePayload(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		for _, payloadSeen := range []int{0, 1, 999} {
			l := r.join(t)
			frame := unmasked(binaryFrame, payload(randomness(t), 1000))
			part := frame[:len(frame)-1000+payloadSeen]
			l.upstream.send(part)
			l.client.bytes(part)
			leave(l.upstream)
			l.client.eof()
			l.hangUp()
			l.end(End{Cause: UpstreamLost, Upstream: sent(1, part)})
		}
	})
}

// Bytes of a header or of a control frame that is not whole have not been
// passed on, so the client still stands between two frames.
func TestUpstreamLostInsideHeader(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamLostInsideHeader)
}

func testUpstreamLostInsideHeader(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		before, ping := unmasked(textFrame, "before"), unmasked(pingFrame, "payload")
		bye := unmasked(closeFrame, body(1000, "reason"))
		medium, large := header(binaryFrame, 1000, nil), header(binaryFrame, 100_000, nil)
		for _, part := range [][]byte{before[:1], medium[:2], medium[:3], large[:2], large[:9], ping[:1], ping[:2], ping[:8], bye[:2], bye[:9]} {
			l := r.join(t)
			l.upstream.send(before, part)
			l.client.bytes(before)
			leave(l.upstream)
			l.client.wantsClose(1012, "upstream lost")
			l.hangUp()
			l.end(End{Cause: UpstreamLost, Upstream: sent(1, before, part)})
		}
	})
}

// The loss waits in line behind what the client has not read yet.
func TestUpstreamLostWhileClientDoesNotRead(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamLostWhileClientDoesNotRead)
}

func testUpstreamLostWhileClientDoesNotRead(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	random := randomness(t)
	l := r.joinSmall(t)
	var frames [][]byte
	for range 40 {
		frames = append(frames, unmasked(binaryFrame, payload(random, 30_000)))
	}
	rest := l.upstream.fill(bytes.Join(frames, nil))
	go func() {
		_, _ = l.upstream.conn.Write(rest)
		_ = l.upstream.conn.CloseWrite()
	}()
	l.client.bytes(frames...)
	l.client.wantsClose(1012, "upstream lost")
	l.hangUp()
	l.end(End{Cause: UpstreamLost, Upstream: sent(40, frames...)})
}

// A reset destroys what the upstream's kernel still had; the client gets the
// bytes up to there, and a Close frame only if they end with a frame.
func TestUpstreamResetWhileClientDoesNotRead(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamResetWhileClientDoesNotRead)
}

func testUpstreamResetWhileClientDoesNotRead(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	l := r.joinSmall(t)
	frame := unmasked(binaryFrame, payload(randomness(t), 30_000))
	flood := bytes.Repeat(frame, 40)
	l.upstream.fill(flood)
	l.upstream.reset()
	got, err := io.ReadAll(l.client.in)
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	goodBye := unmasked(closeFrame, body(1012, "upstream lost"))
	if whole := bytes.TrimSuffix(got, goodBye); len(whole) < len(got) {
		if len(whole)%len(frame) != 0 {
			t.Errorf("close frame behind %d bytes of frames of %d", len(whole), len(frame))
		}
		got = whole
	} else if len(got)%len(frame) == 0 {
		t.Errorf("no close frame behind %d whole frames", len(got)/len(frame))
	}
	if !bytes.HasPrefix(flood, got) {
		t.Error("the client got other bytes than were sent")
	}
	l.hangUp()
	if e := l.anyEnd(); e.Cause != UpstreamLost {
		t.Errorf("ended with %+v", e)
	}
}

// The upstream shall see that the client is gone, not that it said good-bye.
func TestClientLost(t *testing.T) { eachScheme(t, plainAndTLS, testClientLost) }

func testClientLost(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		frame := masked(binaryFrame, payload(randomness(t), 1000))
		ping := masked(pingFrame, "payload")
		for _, part := range [][]byte{nil, frame[:1], frame[:8], ping[:7], masked(closeFrame, body(1000, "reason"))[:9]} {
			l := r.join(t)
			hello := masked(textFrame, "hello")
			l.client.send(hello, part)
			l.upstream.bytes(hello)
			if len(part) == 8 { // a whole header
				l.upstream.bytes(part)
			}
			leave(l.client)
			l.upstream.eof()
			l.hangUp()
			messages := uint64(1)
			if len(part) == 8 {
				messages++
			}
			l.end(End{Cause: ClientLost, Client: sent(messages, hello, part)})
		}
	})
}

func TestClientLostInsidePayload(t *testing.T) {
	eachScheme(t, plainAndTLS, testClientLostInsidePayload)
}

func testClientLostInsidePayload(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		l := r.join(t)
		part := masked(binaryFrame, payload(randomness(t), 100_000))[:60_000]
		l.client.send(part)
		l.upstream.bytes(part)
		leave(l.client)
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: ClientLost, Client: sent(1, part)})
	})
}

func TestClientLostWhileUpstreamDoesNotRead(t *testing.T) {
	eachScheme(t, plainAndTLS, testClientLostWhileUpstreamDoesNotRead)
}

func testClientLostWhileUpstreamDoesNotRead(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	random := randomness(t)
	l := r.joinSmall(t)
	var frames [][]byte
	for range 40 {
		frames = append(frames, masked(binaryFrame, payload(random, 30_000)))
	}
	rest := l.client.fill(bytes.Join(frames, nil))
	go func() {
		_, _ = l.client.conn.Write(rest)
		_ = l.client.conn.CloseWrite()
	}()
	l.upstream.bytes(frames...)
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientLost, Client: sent(40, frames...)})
}

// A client that ends only its own stream still gets what the upstream says.
func TestHalfClosedClient(t *testing.T) { eachScheme(t, plainAndTLS, testHalfClosedClient) }

func testHalfClosedClient(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	l.client.fin()
	l.upstream.eof()
	last, bye := unmasked(binaryFrame, payload(randomness(t), 100_000)), unmasked(closeFrame, body(1001, "you left"))
	l.upstream.send(last, bye)
	l.client.bytes(last, bye)
	l.client.eof()
	l.upstream.fin()
	l.end(End{Cause: ClientLost, Upstream: sent(1, last, bye)})
}

// An upstream that has no more to say to a client that is gone is not to blame.
func TestUpstreamFollowsLostClient(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamFollowsLostClient)
}

func testUpstreamFollowsLostClient(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	l.client.fin()
	l.upstream.eof()
	last := unmasked(textFrame, "last")
	l.upstream.send(last)
	l.upstream.fin()
	l.client.bytes(last)
	l.client.wantsClose(1001, "")
	l.client.eof()
	l.end(End{Cause: ClientLost, Upstream: sent(1, last)})
}

// An upstream that keeps its side open does not keep the session.
func TestSilentUpstreamOfLostClient(t *testing.T) {
	eachScheme(t, plainAndTLS, testSilentUpstreamOfLostClient)
}

func testSilentUpstreamOfLostClient(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 50 * time.Millisecond}, over).join(t)
	l.client.conn.Close()
	l.upstream.eof()
	l.end(End{Cause: ClientLost})
	l.upstream.gone()
}

// A client that resets while the upstream floods it ends the session as soon as
// the upstream has ended too.
func TestClientResetUnderFlood(t *testing.T) { eachScheme(t, plainAndTLS, testClientResetUnderFlood) }

func testClientResetUnderFlood(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	l := r.joinSmall(t)
	rest := l.upstream.fill(bytes.Repeat(unmasked(binaryFrame, payload(randomness(t), 30_000)), 40))
	l.client.reset()
	l.upstream.eof()
	if _, err := l.upstream.conn.Write(rest); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what is left of the flood: %v", err)
	}
	l.upstream.conn.Close()
	if e := l.anyEnd(); e.Cause != ClientLost {
		t.Errorf("ended with %+v", e)
	}
}
