package emulator

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// keepBuffer is the largest message buffer that goes back to the pool; a rare
// huge message must not pin its memory.
const keepBuffer = 256 << 10

// buffers hold messages between reading and echoing. A session borrows one per
// message, so that idle sessions hold none.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// serveSession answers one handshake and, when it accepts, echoes until the
// session ends.
func (e *Emulator) serveSession(w http.ResponseWriter, r *http.Request) {
	if status := e.switches.refusal(); status != 0 {
		e.refused.Add(1)
		http.Error(w, "handshake refused on purpose", status)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       firstOffered(r.Header),
		InsecureSkipVerify: true, // an echo has nothing to protect from other origins
		CompressionMode:    websocket.CompressionContextTakeover,
	})
	if err != nil {
		// Accept has answered the client already.
		e.log.Debug("handshake refused", "error", err)
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(e.opts.MaxMessage)
	if dc := doorConnOf(r.Context()); dc != nil {
		e.door.mark(dc, sessionConn)
	}
	if !e.join(c) {
		closeGoingAway(c)
		return
	}
	defer e.leave(c)
	err = e.echo(c)
	e.log.Debug("session ended", "code", int(websocket.CloseStatus(err)), "error", err)
}

// join books an open session; false means that the emulator is shutting down
// and will not close it.
func (e *Emulator) join(c *websocket.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false
	}
	e.sessions[c] = struct{}{}
	e.total.Add(1)
	return true
}

func (e *Emulator) leave(c *websocket.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, c)
}

// firstOffered returns the client's preferred subprotocol, so that a client
// that insists on one gets it (RFC 6455 §4.2.2: the server picks from the
// client's list).
func firstOffered(h http.Header) []string {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				return []string{name}
			}
		}
	}
	return nil
}

// echo returns messages until c ends, and returns why it ended. The reads carry
// no deadline: shutdown and cuts end them through the connection.
func (e *Emulator) echo(c *websocket.Conn) error {
	for {
		kind, message, err := c.Reader(context.Background())
		if err != nil {
			return err
		}
		buf := buffers.Get().(*bytes.Buffer)
		buf.Reset()
		if _, err := buf.ReadFrom(message); err != nil {
			return err
		}
		// RFC 6455 §8.1; the library leaves this check to us.
		if kind == websocket.MessageText && !utf8.Valid(buf.Bytes()) {
			return c.Close(websocket.StatusInvalidFramePayloadData, "text is not UTF-8")
		}
		if err := e.pause(context.Background(), e.switches.snapshot().delay); err != nil {
			return err
		}
		e.messages.Add(1) // before the echo: whoever has it finds it counted
		if err := c.Write(context.Background(), kind, buf.Bytes()); err != nil {
			return err
		}
		if buf.Cap() <= keepBuffer {
			buffers.Put(buf)
		}
	}
}
