package proxy

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/http2"
	"github.com/pointsman/pointsman/proxy/relay"
)

// What a stream of HTTP/2 can be refused for and a connection of HTTP/1.1 cannot.
var (
	errScheme   = refuse(400, "wrong_scheme", "The scheme of the request is not https.")
	errProtocol = refuse(501, "unknown_protocol", "This server connects to websocket and to no other protocol.")
	// errFields is what HTTP/1.1 calls a long head.
	errFields = &handshake.Refusal{Status: 431, Code: "head_too_long", Reason: "The request head is longer than this server allows."}
)

// streamRefusal is the answer to a request that has no head because of err, or nil.
func streamRefusal(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, http2.ErrHeadSize):
		return errFields
	case errors.Is(err, http2.ErrScheme):
		return errScheme
	case errors.Is(err, http2.ErrProtocol):
		return errProtocol
	}
	return nil
}

// http2Protocol is what a client chooses that speaks HTTP/2 (RFC 9113 §3.1).
const http2Protocol = "h2"

// speaksHTTP2 reports whether a client that was let in has chosen HTTP/2.
func (c *clientConn) speaksHTTP2() bool {
	if !c.gate.http2 {
		return false
	}
	conn, ok := c.Conn.(*tls.Conn)
	return ok && conn.ConnectionState().NegotiatedProtocol == http2Protocol
}

// carryStreams serves a connection of HTTP/2 until its end. Each of its streams
// comes through the gate like a connection of its own; what it begins with has to
// be there before the deadline.
func (c *clientConn) carryStreams(deadline time.Time) {
	p, limits := c.proxy, &c.world.options.Limits
	c.refused = true // there is nothing in it for the HTTP server
	c.opening.free()
	c.opening = nil
	below := c.Conn.(*tls.Conn)
	if err := relay.Detach(below); err != nil {
		p.logger.Debug("client not let in", "client", c.address(), "error", err)
		return
	}
	_ = below.SetReadDeadline(deadline)
	conn := http2.New(below, http2.Options{
		HeadSize:     limits.Head.Size,
		IdleTimeout:  limits.HeaderTimeout,
		WriteTimeout: p.relay.Options().WriteTimeout,
	})
	var attending sync.WaitGroup
	over := make(chan struct{})
	attending.Go(func() { p.attend(conn, over) })
	err := conn.Run(c.serveStream)
	close(over)
	attending.Wait()
	if err != nil {
		p.logger.Debug("HTTP/2 connection ended", "client", c.address(), "error", err)
	}
}

// attend ends a connection with the router: in good order when that begins to end,
// at once when it cuts what is left.
func (p *Proxy) attend(conn *http2.Conn, over <-chan struct{}) {
	select {
	case <-p.ending:
		conn.Leave()
	case <-over:
		return
	}
	select {
	case <-p.cut.Done():
		conn.Close()
	case <-over:
	}
}

// serveStream serves a stream of c.
func (c *clientConn) serveStream(s *http2.Stream) {
	p := c.proxy
	p.clients.Add(1)
	p.counters.atGate.Add(1)
	p.counters.streams.Add(1)
	p.counters.streamsAtGate.Add(1)
	// What the server has to say about it, it has logged.
	_ = p.server.ServeConn(&clientConn{
		Conn: &carried{Stream: s, proxy: p}, proxy: p, gate: c.gate,
		peer: c.peer, proxied: c.proxied,
	})
}

// carried is a stream in the place of a client's connection.
type carried struct {
	*http2.Stream
	proxy *Proxy
	once  sync.Once
	holds atomic.Bool // a descriptor of its own; or it is about to
}

// hold counts the descriptor that the stream needs when an upstream is sought: that
// upstream's, where there is no session, or else one more for the pair of sockets that
// the relay bridges it with. Until then it needs none, however many of them wait.
func (s *carried) hold() {
	if !s.holds.Swap(true) {
		s.proxy.counters.streamFiles.Add(1)
	}
}

// Write implements [net.Conn]. An upstream that answers a handshake with success
// instead of a session has not given an answer that the client could get: to it
// that would be one.
func (s *carried) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	if errors.Is(err, http2.ErrTunnel) {
		return s.Stream.Write(errBadAnswer.AppendAnswer(nil, nil))
	}
	return n, err
}

// Close implements [net.Conn].
func (s *carried) Close() error {
	s.once.Do(func() {
		s.proxy.counters.streams.Add(-1)
		if s.holds.Load() {
			s.proxy.counters.streamFiles.Add(-1)
		}
	})
	return s.Stream.Close()
}
