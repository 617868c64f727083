package relay

import (
	"bytes"
	"testing"
	"time"
)

const (
	tooManyMessages = "too many messages per second"
	tooManyBytes    = "too many bytes per second"
)

// strict are rates that nobody keeps to for longer than the burst.
var (
	strictMessages = Rate{Messages: 1, MessageBurst: 5, Close: true}
	strictBytes    = Rate{Bytes: 1, ByteBurst: 1000, Close: true}
)

// wantsVerdict checks the end of a session whose client has sent too much: both are
// told, the upstream first, whose answers in flight still reach the client.
func (l *link) wantsVerdict(reason string) End {
	l.t.Helper()
	l.upstream.wantsClose(1008, reason)
	inFlight, echo := unmasked(textFrame, "in flight"), unmasked(closeFrame, body(1008, ""))
	l.upstream.send(inFlight)
	l.client.bytes(inFlight)
	l.upstream.send(echo)
	l.client.wantsClose(1008, reason)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	e := l.anyEnd()
	if e.Cause != Exceeded || e.Code != 1008 || e.Reason != reason || e.Upstream != sent(1, inFlight, echo) || e.Slowed != 0 {
		l.t.Errorf("ended with %+v", e)
	}
	return e
}

// wantsTotals checks how many sessions were closed for what their clients have
// sent; nobody is slowed down here.
func (r *rig) wantsTotals(exceeded uint64) {
	r.t.Helper()
	if n := r.relay.Totals(); n != (Totals{Exceeded: exceeded}) {
		r.t.Errorf("totals %+v, want %d closed", n, exceeded)
	}
}

// A client that sends more messages than it may is closed. Those within the burst
// are delivered, whatever they are; what comes behind is not.
func TestTooManyMessages(t *testing.T) { eachScheme(t, eitherSide, testTooManyMessages) }

func testTooManyMessages(t *testing.T, over scheme) {
	r := start(t, Options{Rate: strictMessages}, over)
	closed := uint64(0)
	f := func(name string, messages uint64, frames ...[]byte) {
		t.Run(name, func(t *testing.T) {
			l := r.join(t)
			flood := bytes.Repeat(masked(binaryFrame, "too much"), 50)
			l.client.send(append(append([][]byte(nil), frames...), flood)...)
			l.upstream.bytes(frames...)
			e := l.wantsVerdict(tooManyMessages)
			if e.Client.Messages != messages || e.Client.Bytes != uint64(len(bytes.Join(frames, flood[:0]))+len(flood)) {
				t.Errorf("counted %+v", e.Client)
			}
			closed++
		})
	}
	text, ping, pong := masked(textFrame, "hello"), masked(pingFrame, "?"), masked(pongFrame, "!")
	f("messages", 5, text, text, text, text, text)
	f("pings", 0, ping, ping, ping, ping, ping)
	f("pongs", 0, pong, pong, pong, pong, pong)
	f("small fragments", 1, masked(textStart, ""), masked(middle, ""), masked(middle, ""), masked(middle, ""), masked(lastPart, ""))
	f("all of them", 3, text, ping, text, pong, text)
	f("large fragments between", 4, text, text, text, masked(textStart, ""), masked(middle, payload(randomness(t), 2000)),
		masked(middle, payload(randomness(t), 20_000)), masked(lastPart, payload(randomness(t), 1024)), ping)
	r.wantsTotals(closed)
}

// A client that keeps to the limit is not closed, not even for its good-bye.
func TestNotTooMany(t *testing.T) { eachScheme(t, plainAndTLS, testNotTooMany) }

func testNotTooMany(t *testing.T, over scheme) {
	r := start(t, Options{Rate: strictMessages}, over)
	text := masked(textFrame, "hello")
	l := r.join(t)
	l.client.send(text, text, text, text, text)
	l.upstream.bytes(text, text, text, text, text)
	l.goodBye(sent(5, text, text, text, text, text), Traffic{})

	// Among them nothing counts of what the upstream sends.
	l = r.join(t)
	answers := bytes.Repeat(unmasked(textFrame, "hello"), 1000)
	l.upstream.later(answers)
	l.client.bytes(answers)
	l.goodBye(Traffic{}, sent(1000, answers))

	r = start(t, Options{Rate: strictBytes}, over)
	l = r.join(t)
	most := masked(binaryFrame, payload(randomness(t), 1000-8))
	l.client.send(most)
	l.upstream.bytes(most)
	l.upstream.send(answers)
	l.client.bytes(answers)
	r.wantsTotals(0)
	l.hangUp()
	l.anyEnd()
}

// A client that sends more bytes than it may is closed when the frame is whole
// that is under way to the upstream, however late its rest comes.
func TestTooManyBytes(t *testing.T) { eachScheme(t, eitherSide, testTooManyBytes) }

