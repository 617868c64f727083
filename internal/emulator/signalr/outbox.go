package signalr

import (
	"context"
	"sync"
	"time"
)

// An outbox holds the records that a client is still to be sent. Putting one in
// never blocks. All methods may be called concurrently, but one goroutine at a
// time takes.
type outbox struct {
	records int // most records
	bytes   int // most bytes

	mu     sync.Mutex
	queue  [][]byte
	queued int  // bytes
	held   bool // nothing is taken for now
	ended  bool
	bell   chan struct{}
}

func newOutbox(records, bytes int) *outbox {
	return &outbox{records: records, bytes: bytes, bell: make(chan struct{}, 1)}
}

// put returns false if there is no room. After the end nothing is taken in, and
// nobody complains.
func (o *outbox) put(record []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return true
	}
	if len(o.queue) >= o.records || o.queued+len(record) > o.bytes {
		return false
	}
	o.pushLocked(record)
	return true
}

// hold keeps everything in the outbox until letGo.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

func (o *outbox) letGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	o.ringLocked()
}

// finish makes record the last one; nil is none. If it is abrupt, what waits is
// dropped.
func (o *outbox) finish(record []byte, abrupt bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	if abrupt {
		o.queue, o.queued = nil, 0
	}
	if record != nil {
		o.pushLocked(record)
	}
	o.ended = true
	o.ringLocked()
}

func (o *outbox) pushLocked(record []byte) {
	o.queue = append(o.queue, record)
	o.queued += len(record)
	o.ringLocked()
}

func (o *outbox) ringLocked() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// What take has found.
type found int

const (
	foundRecords found = iota
	foundNothing       // in the time that was given
	foundEnd           // and nothing before it
	foundLate          // the context ended
)

// take waits for records and returns up to most of them.
func (o *outbox) take(ctx context.Context, most int, wait time.Duration) ([][]byte, found) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if records, what := o.poll(most); what != foundNothing {
			return records, what
		}
		select {
		case <-o.bell:
		case <-timer.C:
			return nil, foundNothing
		case <-ctx.Done():
			// What came just before goes first.
			if records, what := o.poll(most); what != foundNothing {
				return records, what
			}
			return nil, foundLate
		}
	}
}

func (o *outbox) poll(most int) ([][]byte, found) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held {
		return nil, foundNothing
	}
	n := min(most, len(o.queue))
	if n == 0 {
		if o.ended {
			return nil, foundEnd
		}
		return nil, foundNothing
	}
	records := append([][]byte(nil), o.queue[:n]...)
	for i, r := range records {
		o.queued -= len(r)
		o.queue[i] = nil // let its bytes go
	}
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return records, foundRecords
}
