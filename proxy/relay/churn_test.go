package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// endings are ways for a session to end that need nobody's answer but the end
// of TCP, which the test brings about afterwards.
var endings = []func(l *link, random *rand.Rand){
	func(l *link, _ *rand.Rand) { say(l.client, masked(closeFrame, body(1000, "bye"))) },
	func(l *link, _ *rand.Rand) { say(l.upstream, unmasked(closeFrame, body(1001, "bye"))) },
	func(l *link, _ *rand.Rand) {
		say(l.client, masked(closeFrame, body(3000, "")))
		say(l.upstream, unmasked(closeFrame, body(3001, "")))
	},
	func(l *link, _ *rand.Rand) { _ = l.client.conn.CloseWrite() },
	func(l *link, _ *rand.Rand) { _ = l.upstream.conn.CloseWrite() },
	func(l *link, _ *rand.Rand) { abort(l.client) },
	func(l *link, _ *rand.Rand) { abort(l.upstream) },
	func(l *link, random *rand.Rand) {
		f := masked(binaryFrame, payload(random, 5000))
		say(l.client, f[:random.IntN(len(f))])
		abort(l.client)
	},
	func(l *link, random *rand.Rand) {
		f := unmasked(closeFrame, body(1000, "half of it"))
		say(l.upstream, f[:random.IntN(len(f))])
		abort(l.upstream)
	},
	func(l *link, _ *rand.Rand) { say(l.client, unmasked(textFrame, "no mask")) },
	func(l *link, _ *rand.Rand) { say(l.upstream, masked(textFrame, "mask")) },
	func(l *link, _ *rand.Rand) { l.session.Close(1012, "moved") },
	func(l *link, random *rand.Rand) {
		f := unmasked(binaryFrame, payload(random, 5000))
		say(l.upstream, f[:random.IntN(len(f))])
		l.session.Close(1012, "moved")
		l.session.Close(1012, "moved again")
	},
	func(l *link, _ *rand.Rand) {
		l.session.Close(1012, "moved")
		say(l.client, masked(closeFrame, ""))
		abort(l.upstream)
	},
}

// say sends what may not arrive any more.
func say(p *peer, f []byte) { _, _ = p.conn.Write(f) }

func abort(p *peer) { _ = p.conn.abort() }

// live leads one session from a message to a random end. Some far ends wait for
// what comes, some just go.
func live(l *link, random *rand.Rand) error {
	hello := l.client.frameFrom(textFrame, "hello")
	say(l.client, hello)
	got := make([]byte, len(hello))
	if _, err := io.ReadFull(l.upstream.in, got); err != nil || string(got) != string(hello) {
		return fmt.Errorf("upstream: %q, %w", got, err)
	}
	endings[random.IntN(len(endings))](l, random)
	first, second := l.client, l.upstream
	if random.IntN(2) == 0 {
		first, second = second, first
	}
	_ = first.conn.CloseWrite()
	if random.IntN(2) == 0 {
		_, _ = second.in.ReadByte() // a Close frame or the end, something comes
	}
	if random.IntN(4) == 0 {
		abort(second)
	}
	second.conn.Close()
	first.conn.Close()
	return nil
}

// Thousands of sessions of all kinds leave nothing behind. The ends of the
// sessions themselves are checked when the rig finishes.
func TestChurn(t *testing.T) { testChurn(t, plain, 400) }

func TestChurnOfTLS(t *testing.T) { testChurn(t, wssToWSS, 25) }

func testChurn(t *testing.T, over scheme, inWave int) {
	start(t, Options{}).stop() // what the runtime opens once is open now
	before := descriptors(t)
	const waves = 25
	r := start(t, Options{}, over)
	random := randomness(t)
	for range waves {
		var group sync.WaitGroup
		for range inWave {
			l := r.join(t)
			own := rand.New(rand.NewPCG(random.Uint64(), 0))
			group.Go(func() {
				if err := live(l, own); err != nil {
					t.Error(err)
				}
				l.anyEnd()
			})
		}
		group.Wait()
	}
	r.finish()
	if !within(patience, func() bool { return descriptors(t) == before }) {
		t.Errorf("%d descriptors, %d before", descriptors(t), before)
	}
}
