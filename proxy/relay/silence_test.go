package relay

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// frameFrom makes a frame as this peer sends it.
func (p *peer) frameFrom(first byte, payload string) []byte {
	if p.masks {
		return unmasked(first, payload)
	}
	return masked(first, payload)
}

// wantsPing reads a Ping of the relay and returns its payload.
func (p *peer) wantsPing() string {
	p.t.Helper()
	f := p.frame()
	if f.first != pingFrame || len(f.payload) != 8 {
		p.t.Fatalf("%s: got %v, want a ping", p.name, f)
	}
	return f.payload
}

// goneAfterPings reads the pings of the relay, one at least, and then the end. While
// the other side takes nothing its silence has not begun, and begins anew: so on a
// busy machine there may be more.
func (p *peer) goneAfterPings() {
	p.t.Helper()
	p.wantsPing()
	for {
		b, err := p.in.Peek(1)
		if err != nil || b[0] != pingFrame {
			p.gone()
			return
		}
		p.wantsPing()
	}
}

// next reads the next frame that is no Ping of the relay. It answers those, and
// counts them in pings. What it sends is added to traffic.
func (p *peer) next(pings *int, traffic *Traffic) wireFrame {
	p.t.Helper()
	for {
		f := p.frame()
		if f.first != pingFrame || len(f.payload) != 8 {
			return f
		}
		*pings++
		pong := p.frameFrom(pongFrame, f.payload)
		p.send(pong)
		traffic.Bytes += uint64(len(pong))
	}
}

// Pings of the relay reach both sides, and the answers go no further. Pings and
// pongs of the two ends pass.
func TestPings(t *testing.T) { eachScheme(t, plainAndTLS, testPings) }

func testPings(t *testing.T, over scheme) {
	l := start(t, Options{PingInterval: 30 * time.Millisecond}, over).join(t)
	var traffic [2]Traffic
	first := ""
	for range 3 {
		for i, p := range []*peer{l.client, l.upstream} {
			payload := p.wantsPing()
			if first == "" {
				first = payload
			}
			if payload != first {
				t.Errorf("%s: another payload in a ping of the same session", p.name)
			}
			pong := p.frameFrom(pongFrame, payload)
			p.send(pong)
			traffic[i].Bytes += uint64(len(pong))
		}
	}
	var pings [2]int
	exchange := func(d int, first byte, payload string) {
		t.Helper()
		from, to := l.client, l.upstream
		if d == 1 {
			from, to = to, from
		}
		f := from.frameFrom(first, payload)
		from.send(f)
		traffic[d].Bytes += uint64(len(f))
		if got := to.next(&pings[1-d], &traffic[1-d]); got.first != first || got.payload != payload {
			t.Fatalf("%s: got %v, want %#02x %q", to.name, got, first, payload)
		}
	}
	for d := range 2 {
		exchange(d, pingFrame, "heartbeat")
		exchange(1-d, pongFrame, "heartbeat")
		exchange(d, pongFrame, "not ours")
		exchange(d, pongFrame, first[:7])
		exchange(d, pongFrame, "")
	}
	exchange(0, closeFrame, body(1000, ""))
	exchange(1, closeFrame, body(1000, ""))
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientClosed, Code: 1000, Client: traffic[0], Upstream: traffic[1]})
}

// Only our own pongs are taken out, whatever stands around them in one write.
func TestPongBetweenFrames(t *testing.T) { eachScheme(t, plainAndTLS, testPongBetweenFrames) }

func testPongBetweenFrames(t *testing.T, over scheme) {
	l := start(t, Options{PingInterval: 30 * time.Millisecond}, over).join(t)
	for _, d := range []struct{ from, to *peer }{{l.client, l.upstream}, {l.upstream, l.client}} {
		ours := d.from.wantsPing()
		pong := d.from.frameFrom(pongFrame, ours)
		before, after, fin := d.from.frameFrom(textStart, "before"), d.from.frameFrom(middle, "after"), d.from.frameFrom(lastPart, "")
		d.from.send(pong, before, pong, pong, after, pong, fin, pong)
		var pings int
		for _, want := range []wireFrame{{textStart, d.to.masks, "before"}, {middle, d.to.masks, "after"}, {lastPart, d.to.masks, ""}} {
			if got := d.to.next(&pings, new(Traffic)); got != want {
				t.Fatalf("%s: got %v, want %v", d.to.name, got, want)
			}
		}
	}
	l.client.reset()
	if e := l.anyEndAfter(l.upstream); e.Client.Messages != 1 || e.Upstream.Messages != 1 {
		t.Errorf("ended with %+v", e)
	}
}

