package relay

import (
	"bytes"
	"testing"
	"time"
)

// barrier passes a message from the client to the upstream. Requests and bytes
// reach a session on different ways; what is sent behind the barrier is seen by
// a session that has obeyed the requests made before it.
func (l *link) barrier() {
	l.t.Helper()
	f := masked(textFrame, "barrier")
	l.client.send(f)
	l.upstream.bytes(f)
	l.barriers.Bytes += uint64(len(f))
	l.barriers.Messages++
}

func TestCloseBetweenFrames(t *testing.T) { eachScheme(t, plainAndTLS, testCloseBetweenFrames) }

func testCloseBetweenFrames(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	hello := unmasked(textFrame, "hello")
	l.upstream.send(hello)
	l.client.bytes(hello)
	l.session.Close(4003, "moved to primary")
	l.session.Close(4004, "twice is once")
	l.client.wantsClose(4003, "moved to primary")
	// The upstream hears of it from the client, whose last words still pass.
	last, echo := masked(textFrame, "last words"), masked(closeFrame, body(4003, ""))
	l.client.send(last, echo)
	l.upstream.bytes(last, echo)
	bye := unmasked(closeFrame, body(4003, ""))
	l.upstream.send(unmasked(textFrame, "too late"), bye)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: Asked, Code: 4003, Reason: "moved to primary",
		Client: sent(1, last, echo), Upstream: sent(2, hello, unmasked(textFrame, "too late"), bye)})
	l.session.Close(1000, "harmless")
}

// Between the fragments of a message a Close frame is legal.
func TestCloseBetweenFragments(t *testing.T) { eachScheme(t, plainAndTLS, testCloseBetweenFragments) }

func testCloseBetweenFragments(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	part := unmasked(textStart, "to be continued")
	l.upstream.send(part)
	l.client.bytes(part)
	l.session.Close(1012, "")
	l.client.wantsClose(1012, "")
	echo := masked(closeFrame, body(1012, ""))
	l.client.send(echo)
	l.upstream.bytes(echo)
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Asked || e.Code != 1012 || e.Reason != "" {
		t.Errorf("ended with %+v", e)
	}
}

// Bytes of a header that are held back do not keep the Close frame waiting.
func TestCloseInsideHeader(t *testing.T) { eachScheme(t, plainAndTLS, testCloseInsideHeader) }

func testCloseInsideHeader(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	hello, ping := unmasked(textFrame, "hello"), unmasked(pingFrame, "some payload")
	l.upstream.send(hello, ping[:5])
	l.client.bytes(hello)
	l.session.Close(1001, "going")
	l.client.wantsClose(1001, "going")
	l.upstream.send(ping[5:])
	echo := masked(closeFrame, body(1001, ""))
	l.client.send(echo)
	l.upstream.bytes(echo)
	l.client.eof()
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Asked {
		t.Errorf("ended with %+v", e)
	}
}

// A frame that is half sent is finished first.
func TestCloseInsideFrame(t *testing.T) { eachScheme(t, plainAndTLS, testCloseInsideFrame) }

func testCloseInsideFrame(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	frame, next := unmasked(binaryFrame, payload(randomness(t), 1000)), unmasked(textFrame, "not any more")
	for _, pieces := range [][]int{{500}, {500, 999}, {4}, {4, 5, 6, len(frame) - 1}} {
		l := r.join(t)
		seen := 0
		for i, cut := range pieces {
			l.upstream.send(frame[seen:cut])
			l.client.bytes(frame[seen:cut])
			seen = cut
			if i == 0 {
				l.session.Close(1012, "moved")
				l.barrier()
			}
		}
		l.upstream.send(frame[seen:], next)
		l.client.bytes(frame[seen:])
		l.client.wantsClose(1012, "moved")
		echo := masked(closeFrame, body(1012, ""))
		l.client.send(echo)
		l.upstream.bytes(echo)
		l.upstream.send(unmasked(closeFrame, body(1012, "")))
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		if e := l.anyEnd(); e.Cause != Asked || e.Code != 1012 || e.Reason != "moved" {
			t.Errorf("ended with %+v", e)
		}
	}
}

// A frame that is never finished is cut at the end of the wait, without a Close
// frame inside it.
func TestCloseInsideFrameThatNeverEnds(t *testing.T) {
	eachScheme(t, plainAndTLS, testCloseInsideFrameThatNeverEnds)
}

func testCloseInsideFrameThatNeverEnds(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 100 * time.Millisecond}, over).join(t)
	part := unmasked(binaryFrame, payload(randomness(t), 1000))[:500]
	l.upstream.send(part)
	l.client.bytes(part)
	l.session.Close(1012, "moved")
	l.client.eof()
	l.upstream.wantsClose(1012, "moved")
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: Asked, Code: 1012, Reason: "moved", Upstream: sent(1, part)})
}

