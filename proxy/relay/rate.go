package relay

import "math"

// Rate bounds what one client may send, per second and in a burst. Each bound is
// a bucket of tokens: the burst fills it, what the client sends is taken out of
// it, and so much flows in per second. The zero value bounds nothing.
//
// A client that sends more is slowed down: it is not read until there are tokens
// again, at most twenty times a second, so that TCP pushes back. It loses nothing
// by that, and what the upstream says to it goes on. A session that is being
// closed is not slowed down any more; the close wait bounds it.
type Rate struct {
	// Messages is how many messages may be sent per second. Each control frame
	// counts, but Close, and so does each further fragment of a message with less
	// than [wsframe.SmallFragment] bytes. Default 0: no limit, and so is a
	// negative value.
	Messages int
	// MessageBurst is how many messages may come at once. Default: those of one
	// second; at least those of a twentieth of a second.
	MessageBurst int
	// Bytes is how many bytes of frames may be sent per second: their headers
	// count, what TLS and TCP add does not. Default 0: no limit, and so is a
	// negative value.
	Bytes int64
	// ByteBurst is how many bytes may come at once. Default: those of one second;
	// at least those of a twentieth of a second, and of one control frame.
	ByteBurst int64
	// Close ends the session of a client that sends more, with Close 1008, where
	// it would be slowed down. The frame that is under way to the upstream
	// is finished first.
	Close bool
}

// quota is one bound of a Rate.
type quota struct {
	rate  int64 // tokens per second; 0: no limit
	burst int64 // tokens in the full bucket
	turn  int64 // tokens that a client waits for once there are none
}

const (
	// turnsPerSecond is how often a client that was held up has its turn: a turn
	// costs the loop a few system calls, and the client this much of a delay.
	turnsPerSecond = 20
	// mostTokens is no limit that anybody could notice, and far from an overflow.
	mostTokens = 1 << 50
)

func newQuota(rate, burst, least int64) quota {
	if rate <= 0 {
		return quota{}
	}
	rate = min(rate, mostTokens)
	if burst <= 0 {
		burst = rate
	}
	turn := (rate + turnsPerSecond - 1) / turnsPerSecond
	return quota{rate, min(max(burst, turn, least), mostTokens), turn}
}

// bucket is what is missing in a bucket, in thousandths of tokens: so many flow in
// per millisecond as tokens per second. The zero value is a full bucket, whatever
// its quota.
type bucket struct{ missing int64 }

// fill lets flow in what comes in so many milliseconds, at most until the bucket
// is full.
func (b *bucket) fill(q quota, ms int64) {
	switch {
	case q.rate == 0 || ms >= (b.missing+q.rate-1)/q.rate:
		b.missing = 0
	case ms > 0:
		b.missing -= ms * q.rate
	}
	b.missing = min(b.missing, q.burst*1000) // the quota may have been a larger one
}

// left is how many tokens there are.
func (b *bucket) left(q quota) int64 {
	if q.rate == 0 {
		return math.MaxInt64
	}
	return q.burst - (b.missing+999)/1000
}

// take takes n tokens, at most those that are left.
func (b *bucket) take(q quota, n int64) {
	if q.rate > 0 {
		b.missing += n * 1000
	}
}

// wait is how long it takes, in milliseconds, until there are n tokens, at most
// those of a full bucket.
func (b *bucket) wait(q quota, n int64) int64 {
	if q.rate == 0 {
		return 0
	}
	return (max(0, b.missing-(q.burst-n)*1000) + q.rate - 1) / q.rate
}