// anyEndAfter waits for the end of the session after p has ended its side.
func (l *link) anyEndAfter(p *peer) End {
	l.t.Helper()
	p.conn.Close()
	return l.anyEnd()
}

// A Ping waits for the end of the frame that is under way to the same side.
func TestNoPingInsideFrame(t *testing.T) { eachScheme(t, plainAndTLS, testNoPingInsideFrame) }

func testNoPingInsideFrame(t *testing.T, over scheme) {
	r := start(t, Options{PingInterval: 30 * time.Millisecond}, over)
	f := func(name string, good frameOf, early func(*Pair) *[]byte, ends func(*link) (from, to *peer)) {
		t.Run(name, func(t *testing.T) {
			frame := good(binaryFrame, payload(randomness(t), 1000))
			seen := len(frame) / 2
			// The frame is under way from the start: no Ping comes before it.
			l := r.join(t, func(p *Pair) { *early(p) = frame[:seen] })
			from, to := ends(l)
			to.bytes(frame[:seen])
			for range 4 { // each Ping shows that the interval has passed
				from.wantsPing()
				from.send(frame[seen : seen+1])
				to.bytes(frame[seen : seen+1])
				seen++
			}
			from.send(frame[seen:])
			to.bytes(frame[seen:])
			to.wantsPing()
			l.client.reset()
			l.anyEndAfter(l.upstream)
		})
	}
	f("client", unmasked, func(p *Pair) *[]byte { return &p.FromUpstream }, func(l *link) (from, to *peer) { return l.upstream, l.client })
	f("upstream", masked, func(p *Pair) *[]byte { return &p.FromClient }, func(l *link) (from, to *peer) { return l.client, l.upstream })
}

func TestSilentClient(t *testing.T) { eachScheme(t, plainAndTLS, testSilentClient) }

func testSilentClient(t *testing.T, over scheme) {
	// What the client said stands before all pings. From then on both sides are
	// asked at the same moments, so even an upstream that is late to answer is
	// given up no sooner than the client.
	hello := masked(textFrame, "hello")
	l := start(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: 300 * time.Millisecond}, over).
		join(t, func(p *Pair) { p.FromClient = hello })
	l.upstream.bytes(hello)
	var traffic Traffic
	for {
		f, err := readFrame(l.upstream.in)
		if err == io.EOF {
			break
		}
		if err != nil || f.first != pingFrame {
			t.Fatalf("upstream: got %v, %v", f, err)
		}
		pong := unmasked(pongFrame, f.payload)
		l.upstream.send(pong)
		traffic.Bytes += uint64(len(pong))
	}
	l.upstream.fin()
	l.end(End{Cause: ClientSilent, Client: sent(1, hello), Upstream: traffic})
	l.client.goneAfterPings()
}

func TestSilentUpstream(t *testing.T) { eachScheme(t, plainAndTLS, testSilentUpstream) }

func testSilentUpstream(t *testing.T, over scheme) {
	// The client has time to answer.
	l := start(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: 1500 * time.Millisecond}, over).join(t)
	var pings int
	var traffic Traffic
	f := l.client.next(&pings, &traffic)
	if f.first != closeFrame || f.payload != body(1012, "upstream lost") {
		t.Fatalf("client: got %v", f)
	}
	if pings == 0 {
		t.Error("the client, which answers, got no ping")
	}
	echo := masked(closeFrame, body(1012, ""))
	l.client.send(echo)
	traffic.Bytes += uint64(len(echo))
	l.client.eof()
	l.client.fin()
	l.end(End{Cause: UpstreamSilent, Client: traffic})
	l.upstream.goneAfterPings()
}

// A session is idle when no message passes; our own pings and the answers to
// them are no messages.
func TestIdle(t *testing.T) { eachScheme(t, plainAndTLS, testIdle) }