func testTooManyBytes(t *testing.T, over scheme) {
	r := start(t, Options{Rate: strictBytes}, over)
	random := randomness(t)
	closed := uint64(0)
	f := func(name string, delivered []byte, sends ...[]byte) {
		t.Run(name, func(t *testing.T) {
			l := r.join(t)
			passed := 0
			for _, p := range sends {
				l.client.send(p)
				n := min(len(p), len(delivered)-passed)
				l.upstream.bytes(delivered[passed : passed+n])
				passed += n
			}
			l.wantsVerdict(tooManyBytes)
			closed++
		})
	}
	small, large := masked(textFrame, "hello"), masked(binaryFrame, payload(random, 50_000))
	exact := masked(binaryFrame, payload(random, 1000-8)) // with its header just the burst
	flood := bytes.Repeat(small, 1000)
	f("at once", large, large)
	f("in two parts", large, large[:700], large[700:])
	f("cut at the bound", large, large[:1000], large[1000:])
	f("cut behind it", large, large[:30_000], append(large[30_000:], flood...))
	f("in many parts", large, large[:900], large[900:1100], large[1100:20_000], large[20_000:])
	f("with more behind", large, append(large[:len(large):len(large)], flood...))
	f("between two frames", exact, exact, small)
	f("in small frames", flood[:(1000/len(small)+1)*len(small)], flood)
	pings := bytes.Repeat(masked(pingFrame, payload(random, 125)), 20)
	f("in a control frame", pings[:1000/131*131], pings)
	r.wantsTotals(closed)
}

// What a client has begun and does not finish holds nothing up for longer than the
// close wait; the upstream sees the plain end, for it stands in a frame.
func TestTooManyBytesInsideFrame(t *testing.T) {
	eachScheme(t, plainAndTLS, testTooManyBytesInsideFrame)
}

func testTooManyBytesInsideFrame(t *testing.T, over scheme) {
	frame := masked(binaryFrame, payload(randomness(t), 50_000))
	t.Run("never finished", func(t *testing.T) {
		r := start(t, Options{Rate: strictBytes, CloseWait: 100 * time.Millisecond}, over)
		l := r.join(t)
		l.client.send(frame[:20_000])
		l.upstream.bytes(frame[:20_000])
		l.client.wantsClose(1008, tooManyBytes)
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: Exceeded, Code: 1008, Reason: tooManyBytes, Client: sent(1, frame[:20_000])})
		r.wantsTotals(1)
	})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		r := start(t, Options{Rate: strictBytes}, over)
		l := r.join(t)
		l.client.send(frame[:20_000])
		l.upstream.bytes(frame[:20_000])
		leave(l.client)
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: Exceeded, Code: 1008, Reason: tooManyBytes, Client: sent(1, frame[:20_000])})
	})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		r := start(t, Options{Rate: strictBytes}, over)
		l := r.join(t)
		l.client.send(frame[:20_000])
		l.upstream.bytes(frame[:20_000])
		leave(l.upstream)
		l.client.wantsClose(1008, tooManyBytes)
		l.hangUp()
		if e := l.anyEnd(); e.Cause != Exceeded || e.Code != 1008 {
			t.Errorf("ended with %+v", e)
		}
	})
}

// Large frames on their way through the pipe are measured as well.
func TestTooManyBytesInBulk(t *testing.T) { eachScheme(t, plainAndTLS, testTooManyBytesInBulk) }

func testTooManyBytesInBulk(t *testing.T, over scheme) {
	const burst = 3_000_000
	r := start(t, Options{Rate: Rate{Bytes: 1, ByteBurst: burst, Close: true}}, over)
	random := randomness(t)
	const times = 5
	for range times {
		l := r.join(t)
		warm := warmUp(l.client, l.upstream, random)
		var flood []byte
		delivered := 0 // of it: the frame under way when the burst is used up is the last
		for delivered == 0 || len(flood) < delivered+1_000_000 {
			begun := burst-len(warm)-len(flood) >= 14 // with its header
			flood = append(flood, masked(binaryFrame, payload(random, 100_000+random.IntN(1_000_000)))...)
			if begun {
				delivered = len(flood)
			}
		}
		done := l.client.later(flood)
		l.upstream.bytes(flood[:delivered])
		l.wantsVerdict(tooManyBytes)
		<-done
	}
	r.wantsTotals(times)
}

// Time lets a client send on where a burst would not.
func TestRateIsKept(t *testing.T) {
	t.Parallel()
	const rate, burst = 200, 20
	r := start(t, Options{Rate: Rate{Messages: rate, MessageBurst: burst, Close: true}})
	l := r.join(t)
	message := masked(textFrame, "hello")
	for range 4 {
		l.client.send(bytes.Repeat(message, burst))
		l.upstream.bytes(bytes.Repeat(message, burst))
		<-time.After(burst * time.Second / rate * 3 / 2)
	}
	l.goodBye(sent(4*burst, bytes.Repeat(message, 4*burst)), Traffic{})
	r.wantsTotals(0)
}
