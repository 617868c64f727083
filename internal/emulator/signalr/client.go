package signalr

import (
	"bytes"
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pointsman/pointsman/internal/emulator/roster"
)

const (
	// maxMessage is the largest hub message that a client may send, in bytes.
	maxMessage = 1 << 20
	// connectWithin is how long after negotiate a client must connect.
	connectWithin = 5 * time.Second
	// handshakeWithin is how long after that its handshake must be there.
	handshakeWithin = 15 * time.Second
	// pingInterval is the longest silence of the service.
	pingInterval = 15 * time.Second
	// clientTimeout is the longest silence of a client.
	clientTimeout = 30 * time.Second
	// writeTimeout is how long a client may take over what it is sent at once.
	writeTimeout = 10 * time.Second
	// answersLinger is how long the end of a client is known to later requests of a
	// transport that needs several.
	answersLinger = 15 * time.Second
)

// A transport is how a client is connected.
type transport int

const (
	noTransport transport = iota // it has negotiated only
	webSockets
	serverSentEvents
	longPolling
)

// A client is one connection id, from negotiate on.
type client struct {
	service *Service
	id      string // that app servers know
	token   string // that the client connects with; with version 0 of negotiate it is the id
	hub     string // folded
	user    string // "" is nobody
	claims  []string
	query   string // of its requests, without secrets

	out         *outbox
	invocations invocations
	announced   chan struct{} // closed once the app server knows of the client

	feeding sync.Mutex // held while what the client sent is executed
	buffer  []byte     // guarded by feeding: the beginning of a message

	mu         sync.Mutex
	transport  transport
	handshaken bool
	over       bool
	clock      *time.Timer // ends a client that does not do what is due
	cancelPoll context.CancelFunc
	polling    sync.Mutex // held by the poll that takes
}

// start gives the client until connectWithin to connect.
func (c *client) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = time.AfterFunc(connectWithin, c.overdue)
}

// overdue ends a client that has not connected, shaken hands or said anything
// for too long.
func (c *client) overdue() {
	c.mu.Lock()
	connected, handshaken := c.transport != noTransport, c.handshaken
	c.mu.Unlock()
	switch {
	case !connected:
		c.end(ending{})
	case !handshaken:
		c.end(ending{record: handshakeError("Handshake was canceled.")})
	default:
		c.end(ending{record: closeRecord("The client was silent for too long.", true), reason: "The client was silent for too long."})
	}
}

// alive sets the clock back.
func (c *client) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handshaken && !c.over {
		c.clock.Reset(clientTimeout)
	}
}

// connect gives the client its transport. The status is that of the answer if
// it cannot be given: 404 if it is too late, 409 if the client has this one
// already, 400 if it has another.
func (c *client) connect(t transport) (status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
		return 404
	case c.transport == noTransport:
		c.transport = t
		c.clock.Reset(handshakeWithin)
		return 0
	case c.transport == t:
		return 409
	default:
		return 400
	}
}

// stopClock ends the memory of a client that is over.
func (c *client) stopClock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.Stop()
}

func (c *client) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// feed executes what the client has sent: messages, and parts of them.
func (c *client) feed(ctx context.Context, data []byte) {
	c.feeding.Lock()
	defer c.feeding.Unlock()
	c.alive()
	c.buffer = append(c.buffer, data...)
	for !c.isOver() {
		at := bytes.IndexByte(c.buffer, separator)
		if at < 0 && len(c.buffer) > maxMessage || at > maxMessage {
			c.fault("A message is larger than 1 MiB.")
			return
		}
		if at < 0 {
			break
		}
		text := c.buffer[:at]
		c.buffer = c.buffer[at+1:]
		c.execute(ctx, text)
	}
	if len(c.buffer) == 0 {
		c.buffer = nil
	}
}

// execute executes one message.
func (c *client) execute(ctx context.Context, text []byte) {
	c.mu.Lock()
	handshaken := c.handshaken
	c.mu.Unlock()
	if !handshaken {
		c.shakeHands(ctx, text)
		return
	}
	m, err := readMessage(text)
	if err != nil || !utf8.Valid(text) {
		c.fault("A message is malformed.")
		return
	}
	switch m.Type {
	case typeInvocation:
		c.service.upstream.invoke(ctx, c, m, text)
	case typeStreamInvocation:
		c.put(completionError(m.InvocationID, "Streams are not supported in serverless mode."))
	case typeCompletion:
		c.invocations.complete(m)
	case typeClose:
		c.end(ending{})
	}
	// Pings have set the clock back; what is left has no meaning here.
}

// shakeHands reads the handshake and enters the client in the roster.
func (c *client) shakeHands(ctx context.Context, text []byte) {
	if refusal := readHandshake(text); refusal != nil {
		c.end(ending{record: refusal})
		return
	}
	// The answer is the first that the client gets, and everything for it that
	// happens from now on comes after it. When it has the answer it is in the roster:
	// app servers may hear of it from the client itself.
	c.out.hold()
	c.put(handshakeRecord)
	err := c.service.roster.Join(c.hub, roster.Entry[*client]{ID: c.id, User: c.user, Member: c})
	c.out.letGo()
	if err != nil {
		c.end(ending{record: closeRecord("There are as many connections as are allowed.", true)})
		return
	}
	c.mu.Lock()
	c.handshaken = true
	over := c.over
	if !over {
		c.clock.Reset(clientTimeout)
	}
	c.mu.Unlock()
	if over {
		c.service.roster.Leave(c.hub, c.id)
		return
	}
	c.service.upstream.connected(ctx, c)
}

// fault ends a client that does not keep to the protocol. It shall not come
// again.
func (c *client) fault(reason string) {
	c.end(ending{record: closeRecord("Connection closed with an error.", false), reason: reason})
}

// put sends a record, or ends a client that has no room for it.
func (c *client) put(record []byte) {
	if !c.out.put(record) {
		c.end(ending{record: closeRecord("The client is too slow.", true), reason: "The client is too slow.", abrupt: true})
	}
}

// An ending is how and why a client is parted with.
type ending struct {
	record []byte // the last one; nil is none
	reason string // for the app server; "" is a normal end
	abrupt bool   // what waits is dropped
}

// end parts with the client. Only the first ending counts.
func (c *client) end(e ending) {
	c.mu.Lock()
	again := c.over
	c.over = true
	c.clock.Stop()
	handshaken, t := c.handshaken, c.transport
	c.mu.Unlock()
	if again {
		return
	}
	c.service.roster.Leave(c.hub, c.id)
	c.out.finish(e.record, e.abrupt)
	c.invocations.cancelAll()
	if t == longPolling {
		// Its last records, and that there are no more, are still to be fetched.
		c.mu.Lock()
		c.clock = time.AfterFunc(answersLinger, func() { c.service.clients.remove(c) })
		c.mu.Unlock()
	} else {
		c.service.clients.remove(c)
	}
	c.service.log.Debug("client ends", "connection", c.id, "reason", e.reason)
	if handshaken {
		c.service.upstream.disconnected(c, e.reason)
	}
}
