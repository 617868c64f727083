package proxy

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/pointsman/pointsman/proxy/relay"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

// expiries are the sessions that are closed at a time of their own, the next one
// first. A session of them costs an entry here; one that is none costs nothing.
type expiries struct {
	mu    *sync.Mutex
	queue *expiryQueue
	of    map[*session]*expiry
	bell  chan struct{} // another one is the next
}

// expiry is one of them.
type expiry struct {
	session *session
	handle  *relay.Session
	at      time.Time
	index   int // in the queue
}

func newExpiries() expiries {
	return expiries{new(sync.Mutex), new(expiryQueue), make(map[*session]*expiry), make(chan struct{}, 1)}
}

// add closes a session at a time, unless it has ended before.
func (e *expiries) add(s *session, handle *relay.Session, at time.Time) {
	x := &expiry{session: s, handle: handle, at: at}
	e.mu.Lock()
	if s.drain.Load() != noDrain { // it may have ended already
		heap.Push(e.queue, x)
		e.of[s] = x
	}
	first := x.index == 0
	e.mu.Unlock()
	if first {
		select {
		case e.bell <- struct{}{}:
		default:
		}
	}
}

// forget is told of the end of a session. It runs in an event loop.
func (e *expiries) forget(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.of[s]; x != nil {
		delete(e.of, s)
		heap.Remove(e.queue, x.index)
	}
}

// run closes sessions until ctx is done.
func (e *expiries) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.closeExpired(time.Now()))
		select {
		case <-timer.C:
		case <-e.bell:
		case <-ctx.Done():
			return
		}
	}
}

// closeExpired closes those whose time has come, and returns when to look again.
func (e *expiries) closeExpired(now time.Time) time.Duration {
	for {
		e.mu.Lock()
		if e.queue.Len() == 0 {
			e.mu.Unlock()
			return time.Hour
		}
		x := (*e.queue)[0]
		if wait := x.at.Sub(now); wait > 0 {
			e.mu.Unlock()
			return wait
		}
		heap.Pop(e.queue)
		delete(e.of, x.session)
		e.mu.Unlock()
		x.handle.Close(wsframe.CodePolicy, "access token expired")
	}
}

// expiryQueue is a heap.
type expiryQueue []*expiry

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *expiryQueue) Push(x any) {
	e := x.(*expiry)
	e.index = len(*q)
	*q = append(*q, e)
}
func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return x
}
