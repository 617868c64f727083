package trial

import (
	"time"

	"github.com/pointsman/pointsman/bench/internal/latency"
)

// Slow is what sessions notice of clients that are slow on purpose, and what becomes of these.
type Slow struct {
	Sessions  int     `json:"sessions"`
	PerSecond float64 `json:"per_second"` // messages of all sessions together
	Size      int     `json:"size"`
	Slow      int     `json:"slow"`             // connections of an attack
	SlowRate  int     `json:"slow_per_second"`  // how they are opened
	Deadline  float64 `json:"deadline_seconds"` // for a client's head
	// Attacks are those that were made.
	Attacks []SlowAttack `json:"attacks"`
}

// SlowAttack is one kind of attack on one candidate, in all rounds.
type SlowAttack struct {
	Candidate string      `json:"candidate"` // a name of package peer
	Mode      string      `json:"mode"`
	TLS       bool        `json:"tls"`
	Rounds    []SlowRound `json:"rounds"`
	// Ratio is SlowRatio, and Alone the same to the p99 without any clients but the sessions.
	Ratio float64 `json:"p99_ratio"`
	Alone float64 `json:"p99_ratio_to_alone"`
}

// Name is what the attack is called.
func (a *SlowAttack) Name() string {
	if a.TLS {
		return a.Mode + ", wss"
	}
	return a.Mode + ", ws"
}

// SlowRound is three measurements of the same sessions: alone, beside clients that come as often as those of an attack and are not slow,
// and beside the attack.
type SlowRound struct {
	Errors   int64      `json:"errors"` // of the sessions
	Alone    SlowSample `json:"alone"`
	Ordinary SlowSample `json:"ordinary"`
	Attack   SlowSample `json:"attack"`
}

// SlowSample is one of the three. What it says of slow ones is about the ordinary clients in the second.
type SlowSample struct {
	// Latency is that of each second. P50 and P99 are medians of these, in microseconds, so that they are those of an ordinary second: on a
	// machine that others share, one bad moment can be all of the p99 of a minute.
	Latency []latency.Summary `json:"latency_by_second"`
	P50     float64           `json:"p50_us"`
	P99     float64           `json:"p99_us"`
	// PerSecond are the messages that came back.
	PerSecond float64 `json:"per_second"`
	// Alive is how many slow connections the router had, at each look; Every is the time between two looks in seconds.
	Alive []int   `json:"alive,omitempty"`
	Every float64 `json:"look_seconds"`
	// Opened is how many were seen in all, and Refused how many pointsman says that it has turned away: some are gone before anybody looks.
	// Longest is how long the oldest of those seen was there in seconds, and Left how many the router had when no more was waited for.
	Opened  int     `json:"opened"`
	Refused int     `json:"refused"`
	Longest float64 `json:"longest_seconds"`
	Left    int     `json:"left"`
	// RSS is the router's resident memory before the interval, Peak the largest in it, in bytes.
	RSS  int64 `json:"rss"`
	Peak int64 `json:"peak_rss"`
}

// Arrived is how many slow connections there were, by what was seen and what the router says.
func (s SlowSample) Arrived() int { return max(s.Opened, s.Refused) }

// comings is how the slow connections come and go, as they are seen from outside.
type comings struct {
	known map[uint32]bool      // inodes of those that were there before
	lives map[uint32]*lifetime // of the others, by inode
	alive []int
}

type lifetime struct{ first, last time.Duration }

// look notes which connections the router has at a moment, and returns how many of them are slow ones.
func (c *comings) look(at time.Duration, inodes []uint32) int {
	n := 0
	for _, inode := range inodes {
		if c.known[inode] {
			continue
		}
		n++
		if l, ok := c.lives[inode]; ok {
			l.last = at
		} else {
			c.lives[inode] = &lifetime{at, at}
		}
	}
	c.alive = append(c.alive, n)
	return n
}

// sumUp puts into the sample what was seen. A life may be longer by what passes between two looks.
func (c *comings) sumUp(s *SlowSample, every time.Duration) {
	s.Alive, s.Every, s.Opened = c.alive, every.Seconds(), len(c.lives)
	for _, l := range c.lives {
		s.Longest = max(s.Longest, (l.last - l.first + every).Seconds())
	}
	if n := len(c.alive); n > 0 {
		s.Left = c.alive[n-1]
	}
}

// sumUp takes the medians of what the seconds have shown.
func (s *SlowSample) sumUp() { s.P50, s.P99 = ofSeconds(s.Latency) }

// ofSeconds returns the medians of what the seconds have shown.
func ofSeconds(all []latency.Summary) (p50, p99 float64) {
	var x, y []float64
	for _, l := range all {
		x, y = append(x, l.P50), append(y, l.P99)
	}
	return median(x), median(y)
}

func (a *SlowAttack) sumUp() {
	a.Ratio = SlowRatio(a.Rounds)
	a.Alone = meanRatio(a.Rounds, func(x SlowRound) (of, to float64) { return x.Attack.P99, x.Alone.P99 })
}

// SlowRatio is the geometric mean over the rounds of the p99 during the attack divided by that beside ordinary clients, zero if it is not known of
// each. Bad moments are left out already by the medians over the seconds, and of a few rounds a median is hardly more than one of them.
func SlowRatio(rounds []SlowRound) float64 {
	return meanRatio(rounds, func(x SlowRound) (of, to float64) { return x.Attack.P99, x.Ordinary.P99 })
}
