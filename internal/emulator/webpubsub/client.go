package webpubsub

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const (
	// maxFrame is the largest message that a client may send, in bytes.
	maxFrame = 1 << 20
	// writeTimeout is how long one frame may take to be written.
	writeTimeout = 10 * time.Second
	// recoveryWindow is how long a reliable client may come back after a loss.
	recoveryWindow = 30 * time.Second
	// longestReason is the most that fits into a Close frame, in bytes.
	longestReason = 123
)

// A client is one connection id: with the reliable subprotocol it may have
// several sockets, one after the other.
type client struct {
	service     *Service
	id          string
	hub         string // folded
	user        string // "" is nobody
	host        string // of the service, as the client has called it
	protocol    protocol
	subprotocol string // as agreed with the client; "" is none
	sendsTo     string // group that each frame of a raw client goes to; "" is none

	permissions permissions
	out         *outbox
	acks        ackWindow
	invocations invocations
	// announced is closed once the app server knows that the client is connected,
	// or will never know.
	announced chan struct{}

	mu       sync.Mutex
	conn     *websocket.Conn // of the present socket
	socket   int             // its number
	attached bool            // it is in use
	gone     bool            // there will be no other socket
	over     bool            // end was called
	reported bool            // the app server was told of the end
	window   *time.Timer     // of the recovery; nil while there is a socket
	state    string          // that the app server keeps with the connection
}

// run speaks with the client over a socket until that ends, and returns when
// both of its goroutines have ended.
func (c *client) run(conn *websocket.Conn, socket int) {
	conn.SetReadLimit(maxFrame)
	ctx, cancel := context.WithCancel(c.service.life)
	defer cancel()
	writing, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { c.write(writing, conn, socket) })

	err := c.read(ctx, conn)
	if c.out.ended() == nil {
		stop()
		_ = conn.CloseNow() // the peer is gone, or has said good-bye and was answered
	}
	writer.Wait()
	stop()
	c.lost(socket, err)
}

// read executes what the client sends. It returns nil when the client was ended
// from here.
func (c *client) read(ctx context.Context, conn *websocket.Conn) error {
	for c.out.ended() == nil {
		// The context would close the connection without a Close frame.
		kind, data, err := conn.Read(context.Background())
		if err != nil {
			return err
		}
		c.receive(ctx, kind, data)
	}
	return nil
}

// write is the only one who writes to the socket.
func (c *client) write(ctx context.Context, conn *websocket.Conn, socket int) {
	for {
		f, end, ok := c.out.take(ctx, socket)
		switch {
		case !ok:
			_ = conn.CloseNow()
			return
		case end != nil:
			// Waits for the answer for 5 s at most; a peer that is gone needs none.
			_ = conn.Close(end.code, fitting(end.reason))
			return
		}
		timed, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err := conn.Write(timed, f.kind, f.data)
		cancel()
		if err != nil {
			_ = conn.CloseNow()
			return
		}
	}
}

// fitting cuts a reason to what a Close frame can hold.
func fitting(reason string) string {
	for len(reason) > longestReason || !utf8.ValidString(reason) {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	return reason
}

// lost is called when a socket has ended. A reliable client whose socket was
// lost, rather than closed, may come back.
func (c *client) lost(socket int, err error) {
	c.mu.Lock()
	replaced := c.socket != socket
	if !replaced {
		c.attached, c.conn = false, nil
	}
	c.mu.Unlock()
	closed := websocket.CloseStatus(err) != -1 || errors.Is(err, websocket.ErrMessageTooBig)
	switch {
	case replaced || c.out.ended() != nil:
	case c.protocol != protocolReliable || closed:
		c.end(ending{code: websocket.StatusNormalClosure})
	case c.out.detach(socket):
		c.await(socket)
	}
	c.settle()
}

// await opens the recovery window.
func (c *client) await(socket int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket != socket {
		return
	}
	c.window = time.AfterFunc(recoveryWindow, func() {
		c.mu.Lock()
		over := c.socket == socket
		c.gone = c.gone || over
		c.mu.Unlock()
		if over {
			c.end(ending{code: websocket.StatusPolicyViolation, reason: "The connection was lost and not recovered."})
		}
	})
}

// attach gives the client its first socket, or another one for a lost one. A
// socket that is still in use is cut: the client knows better. The result is
// false if the client is over.
func (c *client) attach(conn *websocket.Conn, first *frame) (socket int, ok bool) {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return 0, false
	}
	old := c.conn
	if c.window != nil {
		c.window.Stop()
		c.window = nil
	}
	socket = c.out.attach(first)
	c.conn, c.socket, c.attached = conn, socket, true
	c.mu.Unlock()
	if old != nil {
		_ = old.CloseNow()
	}
	return socket, true
}

// end parts with the client. Only the first ending counts. The client is out of
// the books before it can learn of its end.
func (c *client) end(e ending) {
	c.mu.Lock()
	again := c.over
	c.over, c.gone = true, true
	c.mu.Unlock()
	if again {
		return
	}
	c.service.roster.Leave(c.hub, c.id)
	c.out.finish(e)
	c.invocations.cancelAll()
	c.service.log.Debug("client ends", "connection", c.id, "code", int(e.code), "reason", e.reason)
	c.settle()
}

// settle tells the app server of the end once there is no socket any more.
func (c *client) settle() {
	end := c.out.ended()
	c.mu.Lock()
	due := end != nil && !c.attached && !c.reported
	c.reported = c.reported || due
	if due && c.window != nil {
		c.window.Stop()
	}
	c.mu.Unlock()
	if due {
		c.service.events.disconnected(c, end.reason)
	}
}

// post sends a message to the client, or ends a client that has no room for it.
func (c *client) post(m *message) {
	if !c.out.deliver(m) {
		c.tooSlow()
	}
}

// reply sends a frame that belongs to the socket.
func (c *client) reply(f frame) {
	if !c.out.answer(f) {
		c.tooSlow()
	}
}

func (c *client) tooSlow() {
	c.end(ending{code: websocket.StatusPolicyViolation, reason: "The client is too slow.", abrupt: true})
}

// connectionState returns what the app server has kept with the connection.
func (c *client) connectionState() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// keep stores the state of an answer of the app server; "" leaves it as it is.
func (c *client) keep(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state != "" {
		c.state = state
	}
}
