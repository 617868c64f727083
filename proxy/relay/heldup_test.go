package relay

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// crawl is a rate at which a client that has used up the burst is held up for all
// of a test.
var crawl = Rate{Bytes: 1, ByteBurst: 200}

// hold joins a session whose client is held up in the middle of a frame for as
// long as the test likes.
func (r *rig) hold(t testing.TB) (l *link, frame []byte, done <-chan error) {
	t.Helper()
	l = r.join(t)
	frame = masked(binaryFrame, payload(randomness(t), 40_000))
	done = l.client.later(frame)
	r.slowed(t, 1)
	l.upstream.bytes(frame[:crawl.ByteBurst])
	return l, frame, done
}

// While a client is held up, what the upstream says passes.
func TestHeldUpClientIsTalkedTo(t *testing.T) {
	eachScheme(t, plainAndTLS, testHeldUpClientIsTalkedTo)
}

func testHeldUpClientIsTalkedTo(t *testing.T, over scheme) {
	r := start(t, Options{Rate: crawl}, over)
	l, _, done := r.hold(t)
	random := randomness(t)
	for range 20 {
		answer := unmasked(binaryFrame, payload(random, random.IntN(100_000)))
		sent := l.upstream.later(answer, unmasked(pingFrame, "are you there"))
		l.client.bytes(answer, unmasked(pingFrame, "are you there"))
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	r.stop()
	if e := l.anyEnd(); e.Cause != Aborted || e.Upstream.Messages != 20 {
		t.Errorf("ended with %+v", e)
	}
	l.hangUp()
	<-done
}

// A client that is held up is not silent: its answers to pings wait. Nor is it idle
// or stuck. What it says is lost no more than that of others.
func TestHeldUpIsNotSilentNorIdle(t *testing.T) {
	eachScheme(t, plainAndTLS, testHeldUpIsNotSilentNorIdle)
}

func testHeldUpIsNotSilentNorIdle(t *testing.T, over scheme) {
	const limit = 700 * time.Millisecond // less than a client is held up
	r := start(t, Options{Rate: Rate{Messages: 1}, PingInterval: limit / 8, PingTimeout: limit, WriteTimeout: limit}, over)
	l := r.join(t)
	hello := masked(textFrame, "hello")
	stop := make(chan struct{})
	talked := chatter(l.upstream, stop) // the upstream is there without a pause
	l.client.send(hello, hello, hello, hello)
	for range 4 { // one each second
		var pings int
		if f := l.upstream.next(&pings, new(Traffic)); f.payload != "hello" {
			t.Fatalf("upstream: got %v", f)
		}
	}
	close(stop)
	if err := <-talked; err != nil {
		t.Errorf("upstream: %v", err)
	}
	// Now it is silent.
	if e := l.anyEndOnceSilent(); e.Cause != ClientSilent || e.Client != sent(4, hello, hello, hello, hello) || e.Slowed < 2*time.Second {
		t.Errorf("ended with %+v", e)
	}

	idle := start(t, Options{Rate: Rate{Messages: 1}, IdleTimeout: limit}, over)
	l = idle.join(t)
	l.client.send(hello, hello, hello)
	l.upstream.bytes(hello, hello, hello)
	l.client.wantsClose(1001, "idle")
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Idle || e.Client.Messages != 3 || e.Slowed < 1500*time.Millisecond {
		t.Errorf("ended with %+v", e)
	}
}

// anyEndOnceSilent waits for the end of a session whose upstream goes on to answer
// pings.
func (l *link) anyEndOnceSilent() End {
	l.t.Helper()
	for {
		f, err := readFrame(l.upstream.in)
		if err != nil {
			l.upstream.conn.Close()
			return l.anyEnd()
		}
		if f.first == pingFrame {
			say(l.upstream, unmasked(pongFrame, f.payload))
		}
	}
}

// An upstream that is silent is found out although its client is held up.
func TestSilentUpstreamOfHeldUpClient(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rate: Rate{Messages: 1}, PingInterval: 30 * time.Millisecond, PingTimeout: 200 * time.Millisecond})
	l := r.join(t)
	hello := masked(textFrame, "hello")
	l.client.send(bytes.Repeat(hello, 1000))
	r.slowed(t, 1)
	var pings int
	if f := l.client.next(&pings, new(Traffic)); f.first != closeFrame || f.payload != body(1012, "upstream lost") {
		t.Errorf("client: got %v", f)
	}
	l.hangUp()
	if e := l.anyEnd(); e.Cause != UpstreamSilent {
		t.Errorf("ended with %+v", e)
	}
}

