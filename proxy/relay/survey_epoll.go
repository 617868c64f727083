//go:build linux && !portable

package relay

import (
	"context"
	"slices"
)

// surveySlice is how many sessions a loop looks at in one turn: few enough that
// a frame behind them does not notice.
const surveySlice = 128

// survey is one look at the sessions of one loop, which owns it until done.
type survey struct {
	id    uint32
	keep  func(tag any) bool
	found []Sight
	begun bool
	left  int // sessions [0, left) are still to be looked at
	done  chan struct{}
}

func (r *Relay) look(ctx context.Context, keep func(tag any) bool) ([]Sight, error) {
	id := r.looks.Add(1)
	var asked []*survey
	for _, l := range r.loops {
		v := &survey{id: id, keep: keep, done: make(chan struct{})}
		if l.post(order{kind: look, survey: v}) {
			asked = append(asked, v)
		}
	}
	var found []Sight
	for _, v := range asked {
		select {
		case <-v.done:
			found = append(found, v.found...)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return found, nil
}

// survey goes on with the first of the surveys that were asked for. The others
// wait: a session remembers one.
func (l *loop) survey() {
	if len(l.surveys) == 0 {
		return
	}
	v := l.surveys[0]
	if !v.begun {
		v.begun, v.left = true, len(l.sessions)
	}
	// From the end to the front: a release fills its gap with the last session,
	// which has been seen then, and is marked so.
	v.left = min(v.left, len(l.sessions))
	for n := surveySlice; n > 0 && v.left > 0; n-- {
		v.left--
		s := l.sessions[v.left]
		if s.surveyed == v.id || s.phase != open {
			continue
		}
		s.surveyed = v.id
		if v.keep(s.tag) {
			v.found = append(v.found, s.sight(l.clock))
		}
	}
	if v.left == 0 {
		close(v.done)
		l.surveys = slices.Delete(l.surveys, 0, 1)
	}
}
