package relay

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// later sends frames while the test goes on.
func (p *peer) later(frames ...[]byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := p.conn.Write(bytes.Join(frames, nil))
		done <- err
	}()
	return done
}

// slowed waits until so many sessions were held up.
func (r *rig) slowed(t testing.TB, n uint64) {
	t.Helper()
	if !within(patience, func() bool { return r.relay.Totals().Slowed >= n }) {
		t.Fatalf("%d sessions were held up, want %d", r.relay.Totals().Slowed, n)
	}
}

// closed says good-bye as a client does that may have been held up, and returns
// the end of the session.
func (l *link) closed() End {
	l.t.Helper()
	bye, echo := masked(closeFrame, body(1000, "done")), unmasked(closeFrame, body(1000, "done"))
	l.client.send(bye)
	l.upstream.bytes(bye)
	l.upstream.send(echo)
	l.client.bytes(echo)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	e := l.anyEnd()
	if e.Cause != ClientClosed {
		l.t.Errorf("ended with %+v", e)
	}
	e.Client.Bytes -= uint64(len(bye))
	e.Upstream.Bytes -= uint64(len(echo))
	return e
}

// allowed is what may have passed after so long. The relay's clock is cut to
// milliseconds.
func allowed(rate, burst int64, since time.Time) int64 {
	return burst + rate*(time.Since(since).Milliseconds()+2)/1000
}

// mustSlow reports whether a client that sent n tokens' worth at once and lived
// that long must have been held up. On a machine that is so busy that all came
// slower than the rate anyhow, there was nobody to hold up.
func mustSlow(e End, n, rate, burst int64) bool {
	return e.Duration < time.Duration(n-burst)*time.Second/time.Duration(rate)*5/4
}

// Of a flood of messages no more pass at any time than the rate allows, and in the
// end all have.
func TestMessageRate(t *testing.T) { eachScheme(t, eitherSide, testMessageRate) }

