package relay

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"time"
)

// A client that takes nothing is given up; the upstream sees the end of TCP at
// once and need not wait for anything of it.
func TestClientStalled(t *testing.T) { eachScheme(t, plainAndTLS, testClientStalled) }

func testClientStalled(t *testing.T, over scheme) {
	r := startSmall(t, Options{WriteTimeout: 400 * time.Millisecond}, over)
	l := r.joinSmall(t)
	flooded := make(chan error, 1)
	go func() {
		_, err := l.upstream.conn.Write(bytes.Repeat(unmasked(binaryFrame, payload(randomness(t), 30_000)), 40))
		flooded <- err
	}()
	l.upstream.eof()
	// What the upstream still writes is taken, so that its end can be heard.
	if err := <-flooded; err != nil {
		t.Errorf("upstream: %v", err)
	}
	l.upstream.fin()
	e := l.anyEnd()
	if e.Cause != ClientStalled || e.Code != 0 || e.Duration < 350*time.Millisecond {
		t.Errorf("ended with %+v", e)
	}
	if e.Upstream.Messages != 40 {
		t.Errorf("%d messages of the upstream were read", e.Upstream.Messages)
	}
}

func TestUpstreamStalled(t *testing.T) { eachScheme(t, plainAndTLS, testUpstreamStalled) }

func testUpstreamStalled(t *testing.T, over scheme) {
	r := startSmall(t, Options{WriteTimeout: 400 * time.Millisecond}, over)
	l := r.joinSmall(t)
	hello := unmasked(textFrame, "hello")
	l.upstream.send(hello)
	flooded := make(chan error, 1)
	go func() {
		_, err := l.client.conn.Write(bytes.Repeat(masked(binaryFrame, payload(randomness(t), 30_000)), 40))
		flooded <- err
	}()
	l.client.bytes(hello)
	l.client.wantsClose(1012, "upstream lost")
	if err := <-flooded; err != nil {
		t.Errorf("client: %v", err)
	}
	l.client.send(masked(closeFrame, body(1012, "")))
	l.client.eof()
	l.client.fin()
	e := l.anyEnd()
	if e.Cause != UpstreamStalled || e.Code != 0 || e.Duration < 350*time.Millisecond {
		t.Errorf("ended with %+v", e)
	}
	if e.Client.Messages != 40 {
		t.Errorf("%d messages of the client were read", e.Client.Messages)
	}
}

// A client that takes a little now and then is slow, not stalled.
func TestSlowClientIsNotStalled(t *testing.T) { eachScheme(t, plainAndTLS, testSlowClientIsNotStalled) }

func testSlowClientIsNotStalled(t *testing.T, over scheme) {
	r := startSmall(t, Options{WriteTimeout: 2 * time.Second}, over)
	l := r.joinSmall(t)
	frame := unmasked(binaryFrame, payload(randomness(t), 30_000))
	flood := bytes.Repeat(frame, 12)
	go func() { _, _ = l.upstream.conn.Write(flood) }()
	tick := time.NewTicker(80 * time.Millisecond) // 3 s in all
	defer tick.Stop()
	for seen, n := 0, 0; seen < len(flood); seen += n {
		<-tick.C
		n = min(10_000, len(flood)-seen)
		l.client.bytes(flood[seen : seen+n])
	}
	l.goodBye(Traffic{}, sent(12, flood))
}

// The end of the closing handshake does not wait for a client that takes
// nothing.
func TestClientDoesNotReadItsClose(t *testing.T) {
	eachScheme(t, plainAndTLS, testClientDoesNotReadItsClose)
}

func testClientDoesNotReadItsClose(t *testing.T, over scheme) {
	r := startSmall(t, Options{CloseWait: 100 * time.Millisecond}, over)
	l := r.joinSmall(t)
	rest := l.upstream.fill(bytes.Repeat(unmasked(binaryFrame, payload(randomness(t), 30_000)), 40))
	l.session.Close(1012, "moved")
	l.upstream.wantsClose(1012, "moved")
	l.upstream.eof()
	e := l.anyEnd() // neither side has ended TCP
	if e.Cause != Asked || e.Code != 1012 {
		t.Errorf("ended with %+v", e)
	}
	if _, err := l.upstream.conn.Write(rest); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("upstream: %v", err)
	}
}
