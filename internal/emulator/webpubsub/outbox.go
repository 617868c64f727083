package webpubsub

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// An ending is how and why a client is parted with. The first one counts.
type ending struct {
	code   websocket.StatusCode
	reason string
	// told makes clients of the JSON subprotocols get system/disconnected first.
	told bool
	// abrupt drops what still waits to be written: it would never go out.
	abrupt bool
}

// An outbox holds what a client is still to be sent. Putting something into it
// never blocks. With the reliable subprotocol it keeps each message until that
// is acknowledged, also while there is no socket.
//
// All methods may be called concurrently, but one goroutine per socket takes.
type outbox struct {
	protocol protocol
	frames   int // most frames in unacked, and in queue before another one that is not numbered
	bytes    int // most bytes of either

	mu      sync.Mutex
	socket  int     // counts sockets; whoever takes for another one is late
	open    bool    // there is a socket, or there will be one at once
	queue   []frame // for the socket, in order
	queued  int     // bytes of queue
	unacked []frame // messages, in order of their sequence ids
	held    int     // bytes of unacked
	seq     uint64  // the last one that was given
	end     *ending // nothing comes after it
	bell    chan struct{}
}

func newOutbox(p protocol, frames, bytes int) *outbox {
	return &outbox{protocol: p, frames: frames, bytes: bytes, bell: make(chan struct{}, 1)}
}

// attach begins with a new socket: it gets first (unless that is nil), then
// what was not acknowledged. It returns the number of the socket.
func (o *outbox) attach(first *frame) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.socket++
	o.open, o.queue, o.queued = true, nil, 0
	if first != nil {
		o.pushLocked(*first)
	}
	for _, f := range o.unacked {
		o.pushLocked(f)
	}
	o.ringLocked()
	return o.socket
}

// detach lets go of a lost socket, and reports false if another one has taken
// its place.
func (o *outbox) detach(socket int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.socket != socket {
		return false
	}
	o.open, o.queue, o.queued = false, nil, 0
	return true
}

// answer puts in a frame that is not numbered, such as an ack. It is lost with
// the socket. The result is false if there is no room.
func (o *outbox) answer(f frame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open || o.end != nil {
		return true
	}
	return o.queueLocked(f)
}

// deliver puts in a message. The result is false if there is no room.
func (o *outbox) deliver(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.end != nil {
		return true
	}
	switch o.protocol {
	case protocolRaw:
		return o.queueLocked(m.forRaw())
	case protocolJSON:
		return o.queueLocked(m.forJSON())
	}
	o.expireLocked()
	f := m.reliable(o.seq + 1)
	if len(o.unacked) >= o.frames || o.held+len(f.data) > o.bytes {
		return false
	}
	o.seq++
	o.unacked = append(o.unacked, f)
	o.held += len(f.data)
	if o.open {
		o.pushLocked(f) // bounded by unacked
		o.ringLocked()
	}
	return true
}

// acknowledge forgets the messages up to a sequence id.
func (o *outbox) acknowledge(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for n < len(o.unacked) && o.unacked[n].seq <= seq {
		o.held -= len(o.unacked[n].data)
		n++
	}
	o.unacked = slices.Delete(o.unacked, 0, n)
}

// expireLocked forgets messages whose time is over.
func (o *outbox) expireLocked() {
	now := time.Now()
	o.unacked = slices.DeleteFunc(o.unacked, func(f frame) bool {
		if !f.expired(now) {
			return false
		}
		o.held -= len(f.data)
		return true
	})
}

func (f frame) expired(now time.Time) bool { return !f.expires.IsZero() && !now.Before(f.expires) }

// finish makes e the last that happens. It is called once.
func (o *outbox) finish(e ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.abrupt {
		o.queue, o.queued = nil, 0
	}
	if e.told && o.open && o.protocol != protocolRaw {
		o.pushLocked(disconnectedFrame(e.reason))
	}
	o.end, o.unacked, o.held = &e, nil, 0
	o.ringLocked()
}

// ended returns the ending, nil if there is none yet.
func (o *outbox) ended() *ending {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end
}

// take waits for the next frame for a socket, or for the ending. It returns
// false when ctx ends or the socket was replaced.
func (o *outbox) take(ctx context.Context, socket int) (f frame, end *ending, ok bool) {
	for {
		f, end, state := o.poll(socket)
		switch state {
		case pollReady:
			return f, end, true
		case pollLate:
			return f, nil, false
		}
		select {
		case <-o.bell:
		case <-ctx.Done():
			return f, nil, false
		}
	}
}

type pollState int

const (
	pollEmpty pollState = iota
	pollReady
	pollLate
)

func (o *outbox) poll(socket int) (f frame, end *ending, state pollState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.socket != socket {
		o.ringLocked() // the bell was for the other one
		return f, nil, pollLate
	}
	now := time.Now()
	for len(o.queue) > 0 {
		f := o.queue[0]
		o.queue[0] = frame{} // let its bytes go
		o.queue = o.queue[1:]
		o.queued -= len(f.data)
		if !f.expired(now) {
			return f, nil, pollReady
		}
	}
	o.queue = nil
	if o.end != nil {
		return f, o.end, pollReady
	}
	return f, nil, pollEmpty
}

func (o *outbox) queueLocked(f frame) bool {
	if len(o.queue) >= o.frames || o.queued+len(f.data) > o.bytes {
		return false
	}
	o.pushLocked(f)
	o.ringLocked()
	return true
}

func (o *outbox) pushLocked(f frame) {
	o.queue = append(o.queue, f)
	o.queued += len(f.data)
}

func (o *outbox) ringLocked() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}
