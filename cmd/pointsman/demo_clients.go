package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/emulator"
)

const (
	// answerWithin is how long a handshake or an echo may take before it
	// counts as failed.
	answerWithin = 10 * time.Second
	// settleWithin spreads the first handshakes, as people do not arrive at once.
	settleWithin = 500 * time.Millisecond
	// reconnectWithin is the random wait of a client that lost its session.
	reconnectWithin = 100 * time.Millisecond
	// refusedPause comes on top of it after a failed handshake.
	refusedPause = 500 * time.Millisecond
	// thinkMin and thinkMax bound the random pause between two messages.
	thinkMin = 50 * time.Millisecond
	thinkMax = 350 * time.Millisecond
	// maxVisitors bounds how many visitors are inside at a time.
	maxVisitors = 64
	// demoPadding is the longest filling of a message in bytes.
	demoPadding = 400
)

// demoCrowd is the demo's clients: lasting ones that reconnect, and a trickle of
// visitors that show where new sessions go.
type demoCrowd struct {
	url     string       // of the router
	client  *http.Client // carries the handshakes
	tally   *demoTally
	clients int
	rate    int // visitors per second, 0 for none
}

// newDemoHTTPClient returns a client that asks no proxy.
func newDemoHTTPClient() *http.Client { return &http.Client{Transport: &http.Transport{}} }

// run keeps the crowd going until ctx ends, then lets everybody leave politely
// and returns when all are gone.
func (c *demoCrowd) run(ctx context.Context) {
	var inside sync.WaitGroup
	for id := range c.clients {
		inside.Go(func() { c.stay(ctx, id) })
	}
	if c.rate > 0 {
		inside.Go(func() { c.trickle(ctx) })
	}
	inside.Wait()
	c.client.CloseIdleConnections()
}

// stay is the life of one lasting client.
func (c *demoCrowd) stay(ctx context.Context, id int) {
	next := 1      // number of the next message
	moved := false // was asked to move, and has not landed since
	for pause := rand.N(settleWithin); sleepContext(ctx, pause); {
		pause = rand.N(reconnectWithin)
		s, err := c.enter(ctx)
		if err != nil {
			pause += refusedPause
			continue
		}
		if moved {
			c.tally.landed(id, s.upstream)
		}
		next = c.talk(ctx, s, id, next)
		moved = s.end(false).moved()
	}
}

// trickle sends visitors at the rate until ctx ends and all have left.
func (c *demoCrowd) trickle(ctx context.Context) {
	var inside sync.WaitGroup
	defer inside.Wait()
	room := make(chan struct{}, maxVisitors)
	tick := time.NewTicker(time.Second / time.Duration(c.rate))
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case room <- struct{}{}:
			inside.Go(func() {
				defer func() { <-room }()
				c.visit(ctx, n)
			})
		default: // the house is full; this visitor does not come
		}
	}
}

// visit opens a session, exchanges one message and leaves.
func (c *demoCrowd) visit(ctx context.Context, n int) {
	s, err := c.enter(ctx)
	if err != nil {
		return
	}
	if c.exchange(ctx, s, visitor, n) {
		c.leave(s)
	}
}

// enter opens a session and books the outcome, except when ctx ended it.
func (c *demoCrowd) enter(ctx context.Context) (*demoSession, error) {
	dialing, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, resp, err := websocket.Dial(dialing, c.url, &websocket.DialOptions{HTTPClient: c.client})
	if err != nil {
		if ctx.Err() == nil {
			c.tally.handshake("", err)
		}
		return nil, err
	}
	s := &demoSession{
		conn:     conn,
		upstream: cmp.Or(resp.Header.Get(emulator.NameHeader), "unnamed"),
		incoming: make(chan demoMessage),
		left:     make(chan struct{}),
	}
	c.tally.handshake(s.upstream, nil)
	go s.read()
	return s, nil
}