// The upstream is lost before it has finished the frame.
func TestCloseInsideFrameThatIsCut(t *testing.T) {
	eachScheme(t, plainAndTLS, testCloseInsideFrameThatIsCut)
}

func testCloseInsideFrameThatIsCut(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	part := unmasked(binaryFrame, payload(randomness(t), 1000))[:500]
	l.upstream.send(part)
	l.client.bytes(part)
	l.session.Close(1012, "moved")
	l.barrier()
	l.upstream.fin()
	l.client.eof()
	l.hangUp()
	l.end(End{Cause: Asked, Code: 1012, Reason: "moved", Client: l.barriers, Upstream: sent(1, part)})
}

func TestCloseNeverAnswered(t *testing.T) { eachScheme(t, plainAndTLS, testCloseNeverAnswered) }

func testCloseNeverAnswered(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 50 * time.Millisecond}, over).join(t)
	l.session.Close(1012, "moved")
	l.client.wantsClose(1012, "moved")
	l.upstream.wantsClose(1012, "moved")
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: Asked, Code: 1012, Reason: "moved"})
}

// The Close frame stands in line behind what the client has not read yet.
func TestCloseWhileClientDoesNotRead(t *testing.T) {
	eachScheme(t, plainAndTLS, testCloseWhileClientDoesNotRead)
}

func testCloseWhileClientDoesNotRead(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	l := r.joinSmall(t)
	frame := unmasked(binaryFrame, payload(randomness(t), 30_000))
	flood := bytes.Repeat(frame, 40)
	rest := l.upstream.fill(flood)
	for len(flood)-len(rest) < 2*len(frame) { // the relay has not got its turn yet
		rest = l.upstream.fill(rest)
	}
	l.session.Close(1001, "enough")
	l.barrier()
	go func() { _, _ = l.upstream.conn.Write(rest) }()
	whole := 0
	for {
		f := l.client.frame()
		if f.first == closeFrame {
			if f.payload != body(1001, "enough") {
				t.Errorf("got %v", f)
			}
			break
		}
		if f.payload != string(frame[4:]) {
			t.Fatalf("frame %d is damaged", whole)
		}
		whole++
	}
	if whole == 0 || whole == 40 {
		t.Errorf("close frame after %d of 40 frames", whole)
	}
	echo := masked(closeFrame, body(1001, ""))
	l.client.send(echo)
	l.upstream.bytes(echo)
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Asked || e.Code != 1001 {
		t.Errorf("ended with %+v", e)
	}
}

func TestCloseAll(t *testing.T) { eachScheme(t, plainAndTLS, testCloseAll) }

func testCloseAll(t *testing.T, over scheme) {
	r := start(t, Options{Loops: 3}, over)
	r.relay.CloseAll(1001, "nobody is here")
	var links []*link
	for range 20 {
		links = append(links, r.join(t))
	}
	closed := links[7]
	closed.session.Close(4000, "before")
	closed.client.wantsClose(4000, "before")
	r.relay.CloseAll(1001, "shutting down")
	r.relay.CloseAll(1002, "twice is once")
	for _, l := range links {
		code, reason := uint16(1001), "shutting down"
		if l == closed {
			code, reason = 4000, "before"
		} else {
			l.client.wantsClose(code, reason)
		}
		echo, bye := masked(closeFrame, body(code, "")), unmasked(closeFrame, body(code, ""))
		l.client.send(echo)
		l.upstream.bytes(echo)
		l.upstream.send(bye)
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: Asked, Code: code, Reason: reason, Client: sent(0, echo), Upstream: sent(0, bye)})
	}
	r.relay.CloseAll(1001, "nobody is left")
}

// Close may come from many goroutines at any time.
func TestCloseConcurrently(t *testing.T) { eachScheme(t, plainAndTLS, testCloseConcurrently) }

func testCloseConcurrently(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	for i := range 50 {
		l := r.join(t)
		done := make(chan struct{})
		for j := range 4 {
			go func() {
				defer func() { done <- struct{}{} }()
				if (i+j)%3 == 0 {
					r.relay.CloseAll(1001, "all")
				} else {
					l.session.Close(1001, "all")
				}
			}()
		}
		l.client.send(masked(closeFrame, body(1001, "all")))
		l.upstream.wantsClose(1001, "all")
		l.upstream.send(unmasked(closeFrame, body(1001, "all")))
		l.client.wantsClose(1001, "all")
		l.hangUp()
		if e := l.anyEnd(); e.Code != 1001 || e.Reason != "all" || e.Cause != Asked && e.Cause != ClientClosed {
			t.Errorf("ended with %+v", e)
		}
		for range 4 {
			<-done
		}
	}
}
