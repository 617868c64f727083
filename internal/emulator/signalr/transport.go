package signalr

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
)

// serveTransport answers the requests by which clients connect, receive and send,
// with the statuses of ASP.NET Core.
func (s *Service) serveTransport(w http.ResponseWriter, r *http.Request, hub string, query url.Values, claims *azure.Claims) {
	upgrade := r.Header.Get("Upgrade") != ""
	id := query.Get("id")
	c := s.clients.find(id, hub)
	switch {
	case id == "" && upgrade:
		// Negotiation may be skipped for WebSockets.
		if c = s.newClient(hub, query, claims); !s.admit(c) {
			full().Write(w)
			return
		}
	case id == "":
		http.Error(w, "Connection ID required", http.StatusBadRequest)
		return
	case c == nil:
		http.Error(w, "No Connection with that ID", http.StatusNotFound)
		return
	}
	switch {
	case r.Method == http.MethodGet && upgrade:
		c.serveWebSocket(w, r)
	case r.Method == http.MethodGet && strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream"):
		c.serveEvents(w, r)
	case r.Method == http.MethodGet:
		c.servePoll(w, r)
	case r.Method == http.MethodPost:
		c.servePost(w, r)
	case r.Method == http.MethodDelete:
		c.serveDelete(w)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		http.Error(w, "No such method.", http.StatusMethodNotAllowed)
	}
}

// refuses answers a request for a transport that the client cannot have.
func (c *client) refuses(w http.ResponseWriter, t transport) bool {
	status := c.connect(t)
	if status == 0 {
		return false
	}
	http.Error(w, map[int]string{
		http.StatusNotFound:   "No Connection with that ID",
		http.StatusConflict:   "Connection is connected already",
		http.StatusBadRequest: "Cannot change transports mid-connection",
	}[status], status)
	return true
}

// serveWebSocket speaks with the client until the socket ends.
func (c *client) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if c.refuses(w, webSockets) {
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		c.end(ending{}) // Accept has answered already
		return
	}
	defer conn.CloseNow()
	// A frame may hold several messages.
	conn.SetReadLimit(2 * maxMessage)
	ctx, cancel := context.WithCancel(c.service.life)
	defer cancel()
	writing, stop := context.WithCancel(context.Background())
	defer stop()
	var writer sync.WaitGroup
	writer.Go(func() { c.writeWebSocket(writing, conn) })
	for !c.isOver() {
		_, data, err := conn.Read(context.Background())
		if err != nil {
			break
		}
		c.feed(ctx, data)
	}
	if !c.isOver() {
		// The peer is gone, or has said good-bye and was answered.
		stop()
		_ = conn.CloseNow()
		c.end(ending{})
	}
	writer.Wait()
}

// writeWebSocket is the only one who writes to the socket.
func (c *client) writeWebSocket(ctx context.Context, conn *websocket.Conn) {
	for {
		records, what := c.out.take(ctx, 1, pingInterval)
		switch what {
		case foundLate:
			_ = conn.CloseNow()
			return
		case foundEnd:
			// Waits for the answer for 5 s at most; a peer that is gone needs none.
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return
		case foundNothing:
			if records = c.pings(); records == nil {
				continue
			}
		}
		timed, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err := conn.Write(timed, websocket.MessageText, records[0])
		cancel()
		if err != nil {
			_ = conn.CloseNow()
			return
		}
	}
}

// serveEvents sends records as server-sent events until the client leaves or
// ends.
func (c *client) serveEvents(w http.ResponseWriter, r *http.Request) {
	if c.refuses(w, serverSentEvents) {
		return
	}
	ctx, stop := c.service.within(r.Context())
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Content-Encoding", "identity")
	controller := http.NewResponseController(w)
	// A comment makes the client, and whoever is between, see the answer begin.
	text := []byte(":\r\n\r\n")
	for {
		_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout)) // without one the connection's end is the bound
		if _, err := w.Write(text); err != nil || controller.Flush() != nil {
			break
		}
		records, what := c.out.take(ctx, 1, pingInterval)
		if what == foundEnd || what == foundLate {
			break
		}
		if what == foundNothing {
			records = c.pings()
		}
		text = nil
		for _, record := range records {
			text = fmt.Appendf(text, "data: %s\r\n\r\n", record)
		}
	}
	c.end(ending{})
}

// pings is what a client gets when there was nothing for a while: a ping, once
// it has shaken hands.
func (c *client) pings() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.handshaken {
		return nil
	}
	return [][]byte{pingRecord}
}

// servePoll answers a poll: the first one at once, each later one when there is
// something, or with a ping when there was nothing for a while. A poll takes the
// place of one that still waits.
func (c *client) servePoll(w http.ResponseWriter, r *http.Request) {
	status := c.connect(longPolling)
	first := status == 0
	if !first && !c.isPolling() {
		c.refuses(w, longPolling)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-store")
	if first {
		w.WriteHeader(http.StatusOK)
		return
	}
	c.alive()
	ctx, stop := c.service.within(r.Context())
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	if c.cancelPoll != nil {
		c.cancelPoll()
	}
	c.cancelPoll = cancel
	c.mu.Unlock()
	c.polling.Lock()
	defer c.polling.Unlock()
	records, what := c.out.take(ctx, c.service.limits.QueueRecords+1, pingInterval)
	switch what {
	case foundEnd:
		w.WriteHeader(http.StatusNoContent)
		c.service.clients.remove(c)
		return
	case foundNothing:
		records = c.pings()
	case foundLate:
		records = nil
	}
	c.alive()
	// A client that is gone meanwhile has lost them, as with the service.
	_, _ = w.Write(bytes.Join(records, nil))
}

// isPolling reports whether the client polls, or did until its end.
func (c *client) isPolling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport == longPolling
}

// servePost takes what a client without a WebSocket sends.
func (c *client) servePost(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	t, over := c.transport, c.over
	c.mu.Unlock()
	switch {
	case over || t == noTransport:
		http.Error(w, "No Connection with that ID", http.StatusNotFound)
		return
	case t == webSockets:
		http.Error(w, "POST requests are not allowed for WebSocket connections.", http.StatusMethodNotAllowed)
		return
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, 2*maxMessage+1))
	if err != nil {
		http.Error(w, "The body breaks off.", http.StatusBadRequest)
		return
	}
	if len(data) > 2*maxMessage {
		http.Error(w, "The body is larger than 2 MiB.", http.StatusRequestEntityTooLarge)
		return
	}
	ctx, stop := c.service.within(r.Context())
	defer stop()
	c.feed(ctx, data)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
}

// serveDelete ends a client that polls.
func (c *client) serveDelete(w http.ResponseWriter) {
	if !c.isPolling() {
		http.Error(w, "Cannot terminate this connection via a DELETE request.", http.StatusBadRequest)
		return
	}
	c.end(ending{})
	c.service.clients.remove(c)
	w.WriteHeader(http.StatusAccepted)
}