// A session that is asked to end, or whose upstream closes it, does not wait for
// the client's turn: all it has sent up to its answer arrives.
func TestCloseOfHeldUp(t *testing.T) { eachScheme(t, eitherSide, testCloseOfHeldUp) }

func testCloseOfHeldUp(t *testing.T, over scheme) {
	f := func(name string, cause Cause, ask func(l *link)) {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{Rate: crawl}, over)
			l, frame, done := r.hold(t)
			ask(l)
			l.client.wantsClose(1012, "moved")
			if err := <-done; err != nil {
				t.Error(err)
			}
			echo := masked(closeFrame, body(1012, "moved"))
			l.client.send(echo)
			l.upstream.bytes(frame[crawl.ByteBurst:])
			l.upstream.bytes(echo)
			if cause == Asked {
				l.upstream.send(unmasked(closeFrame, body(1012, "moved")))
			}
			l.client.eof()
			l.upstream.eof()
			l.hangUp()
			if e := l.anyEnd(); e.Cause != cause || e.Client != sent(1, frame, echo) {
				t.Errorf("ended with %+v", e)
			}
		})
	}
	f("asked", Asked, func(l *link) { l.session.Close(1012, "moved") })
	f("asked by all", Asked, func(l *link) { l.session.s.relay.CloseAll(1012, "moved") })
	f("by the upstream", UpstreamClosed, func(l *link) { l.upstream.send(unmasked(closeFrame, body(1012, "moved"))) })
}

// The upstream is lost while the client is held up: the client is told.
func TestLossBesideHeldUp(t *testing.T) { eachScheme(t, plainAndTLS, testLossBesideHeldUp) }

func testLossBesideHeldUp(t *testing.T, over scheme) {
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		r := start(t, Options{Rate: crawl}, over)
		l, _, done := r.hold(t)
		leave(l.upstream)
		l.client.wantsClose(1012, "upstream lost")
		<-done
		l.hangUp()
		if e := l.anyEnd(); e.Cause != UpstreamLost {
			t.Errorf("ended with %+v", e)
		}
	})
}

// A client that sends much and goes: all of it arrives, at its pace, and then its
// end.
func TestEndBehindHeldUpBytes(t *testing.T) { eachScheme(t, everywhere, testEndBehindHeldUpBytes) }

func testEndBehindHeldUpBytes(t *testing.T, over scheme) {
	for i, rate := range []Rate{{Messages: 400}, {Messages: 400, MessageBurst: 20}, {Bytes: 10_000, ByteBurst: 500}, {Bytes: 10_000, ByteBurst: 500}} {
		r := start(t, Options{Rate: rate}, over)
		l, p := r.meet(t)
		message := masked(textFrame, "so long and thanks for all the fish")
		flood := bytes.Repeat(message, 100)
		if i%2 == 0 {
			r.carry(l, p)
		}
		l.client.send(flood)
		l.client.fin()
		if i%2 == 1 { // all of it is there at once
			r.carry(l, p)
		}
		l.upstream.bytes(flood)
		l.upstream.eof()
		l.upstream.fin()
		if e := l.anyEnd(); e.Cause != ClientLost || e.Client != sent(100, flood) || e.Slowed <= 0 && i > 0 {
			t.Errorf("ended with %+v", e)
		}
	}
}

// A flood that comes together with the end of the handshake of TLS, and the good-bye
// behind it: part of it is read by then, and part of it is inside TLS.
func TestFloodWithFinished(t *testing.T) {
	t.Parallel()
	message := masked(textFrame, "so long and thanks for all the fish")
	flood := bytes.Repeat(message, 400)
	for _, rate := range []Rate{{Messages: 1000, MessageBurst: 50}, {Bytes: 40_000, ByteBurst: 2000}} {
		for _, read := range []int{0, 7, 3000, len(flood)} {
			l := startSecured(t, Options{Rate: rate}, client, only13[0], speaking(flood, true)).join(t, func(p *Pair) {
				p.FromClient = make([]byte, read)
				if _, err := io.ReadFull(p.Client, p.FromClient); err != nil {
					t.Fatal(err)
				}
			})
			l.upstream.bytes(flood)
			l.upstream.eof()
			l.hangUp()
			if e := l.anyEnd(); e.Cause != ClientLost || e.Client != sent(400, flood) || e.Slowed <= 0 {
				t.Errorf("%+v, %d bytes read: ended with %+v", rate, read, e)
			}
		}
	}
}

