package proxy

import (
	"cmp"
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// memoryEvery is how often the memory in use is looked at while somebody asks, or
	// there is too little: a crowd can take hundreds of megabytes in a second.
	memoryEvery = 100 * time.Millisecond
	// memoryRest is how often it is looked at while nobody asks. A process at rest is
	// woken as seldom as can be: 10 times a second is 0.2 % of a processor.
	memoryRest = 2 * time.Second
	// memoryShare is what the high mark is of the control group's limit, and the
	// low mark of the high one, in percent.
	memoryShare = 90
	// While there is too little of it, memory is given back every giveBackEvery, or
	// less often: the pause is at least giveBackRest times what it has taken.
	giveBackEvery = time.Second
	giveBackRest  = 20
)

// memory says whether the process has too little memory for new sessions, or for
// what it could do without.
type memory struct {
	short, tight atomic.Bool

	rests atomic.Bool   // watchMemory does not look before memoryRest
	bell  chan struct{} // room for one: it shall

	pause time.Time // until when giveBack gives nothing; for watchMemory only
	top   string    // where the file system begins, if not at /
}

// isShort reports whether there is too little for what asks. It may be called
// concurrently, by loops, too.
func (m *memory) isShort() bool {
	m.stir()
	return m.short.Load()
}

// stir makes watchMemory look soon.
func (m *memory) stir() {
	if m.rests.Load() && m.rests.CompareAndSwap(true, false) {
		select {
		case m.bell <- struct{}{}:
		default:
		}
	}
}

// marks are where new sessions are refused, and where they are taken again, in
// bytes; 0 means never.
func (l *Limits) marks(of group) (high, low int64) {
	switch {
	case l.MemoryHigh > 0:
		high = l.MemoryHigh
	case l.MemoryHigh == 0:
		high = of.limit / 100 * memoryShare
	}
	low = l.MemoryLow
	if low <= 0 || low > high {
		low = high / 100 * memoryShare
	}
	return high, low
}

// memoryInUse is what these are compared with: the process's own for a mark that is
// given. The limit of a group holds for the kernel's memory and for its other
// processes, too.
func (l *Limits) memoryInUse(of group) int64 {
	own := residentMemory()
	if l.MemoryHigh != 0 {
		return own
	}
	return max(own, of.used())
}

// watchMemory looks at the memory in use until ctx is done.
func (p *Proxy) watchMemory(ctx context.Context) {
	group := findGroup(cmp.Or(p.memory.top, "/"))
	for {
		p.memory.rests.Store(true) // who asks from now on is not overheard
		limits := &p.world.Load().options.Limits
		high, low := limits.marks(group)
		if high > 0 {
			used, short := limits.memoryInUse(group), p.memory.short.Load()
			if (used >= high || used >= low && short) && p.memory.giveBack() {
				used = limits.memoryInUse(group)
			}
			p.judgeMemory(short, used, high, low)
		} else {
			p.memory.tight.Store(false)
			if p.memory.short.Swap(false) {
				p.logger.Info("memory is not limited any more")
			}
		}
		if !p.memory.rest(ctx) {
			return
		}
	}
}

// rest returns when it is time to look again, or false when ctx is done.
func (m *memory) rest(ctx context.Context) bool {
	soon := time.NewTimer(memoryEvery)
	defer soon.Stop()
	if !m.short.Load() {
		late := time.NewTimer(memoryRest)
		defer late.Stop()
		select {
		case <-m.bell:
		case <-late.C:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-soon.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// judgeMemory turns new sessions away from the high mark on, until the low one, and
// leaves it at what was the case otherwise. From the low mark on there are no spare
// connections.
func (p *Proxy) judgeMemory(short bool, used, high, low int64) {
	p.memory.tight.Store(used >= low)
	switch {
	case !short && used >= high:
		p.memory.short.Store(true)
		p.logger.Warn("short of memory: new sessions are refused", "used", used, "high", high)
	case short && used < low:
		p.memory.short.Store(false)
		p.logger.Info("memory again: new sessions are taken", "used", used, "low", low)
	default:
		p.memory.short.Store(short)
	}
}

// giveBack gives to the system what a rush has left behind, which may be most of
// what is in use, and reports whether it did. Nobody comes in until what is left is
// judged. Nothing else would do it soon: while new sessions are refused hardly
// anything is allocated, so no collection comes by itself.
func (m *memory) giveBack() bool {
	began := time.Now()
	if began.Before(m.pause) {
		return false
	}
	m.short.Store(true)
	debug.FreeOSMemory()
	ended := time.Now()
	m.pause = ended.Add(max(giveBackEvery, giveBackRest*ended.Sub(began)))
	return true
}