func testIdle(t *testing.T, over scheme) {
	const idle = 300 * time.Millisecond
	hello := masked(textFrame, "hello")
	r := start(t, Options{IdleTimeout: idle, PingInterval: 30 * time.Millisecond}, over)
	began := time.Now()
	l := r.join(t, func(p *Pair) { p.FromClient = hello }) // in time, however busy the machine is
	heard := make(chan wireFrame, 1)
	var pings [2]int
	var traffic [2]Traffic
	go func() {
		if f := l.upstream.next(&pings[1], &traffic[1]); f.payload == "hello" {
			heard <- l.upstream.next(&pings[1], &traffic[1])
		}
		close(heard)
	}()
	f := l.client.next(&pings[0], &traffic[0])
	if f.first != closeFrame || f.payload != body(1001, "idle") {
		t.Fatalf("client: got %v", f)
	}
	if lasted := time.Since(began); lasted < idle-10*time.Millisecond {
		t.Errorf("idle after %v", lasted)
	}
	echo := masked(closeFrame, body(1001, ""))
	l.client.send(echo)
	if f := <-heard; f.first != closeFrame || f.payload != body(1001, "") {
		t.Errorf("upstream: got %v", f)
	}
	if pings[0] == 0 || pings[1] == 0 {
		t.Errorf("pings: %d to the client, %d to the upstream", pings[0], pings[1])
	}
	l.hangUp()
	traffic[0].Bytes += uint64(len(hello) + len(echo))
	traffic[0].Messages++
	l.end(End{Cause: Idle, Code: 1001, Reason: "idle", Client: traffic[0], Upstream: traffic[1]})
}

// exchange passes a frame from one side to the other.
func exchange(from, to *peer, frame []byte) error {
	if _, err := from.conn.Write(frame); err != nil {
		return fmt.Errorf("%s sends: %w", from.name, err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(to.in, got); err != nil {
		return fmt.Errorf("%s reads: %w", to.name, err)
	}
	if !bytes.Equal(got, frame) {
		return fmt.Errorf("%s got %x", to.name, got)
	}
	return nil
}

// Messages of either side keep a session.
func TestMessagesKeepSessionFromIdling(t *testing.T) {
	t.Parallel()
	const idle, pause, messages = 400 * time.Millisecond, 50 * time.Millisecond, 16
	r := start(t, Options{IdleTimeout: idle})
	// The machine may stop the test for longer than the time-out; such a try
	// says nothing.
	for try := 1; ; try++ {
		l := r.join(t)
		var broken error
		tick := time.NewTicker(pause)
		last, now := time.Now(), time.Now()
		var sent time.Time
		for i := 0; i < messages && broken == nil && now.Sub(last) < idle/2; i++ {
			<-tick.C
			last, sent = now, time.Now()
			from, to := l.client, l.upstream
			if i%2 == 1 {
				from, to = to, from
			}
			broken = exchange(from, to, from.frameFrom(textFrame, strings.Repeat("x", i)))
			now = time.Now()
		}
		tick.Stop()
		if now.Sub(last) >= idle/2 && try < 10 {
			l.hangUp()
			continue
		}
		if broken != nil {
			t.Fatalf("%v after the last message: %v", now.Sub(last), broken)
		}
		l.client.wantsClose(1001, "idle")
		if lasted := time.Since(sent); lasted < idle-10*time.Millisecond {
			t.Errorf("idle %v after a message", lasted)
		}
		l.hangUp()
		return
	}
}

// Options that are switched off do not end a session, nor is anything sent.
func TestNothingIsSwitchedOn(t *testing.T) {
	t.Parallel()
	r := start(t, Options{PingInterval: -1, WriteTimeout: -1})
	l, other := r.join(t), start(t, Options{PingInterval: 20 * time.Millisecond}).join(t)
	for range 10 { // the other relay's clock shows that time has passed
		other.client.send(other.client.frameFrom(pongFrame, other.client.wantsPing()))
	}
	l.goodBye(Traffic{}, Traffic{})
	other.hangUp()
	l.upstream.conn.Close()
	if e := other.anyEnd(); e.Cause != ClientLost && e.Cause != UpstreamLost {
		t.Errorf("ended with %+v", e)
	}
}