// A client that is reset while it is held up is found out at its next turn.
func TestResetOfHeldUp(t *testing.T) { eachScheme(t, plainAndTLS, testResetOfHeldUp) }

func testResetOfHeldUp(t *testing.T, over scheme) {
	r := start(t, Options{Rate: Rate{Messages: 20, MessageBurst: 1}}, over)
	l := r.join(t)
	message := masked(textFrame, "hello")
	l.client.send(bytes.Repeat(message, 5))
	r.slowed(t, 1)
	l.client.reset()
	for {
		if _, err := readFrame(l.upstream.in); err != nil {
			break
		}
	}
	l.upstream.conn.Close()
	if e := l.anyEnd(); e.Cause != ClientLost {
		t.Errorf("ended with %+v", e)
	}
}

// The end of Run does not wait for anybody's turn.
func TestRunEndsBesideHeldUp(t *testing.T) { eachScheme(t, plainAndTLS, testRunEndsBesideHeldUp) }

func testRunEndsBesideHeldUp(t *testing.T, over scheme) {
	r := start(t, Options{Rate: crawl}, over)
	l, frame, done := r.hold(t)
	few := r.join(t)
	small := masked(textFrame, "x")
	few.client.send(bytes.Repeat(small, 500)) // in one record of TLS
	r.slowed(t, 2)
	r.stop()
	for _, l := range []*link{l, few} {
		for _, p := range []*peer{l.client, l.upstream} {
			_, _ = io.Copy(io.Discard, p.in)
		}
		if e := l.anyEnd(); e.Cause != Aborted || e.Client.Bytes == 0 || e.Client.Bytes > uint64(len(frame)) {
			t.Errorf("ended with %+v", e)
		}
	}
	<-done
}

// Sessions that are open follow a Rate that is changed, also while their clients
// are held up.
func TestConfigureRate(t *testing.T) { eachScheme(t, plainAndTLS, testConfigureRate) }

func testConfigureRate(t *testing.T, over scheme) {
	r := start(t, brisk, over)
	l := r.join(t)
	message := masked(textFrame, "hello, hello")
	flood := bytes.Repeat(message, 1000)
	l.client.later(flood)
	l.upstream.bytes(flood)

	slow := brisk
	slow.Rate = crawl
	r.configure(slow, l)
	done := l.client.later(flood)
	r.slowed(t, 1)
	var pings int
	for range crawl.ByteBurst / int64(len(message)) {
		if f := l.upstream.next(&pings, new(Traffic)); f.payload != "hello, hello" {
			t.Fatalf("upstream: got %v", f)
		}
	}
	faster := brisk
	faster.Rate = Rate{Messages: 4000}
	r.relay.Configure(faster)
	l.upstream.bytes(flood[crawl.ByteBurst/int64(len(message))*int64(len(message)):])
	r.relay.Configure(slow)
	again := l.client.later(flood, flood)
	r.relay.Configure(brisk)
	l.upstream.bytes(flood, flood)
	for _, done := range []<-chan error{done, again} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	l.hangUp()
	if e := l.anyEnd(); e.Client.Messages != 4000 {
		t.Errorf("ended with %+v", e)
	}

	l, frame, done := r.heldUnder(t, slow)
	strict := slow
	strict.Rate.Close = true
	r.relay.Configure(strict)
	l.upstream.bytes(frame[crawl.ByteBurst:])
	l.upstream.wantsClose(1008, "too many bytes per second")
	<-done
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Exceeded || e.Code != 1008 {
		t.Errorf("ended with %+v", e)
	}
}

// heldUnder is hold for another session, under options that are set first.
func (r *rig) heldUnder(t testing.TB, o Options) (l *link, frame []byte, done <-chan error) {
	t.Helper()
	before := r.relay.Totals().Slowed
	r.relay.Configure(o)
	l = r.join(t)
	frame = masked(binaryFrame, payload(randomness(t), 40_000))
	done = l.client.later(frame)
	r.slowed(t, before+1)
	l.upstream.bytes(frame[:crawl.ByteBurst])
	return l, frame, done
}
