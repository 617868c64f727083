package drain

import (
	"context"
	"testing"
	"time"
)

// queue is a hall whose sessions are asked whether they may leave, the last of which
// takes a moment to answer.
type queue struct {
	hall
	asked chan bool // when the last one is asked
	stays bool      // and what it says
	calls int
}

// queued is a session of a queue.
type queued struct {
	Session
	queue *queue
}

func (s queued) MayLeave(Cause) bool {
	q := s.queue
	if q.calls++; q.calls != len(q.guests) {
		return true
	}
	q.asked <- true
	time.Sleep(time.Millisecond)
	return !q.stays
}

func (q *queue) Sessions(ctx context.Context, p *Plan) ([]Candidate, error) {
	list, err := q.hall.Sessions(ctx, p)
	for i := range list {
		list[i].Session = queued{list[i].Session, q}
	}
	return list, err
}

// A word that comes while the last session of a list is being looked at is heard at
// once.
func TestCancelInTheLastStep(t *testing.T) {
	for name, stays := range map[string]bool{"all leave": false, "one stays": true} {
		bubble(name, t, func(t *testing.T) {
			q := &queue{asked: make(chan bool), stays: stays}
			q.expects = true
			e := runs(t, q)
			q.enter(3, takes(time.Minute))
			d := begin(t, e, Plan{Rate: 10, Code: 1012})
			<-q.asked
			began := time.Now()
			d.Cancel("no more")
			<-d.Done()
			if took := time.Since(began); took > 10*time.Millisecond {
				t.Errorf("heard after %v", took)
			}
		})
	}
}
