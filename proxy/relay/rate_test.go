package relay

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	f := func(rate, burst, least int64, want quota) {
		t.Helper()
		if got := newQuota(rate, burst, least); got != want {
			t.Errorf("%d per second, burst %d of %d at least: %+v, want %+v", rate, burst, least, got, want)
		}
	}
	f(0, 0, 1, quota{})
	f(0, 100, 1, quota{}) // a burst without a rate
	f(-1, 100, 1, quota{})
	f(math.MinInt64, math.MinInt64, 1, quota{})
	f(1, 0, 1, quota{1, 1, 1})
	f(100, 0, 1, quota{100, 100, 5})
	f(100, -7, 1, quota{100, 100, 5})
	f(100, 500, 1, quota{100, 500, 5})
	f(100, 20, 1, quota{100, 20, 5})
	f(100, 4, 1, quota{100, 5, 5}) // else the rate could not be had
	f(101, 0, 1, quota{101, 101, 6})
	f(1, 0, 131, quota{1, 131, 1})
	f(1000, 100, 131, quota{1000, 131, 50})
	f(math.MaxInt64, 0, 131, quota{mostTokens, mostTokens, mostTokens/20 + 1})
	f(1, math.MaxInt64, 131, quota{1, mostTokens, 1})
}

func TestRateDefaults(t *testing.T) {
	t.Parallel()
	for _, r := range []Rate{{}, {Close: true}, {MessageBurst: 5, ByteBurst: 5, Close: true}, {Messages: -1, Bytes: -1}} {
		if q := newQuotas(r); !q.none() || q.slows() {
			t.Errorf("%+v: %+v", r, q)
		}
	}
	for _, r := range []Rate{{Messages: 1}, {Bytes: 1}} {
		if q := newQuotas(r); q.none() || !q.slows() {
			t.Errorf("%+v: %+v", r, q)
		}
		r.Close = true
		if q := newQuotas(r); q.none() || q.slows() {
			t.Errorf("%+v: %+v", r, q)
		}
	}
	o := Options{MaxMessage: -5, Rate: Rate{Messages: 3}}.withDefaults()
	if o.MaxMessage != 0 || o.Rate != (Rate{Messages: 3}) {
		t.Errorf("%+v", o)
	}
}

// tokens is the plain reading of a bucket: what is missing in it, exactly.
type tokens struct{ missing *big.Rat }

func (p *tokens) fill(q quota, ms int64) {
	flow := new(big.Rat).Mul(big.NewRat(ms, 1000), new(big.Rat).SetInt64(q.rate))
	p.missing.Sub(p.missing, flow)
	if q.rate == 0 || p.missing.Sign() < 0 {
		p.missing.SetInt64(0)
	}
	if full := new(big.Rat).SetInt64(q.burst); p.missing.Cmp(full) > 0 {
		p.missing.Set(full)
	}
}

func (p *tokens) take(n int64) { p.missing.Add(p.missing, new(big.Rat).SetInt64(n)) }

// left is how many whole tokens there are.
func (p *tokens) left(q quota) int64 {
	r := new(big.Rat).Sub(new(big.Rat).SetInt64(q.burst), p.missing)
	return new(big.Int).Div(r.Num(), r.Denom()).Int64() // rounds down
}

// Whatever is taken, however long the pauses, also where the quota changes: the
// bucket is the plain one, and the wait is the shortest that is long enough.
func TestBucketIsPlain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.OneOf(rapid.Int64Range(0, 30), rapid.Int64Range(0, 5_000_000), rapid.Int64Range(mostTokens-5, mostTokens+5))
		draw := func() quota {
			return newQuota(amounts.Draw(t, "rate"), amounts.Draw(t, "burst"), rapid.Int64Range(1, 131).Draw(t, "least"))
		}
		q, b, p := draw(), bucket{}, tokens{new(big.Rat)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				q = draw()
				b.fill(q, 0)
				p.fill(q, 0)
			case 1, 2:
				ms := rapid.OneOf(rapid.Int64Range(-3, 100), rapid.Int64Range(0, math.MaxInt64/2)).Draw(t, "pause")
				b.fill(q, ms)
				p.fill(q, max(0, ms)) // clocks do not go back
			default:
				if q.rate == 0 {
					b.take(q, amounts.Draw(t, "taken")) // nothing is missing where there is no limit
					continue
				}
				if left := b.left(q); left > 0 {
					n := rapid.Int64Range(1, left).Draw(t, "taken")
					b.take(q, n)
					p.take(n)
				}
			}
			if q.rate == 0 {
				if b.left(q) != math.MaxInt64 || b.wait(q, 1) != 0 {
					t.Fatalf("without a limit: %d tokens, wait %d", b.left(q), b.wait(q, 1))
				}
				continue
			}
			if got, want := b.left(q), p.left(q); got != want {
				t.Fatalf("%+v: %d tokens left, want %d", q, got, want)
			}
			n := rapid.SampledFrom([]int64{1, q.turn, q.burst}).Draw(t, "wanted")
			wait := b.wait(q, n)
			soon, late := b, b
			late.fill(q, wait)
			if late.left(q) < n {
				t.Fatalf("%+v: %d tokens after a wait of %d ms, want %d", q, late.left(q), wait, n)
			}
			if soon.fill(q, wait-1); wait > 0 && soon.left(q) >= n {
				t.Fatalf("%+v: %d tokens a ms before the wait of %d ms is over", q, soon.left(q), wait)
			}
		}
	})
}

// A client that is held up has its turn within a second, whatever the rate, and
// with the tokens of a twentieth of one.
func TestTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 10_000_000))
		r := Rate{Messages: amounts.Draw(t, "messages"), MessageBurst: amounts.Draw(t, "message burst"),
			Bytes: int64(amounts.Draw(t, "bytes")), ByteBurst: int64(amounts.Draw(t, "byte burst"))}
		q := newQuotas(r)
		m := meter{quotas: &q}
		now := int64(0)
		for range 20 {
			m.fill(&q, now)
			if !m.ready(0) {
				wait := m.wait(0)
				if wait < 1 || wait > 1000 {
					t.Fatalf("%+v: wait of %d ms", r, wait)
				}
				now += wait
				m.fill(&q, now)
				if !m.ready(0) || r.Messages > 0 && m.messages.left(q.messages) < int64(r.Messages/turnsPerSecond) ||
					r.Bytes > 0 && m.bytes.left(q.bytes) < r.Bytes/turnsPerSecond {
					t.Fatalf("%+v: not much after a wait of %d ms", r, wait)
				}
			}
			n := rapid.IntRange(1, 300_000).Draw(t, "sent")
			messages, over := m.room(n)
			passed, begun := n-over, min(messages, rapid.IntRange(1, 300_000).Draw(t, "messages sent"))
			m.take(begun, passed)
			if passed < 1 || begun < 1 {
				t.Fatalf("%+v: %d messages and %d bytes may pass", r, begun, passed)
			}
			now += rapid.Int64Range(0, 3).Draw(t, "pause")
		}
	})
}
