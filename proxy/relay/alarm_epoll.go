//go:build linux && !portable

package relay

import (
	"slices"
	"time"
)

// alarm is a call that is due.
type alarm struct {
	at   int64 // ms
	call func()
}

// after has one loop, always the same, make all calls: what comes of them is often
// another one, and needs no word to anybody then.
func (r *Relay) after(d time.Duration, f func()) {
	o := order{kind: setAlarm, alarm: alarm{r.now() + inMS(d), f}}
	if d <= 0 {
		o.alarm.at = 0
	}
	r.loops[0].post(o)
}

// setAlarm keeps a call in the order of their times.
func (l *loop) setAlarm(a alarm) {
	i := len(l.alarms)
	for i > 0 && l.alarms[i-1].at > a.at {
		i--
	}
	l.alarms = slices.Insert(l.alarms, i, a)
}

// ring makes the calls that are due by then.
func (l *loop) ring(by int64) {
	due := 0
	for due < len(l.alarms) && l.alarms[due].at <= by {
		due++
	}
	if due == 0 {
		return
	}
	calls := slices.Clone(l.alarms[:due])
	l.alarms = slices.Delete(l.alarms, 0, due)
	for _, a := range calls {
		a.call()
	}
}