// talk exchanges messages from number next on until the session or ctx ends. It
// returns the next number.
func (c *demoCrowd) talk(ctx context.Context, s *demoSession, id, next int) int {
	for ; ; next++ {
		if !c.exchange(ctx, s, id, next) {
			return next + 1
		}
		think := time.NewTimer(thinkMin + rand.N(thinkMax-thinkMin))
		select {
		case <-think.C:
		case m, ok := <-s.incoming:
			think.Stop()
			if !ok {
				c.lost(s, false)
				return next + 1
			}
			c.tally.mismatch(fmt.Sprintf("client %d got a message it did not ask for: %v", id, m))
		case <-ctx.Done():
			think.Stop()
			c.leave(s)
			return next + 1
		}
	}
}

// exchange sends one message and waits for its echo. It reports false when the
// session is over, and has booked its end then.
func (c *demoCrowd) exchange(ctx context.Context, s *demoSession, id, n int) bool {
	sent := newDemoMessage(id, n)
	began := time.Now()
	writing, cancel := context.WithTimeout(context.Background(), answerWithin)
	err := s.conn.Write(writing, sent.kind, sent.body)
	cancel()
	if err != nil {
		c.lost(s, true)
		return false
	}
	timeout := time.NewTimer(answerWithin)
	defer timeout.Stop()
	select {
	case got, ok := <-s.incoming:
		switch {
		case !ok:
			c.lost(s, true)
			return false
		case !got.equal(sent):
			c.tally.mismatch(fmt.Sprintf("sent %v, got %v", sent, got))
		default:
			c.tally.echo(id, s.upstream, time.Since(began))
		}
		return true
	case <-timeout.C:
		c.tally.stall(fmt.Sprintf("no echo of %v within %s on %s", sent, answerWithin, s.upstream))
		s.drop()
		c.tally.ended(s.upstream)
		return false
	case <-ctx.Done():
		c.leave(s)
		return false
	}
}

// lost books a session that the other side ended.
func (c *demoCrowd) lost(s *demoSession, inFlight bool) {
	s.drop()
	c.tally.cut(s.end(inFlight))
	c.tally.ended(s.upstream)
}

// leave closes s with 1000.
func (c *demoCrowd) leave(s *demoSession) {
	close(s.left)
	// A session that was cut in this moment cannot be closed politely.
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
	s.drop()
	c.tally.ended(s.upstream)
}

// demoSession is one open session. read owns the reading side; everything else
// belongs to the client that entered.
type demoSession struct {
	conn     *websocket.Conn
	upstream string           // as the other side names itself
	incoming chan demoMessage // closed when the session is over
	left     chan struct{}    // closed by leave: nobody takes messages any more
	err      error            // why it is over; read it after incoming was closed
	over     time.Time        // when read found out; likewise
}

// read reads all the time, so that an end is noticed while the client thinks.
func (s *demoSession) read() {
	defer close(s.incoming)
	for {
		kind, body, err := s.conn.Read(context.Background())
		if err != nil {
			s.err, s.over = err, time.Now()
			return
		}
		select {
		case s.incoming <- demoMessage{kind, body}:
		case <-s.left:
		}
	}
}

// drop ends the connection without a farewell, unless it is over, and waits for
// read to end.
func (s *demoSession) drop() {
	// It may be closed already.
	_ = s.conn.CloseNow()
	for range s.incoming { // what still came in has nobody to go to
	}
}

// end says how the session ended; it must have been dropped.
func (s *demoSession) end(inFlight bool) demoCut { return newDemoCut(s.err, s.over, inFlight) }

// demoMessage is one message of a client.
type demoMessage struct {
	kind websocket.MessageType
	body []byte
}

// newDemoMessage returns message n of client id. No two are the same, sizes vary
// and every other one is binary.
func newDemoMessage(id, n int) demoMessage {
	m := demoMessage{kind: websocket.MessageText}
	if n%2 == 0 {
		m.kind = websocket.MessageBinary
	}
	m.body = fmt.Appendf(nil, "client %d message %d ", id, n)
	for range rand.IntN(demoPadding) {
		m.body = append(m.body, 'a'+byte(rand.IntN(26)))
	}
	return m
}

func (m demoMessage) equal(other demoMessage) bool {
	return m.kind == other.kind && bytes.Equal(m.body, other.body)
}

// String shortens the message for an error text.
func (m demoMessage) String() string {
	return fmt.Sprintf("%v %.40q (%d bytes)", m.kind, m.body, len(m.body))
}
