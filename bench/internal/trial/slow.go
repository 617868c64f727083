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

// SlowAttack is one kind of attack on one listener, in all rounds.
type SlowAttack struct {
	Mode   string      `json:"mode"`
	TLS    bool        `json:"tls"`
	Rounds []SlowRound `json:"rounds"`
	// Ratio is the median over the rounds of the p99 during the attack divided by that without one.
	Ratio float64 `json:"p99_ratio"`
}

// Name is what the attack is called.
func (a *SlowAttack) Name() string {
	if a.TLS {
		return a.Mode + ", wss"
	}
	return a.Mode + ", ws"
}

// SlowRound is one measurement without an attack and one with it, of the same sessions.
type SlowRound struct {
	Errors int64      `json:"errors"` // of the sessions
	Quiet  SlowSample `json:"quiet"`
	Attack SlowSample `json:"attack"`
}

// SlowSample is one of the two. Without an attack nobody is slow.
type SlowSample struct {
	Latency   latency.Summary `json:"latency"`
	PerSecond float64         `json:"per_second"`
	// Alive is how many slow connections the router had, at each look; Every is the time between two looks in seconds.
	Alive []int   `json:"alive,omitempty"`
	Every float64 `json:"look_seconds"`
	// Opened is how many were seen in all, and Refused how many the router says that it has turned away: some are gone before anybody looks.
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

// sumUp takes the medians of the rounds' ratios.
func (a *SlowAttack) sumUp() {
	a.Ratio = medianRatio(a.Rounds, func(x SlowRound) (of, to latency.Summary) { return x.Attack.Latency, x.Quiet.Latency })
}