func testMessageRate(t *testing.T, over scheme) {
	const rate, burst = 500, 30
	r := start(t, Options{Rate: Rate{Messages: rate, MessageBurst: burst}}, over)
	random := randomness(t)
	frames := make([][]byte, 0, 300)
	counted := map[byte]uint64{}
	for range cap(frames) {
		first := []byte{textFrame, pingFrame, pongFrame}[random.IntN(3)]
		counted[first]++
		frames = append(frames, masked(first, payload(random, random.IntN(50))))
	}
	began := time.Now()
	l := r.join(t)
	done := l.client.later(frames...)
	for i, f := range frames {
		l.upstream.bytes(f)
		if most := allowed(rate, burst, began); int64(i) >= most {
			t.Fatalf("message %d came after %v, which allows %d", i+1, time.Since(began), most)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	e := l.closed()
	if want := sent(counted[textFrame], frames...); e.Client != want {
		t.Errorf("counted %+v, want %+v", e.Client, want)
	}
	if e.Slowed > e.Duration || e.Slowed <= 0 && mustSlow(e, int64(len(frames)), rate, burst) {
		t.Errorf("slowed for %v of %v", e.Slowed, e.Duration)
	}
	if n := r.relay.Totals(); n.Exceeded != 0 || (n.Slowed == 1) != (e.Slowed > 0) {
		t.Errorf("totals %+v", n)
	}
}

// Large messages, in fragments with a ping between them, count by the message.
func TestLargeMessagesCountOnce(t *testing.T) { eachScheme(t, eitherSide, testLargeMessagesCountOnce) }

func testLargeMessagesCountOnce(t *testing.T, over scheme) {
	const burst = 41 // one is left for the end, which waits for its turn like all
	l := start(t, Options{Rate: Rate{Messages: 1, MessageBurst: burst}}, over).join(t)
	random := randomness(t)
	var frames [][]byte
	for range burst / 2 { // each with one ping
		frames = append(frames, masked(textStart, payload(random, 2000)), masked(middle, payload(random, 100_000)),
			masked(pingFrame, "?"), masked(middle, payload(random, 1024)), masked(lastPart, payload(random, 30_000)))
	}
	l.talk(random, 1<<20, frames, nil)
	if e := l.closed(); e.Client != sent(burst/2, frames...) || e.Slowed != 0 {
		t.Errorf("ended with %+v", e)
	}
}

// One message in endless small fragments does not get round the rate.
func TestSmallFragmentsCount(t *testing.T) { eachScheme(t, plainAndTLS, testSmallFragmentsCount) }

func testSmallFragmentsCount(t *testing.T, over scheme) {
	const rate, burst = 400, 20
	r := start(t, Options{Rate: Rate{Messages: rate, MessageBurst: burst}}, over)
	fragment := masked(middle, "x")
	begin := masked(textStart, "")
	began := time.Now()
	l := r.join(t)
	done := l.client.later(begin, bytes.Repeat(fragment, 150))
	l.upstream.bytes(begin)
	for i := range 150 {
		l.upstream.bytes(fragment)
		if most := allowed(rate, burst, began); int64(i)+1 >= most {
			t.Fatalf("fragment %d came after %v, which allows %d", i+1, time.Since(began), most-1)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if e := l.closed(); e.Slowed <= 0 && mustSlow(e, 150, rate, burst) {
		t.Errorf("ended with %+v", e)
	}
}

// No more bytes pass at any time than the rate allows, whatever the frames.
func TestByteRate(t *testing.T) { eachScheme(t, eitherSide, testByteRate) }

func testByteRate(t *testing.T, over scheme) {
	f := func(name string, rate, burst int64, size, count int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := randomness(t)
			r := start(t, Options{Rate: Rate{Bytes: rate, ByteBurst: burst}}, over)
			var frames [][]byte
			for range count {
				frames = append(frames, masked(binaryFrame, payload(random, size/2+random.IntN(size/2))), masked(pingFrame, payload(random, random.IntN(126))))
			}
			stream := bytes.Join(frames, nil)
			began := time.Now()
			l := r.join(t)
			done := l.client.later(stream)
			got := make([]byte, 0, len(stream))
			for len(got) < len(stream) {
				n, err := l.upstream.conn.Read(got[len(got):min(cap(got), len(got)+64<<10)])
				if err != nil {
					t.Fatalf("%d of %d bytes: %v", len(got), len(stream), err)
				}
				got = got[:len(got)+n]
				if most := allowed(rate, burst, began); int64(len(got)) > most {
					t.Fatalf("%d bytes came within %v, which allows %d", len(got), time.Since(began), most)
				}
			}
			if !bytes.Equal(got, stream) {
				t.Error("other bytes than were sent")
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if e := l.closed(); e.Client != sent(uint64(count), stream) || e.Slowed <= 0 && mustSlow(e, int64(len(stream)), rate, burst) {
				t.Errorf("ended with %+v", e)
			}
		})
	}
	f("small messages", 100_000, 5_000, 100, 500)
	f("large messages", 2_000_000, 100_000, 100_000, 20)
	f("messages for the pipe", 16_000_000, 800_000, 1_500_000, 12)
	f("a frame of many seconds", 100_000, 5_000, 60_000, 1)
}

// What is within the burst passes at once, and nobody is held up for having used
// it up.
func TestBurst(t *testing.T) { eachScheme(t, plainAndTLS, testBurst) }

func testBurst(t *testing.T, over scheme) {
	r := start(t, Options{Rate: Rate{Messages: 1, MessageBurst: 50, Bytes: 1, ByteBurst: 10_000}}, over)
	l := r.join(t)
	message := masked(binaryFrame, strings.Repeat("x", 10_000/50-8))
	for range 5 {
		l.client.send(bytes.Repeat(message, 10))
		l.upstream.bytes(bytes.Repeat(message, 10))
	}
	answer := unmasked(textFrame, "all of it")
	l.upstream.send(answer)
	l.client.bytes(answer)
	if n := r.relay.Totals(); n != (Totals{}) {
		t.Errorf("totals %+v", n)
	}
	l.client.send(message) // and that is one too many
	r.slowed(t, 1)
	r.stop()
	if e := l.anyEnd(); e.Cause != Aborted || e.Upstream.Messages != 1 {
		t.Errorf("ended with %+v", e)
	}
	l.hangUp()
}

// To the byte no more passes than the burst and what has flown in since, however
// the frames are cut and moved.
func TestNoMoreThanTheBurst(t *testing.T) { eachScheme(t, eitherSide, testNoMoreThanTheBurst) }

func testNoMoreThanTheBurst(t *testing.T, over scheme) {
	random := randomness(t)
	for _, size := range []int{10, 1000, 30_000, 100_000, 400_000} {
		burst := int64(5*size/2 + 200)
		r := start(t, Options{Rate: Rate{Bytes: 1, ByteBurst: burst}}, over)
		began := time.Now()
		l := r.join(t)
		var flood []byte
		for int64(len(flood)) < 2*burst {
			flood = append(flood, masked(binaryFrame, payload(random, size))...)
		}
		done := l.client.later(flood)
		l.upstream.bytes(flood[:burst-13]) // what is held of the next header does not pass
		r.slowed(t, 1)
		r.stop()
		rest, _ := io.ReadAll(l.upstream.in)
		if most := allowed(1, burst, began); burst-13+int64(len(rest)) > most {
			t.Errorf("%d bytes passed in messages of %d, %d were allowed", burst-13+int64(len(rest)), size, most)
		}
		<-done
		l.hangUp()
	}
}

// A bucket fills up again: after a pause there is another burst.
func TestBurstAfterPause(t *testing.T) {
	t.Parallel()
	const rate, burst = 200, 20
	r := start(t, Options{Rate: Rate{Messages: rate, MessageBurst: burst}})
	l := r.join(t)
	message := masked(textFrame, "hello")
	for range 3 {
		l.client.send(bytes.Repeat(message, burst))
		l.upstream.bytes(bytes.Repeat(message, burst))
		<-time.After(burst * time.Second / rate * 3 / 2)
	}
	if e := l.closed(); e.Slowed != 0 {
		t.Errorf("slowed for %v", e.Slowed)
	}
}

// What was read with the handshake is slowed down like all that follows, and
// arrives before it.
func TestEarlyFlood(t *testing.T) { eachScheme(t, plainAndTLS, testEarlyFlood) }

func testEarlyFlood(t *testing.T, over scheme) {
	for _, rate := range []Rate{{Messages: 200, MessageBurst: 10}, {Bytes: 5000, ByteBurst: 250}} {
		r := start(t, Options{Rate: rate}, over)
		random := randomness(t)
		var early, late [][]byte
		for range 50 {
			early = append(early, masked(textFrame, payload(random, 20)))
			late = append(late, masked(textFrame, payload(random, 20)))
		}
		l := r.join(t, func(p *Pair) { p.FromClient = bytes.Join(early, nil) })
		l.client.send(late...)
		l.upstream.bytes(early...)
		l.upstream.bytes(late...)
		if e := l.closed(); e.Client != sent(100, append(early, late...)...) || e.Slowed <= 0 {
			t.Errorf("%+v: ended with %+v", rate, e)
		}
	}
}

// Whatever both sides say under limits of all kinds: it arrives, and how it ends is
// how it would end without them. In half of the stories somebody offends, or goes
// before the other one has said all.
func TestSlowStories(t *testing.T) { eachScheme(t, plainAndTLS, testSlowStories) }

func testSlowStories(t *testing.T, over scheme) {
	for _, rate := range []Rate{
		{Messages: 100, MessageBurst: 1},
		{Messages: 100, MessageBurst: 1, Bytes: 1 << 20, ByteBurst: 1},
		{Bytes: 1 << 20, ByteBurst: 1},
	} {
		t.Run(fmt.Sprintf("%+v", rate), func(t *testing.T) {
			t.Parallel()
			r := start(t, Options{MaxFrame: fuzzMaxFrame, CloseWait: 2 * time.Minute, Rate: rate}, over)
			random := randomness(t)
			var slowed time.Duration
			for i := range over.times(50) {
				limits := []int{10, 127, 2000, 66_000, 66_000}
				c, inC := conversation(random, masked, limits[random.IntN(5)])
				u, inU := conversation(random, unmasked, limits[random.IntN(5)])
				most := []int{3000, 200_000}[random.IntN(2)]
				if i%2 == 0 {
					tell(t, r, random, most, spoil(random, masked, c), spoil(random, unmasked, u))
					continue
				}
				l := r.join(t)
				l.talk(random, most, c, u)
				e := l.closed()
				if e.Client != sent(inC, c...) || e.Upstream != sent(inU, u...) {
					t.Errorf("ended with %+v", e)
				}
				slowed += e.Slowed
			}
			if slowed == 0 && over == plain {
				t.Error("nobody was held up")
			}
		})
	}
}

// Many clients at a time are held up, each for itself: all get their turns, those
// who keep to the limit among them are not held up, and all of it arrives.
func TestManyAreHeldUp(t *testing.T) {
	t.Parallel()
	const rate, burst, floods = 200, 20, 100
	r := start(t, Options{Loops: 1, Rate: Rate{Messages: rate, MessageBurst: burst}})
	message := masked(textFrame, "hello")
	flood := bytes.Repeat(message, 3*burst)
	links := make([]*link, floods)
	for i := range links {
		links[i] = r.join(t)
	}
	modest := r.join(t)
	for _, l := range links {
		l.client.send(flood)
	}
	for range burst - 1 {
		modest.client.send(message)
		modest.upstream.bytes(message)
	}
	if e := modest.closed(); e.Slowed != 0 {
		t.Errorf("slowed for %v", e.Slowed)
	}
	var slowed uint64
	for _, l := range links {
		l.upstream.bytes(flood)
		e := l.closed()
		if e.Slowed <= 0 && mustSlow(e, 3*burst, rate, burst) || e.Client.Messages != 3*burst {
			t.Errorf("ended with %+v", e)
		}
		if e.Slowed > 0 {
			slowed++
		}
	}
	if n := r.relay.Totals(); n != (Totals{Slowed: slowed}) {
		t.Errorf("totals %+v, %d were slowed", n, slowed)
	}
}
