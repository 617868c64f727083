package crowd

import (
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
	"github.com/pointsman/pointsman/bench/internal/upgrade"
)

const (
	readBuffer = 64 << 10
	// sweepEvery is how often a loop looks for answers that did not come.
	sweepEvery = 100 * time.Millisecond
)

// client is one of the crowd. Its number tells it from all others.
type client struct {
	number   int
	sessions uint32 // begun so far
	conn     *conn  // present handshake or session, nil while there is none
}

// loop is one thread of a crowd. It owns everything below; other goroutines use only poller.Wake.
type loop struct {
	crowd  *Crowd
	poller *epoll.Poller
	target unix.SockaddrInet4

	clients  []*client
	started  int // clients that have begun their first handshake
	width    int // how many of the first handshakes may be under way
	underway int // and are

	active []*client
	turn   int           // of the active one that is to send next
	due    time.Duration // of its message
	period time.Duration

	waiting waiting
	conns   []*conn // by slot; nil where free
	free    []int
	buf     []byte
	message message
	request upgrade.Request
	words   map[string]string // each text that came is kept once
	arrived time.Duration     // when what is being handled came
	swept   time.Duration
	err     error
}

// newLoop makes the i-th of n loops with its share of the clients.
func newLoop(c *Crowd, target netip.AddrPort, i, n int) (*loop, error) {
	p, err := epoll.New(256)
	if err != nil {
		return nil, err
	}
	o := &c.opts
	l := &loop{
		crowd:   c,
		poller:  p,
		target:  unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()},
		width:   o.Opening*(i+1)/n - o.Opening*i/n,
		period:  o.Period,
		buf:     make([]byte, readBuffer),
		message: newMessage(o.Size),
		request: upgrade.NewRequest(target.String(), o.Path),
		words:   make(map[string]string),
	}
	for number := i; number < o.Clients; number += n {
		cl := &client{number: number}
		l.clients = append(l.clients, cl)
		if Active(number, o.Active, o.Clients) {
			l.active = append(l.active, cl)
		}
	}
	return l, nil
}

// run moves the clients until the crowd is dispersed.
func (l *loop) run() error {
	if err := epoll.OwnThread(l.crowd.opts.Yields); err != nil {
		return err
	}
	for l.err == nil && !l.crowd.stopped.Load() {
		now := l.crowd.Now()
		l.gather()
		l.comeBack(now)
		next := l.speak(now)
		if now-l.swept > sweepEvery {
			l.sweep(now)
		}
		next = min(next, l.swept+sweepEvery)
		if len(l.waiting) > 0 {
			next = min(next, l.waiting[0].until)
		}
		// The poller knows whole milliseconds: rounded up, or it would turn in circles for the last one.
		events, err := l.poller.Wait(max(next-l.crowd.Now()+time.Millisecond-1, 0))
		if err != nil {
			return err
		}
		for _, e := range events {
			if c := l.conns[e.Slot]; c != nil && l.err == nil {
				l.ready(c, e.Flags)
			}
		}
	}
	return l.err
}

// gather begins the first handshakes, some at a time.
func (l *loop) gather() {
	for l.started < len(l.clients) && l.underway < l.width && l.err == nil {
		l.started++
		l.underway++
		l.open(l.clients[l.started-1])
	}
}

// decided makes room for another first handshake, if that of the client was one.
func (l *loop) decided(cl *client) {
	if cl.sessions == 1 {
		l.underway--
	}
}

// open begins a handshake. Running out of descriptors or ports is the crowd's own fault and ends it.
func (l *loop) open(cl *client) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.err = fmt.Errorf("create socket for client %d: %w", cl.number, err)
		return
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		_ = unix.Close(fd)
		l.err = fmt.Errorf("switch off Nagle's algorithm: %w", err)
		return
	}
	if err := epoll.StampArrivals(fd); err != nil {
		_ = unix.Close(fd)
		l.err = fmt.Errorf("ask for time stamps: %w", err)
		return
	}
	cl.sessions++
	c := &conn{fd: fd, client: cl, since: l.crowd.Now()}
	c.key, c.accept = upgrade.Draw()
	if err := unix.Connect(fd, &l.target); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			l.err = fmt.Errorf("connect client %d: %w", cl.number, err)
			return
		}
		l.decided(cl)
		l.crowd.record(Event{At: l.crowd.Now(), Client: cl.number, Kind: Failed, Reason: err.Error()}, false)
		l.later(cl, retryPause)
		return
	}
	if n := len(l.free); n > 0 {
		c.slot, l.free = l.free[n-1], l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = len(l.conns)
		l.conns = append(l.conns, c)
	}
	cl.conn = c
	if err := l.poller.Add(fd, c.slot); err != nil {
		l.err = err
	}
}

// drop ends a connection and frees its slot. The other side sees a RST unless its own end came first.
func (l *loop) drop(c *conn, reset bool) {
	if reset {
		epoll.Reset(c.fd)
	} else {
		_ = unix.Close(c.fd)
	}
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
	if c.client.conn == c {
		c.client.conn = nil
	}
}

// later lets a client come back after a pause, if it comes back at all.
func (l *loop) later(cl *client, pause time.Duration) {
	if l.crowd.opts.Return {
		heap.Push(&l.waiting, wait{l.crowd.Now() + pause, cl})
	}
}

// comeBack begins the handshakes of those who have waited long enough.
func (l *loop) comeBack(now time.Duration) {
	for len(l.waiting) > 0 && l.waiting[0].until <= now && l.err == nil {
		l.open(heap.Pop(&l.waiting).(wait).client)
	}
}

// speak sends the messages that are due, and returns when the next one is.
func (l *loop) speak(now time.Duration) time.Duration {
	if len(l.active) == 0 || !l.crowd.sending.Load() {
		return now + time.Hour
	}
	if l.due == 0 {
		l.due = now
	}
	gap := l.period / time.Duration(len(l.active))
	for l.due <= now && l.err == nil {
		if c := l.active[l.turn].conn; c != nil && c.state == open && !c.flying {
			l.send(c)
		}
		l.turn = (l.turn + 1) % len(l.active)
		l.due += gap
		if now-l.due > l.period { // it stood still: the messages of that time are not made up for
			l.due = now
		}
	}
	return l.due
}

// sweep ends what has waited for longer than the patience.
func (l *loop) sweep(now time.Duration) {
	l.swept = now
	patience := l.crowd.opts.Patience
	for _, c := range l.conns {
		switch {
		case c == nil:
		case c.state < open && now-c.since > patience:
			l.end(c, Event{Kind: Failed, Reason: "no answer in time"}, retryPause)
		case c.state == open && c.flying && now-c.sentAt > patience:
			l.end(c, Event{Kind: Stalled, Reason: "no echo in time"}, 0)
		case c.state == leaving && now-c.since > patience:
			l.drop(c, true)
		}
	}
}

// close ends what is left. The loop must not be running.
func (l *loop) close() {
	for _, c := range l.conns {
		if c != nil {
			epoll.Reset(c.fd)
		}
	}
	l.conns = nil
	l.poller.Close()
}

// wait is a client that will come back.
type wait struct {
	until  time.Duration
	client *client
}

// waiting is a heap, the next one first.
type waiting []wait

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].until < w[j].until }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)        { *w = append(*w, x.(wait)) }
func (w *waiting) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
