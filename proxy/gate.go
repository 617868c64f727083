package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pointsman/pointsman/internal/listener"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// gates takes the listeners over and wraps each so that the head of every
// connection is judged before the HTTP server sees it. The server then reads
// exactly that head: bytes behind it are frames, and stay with the connection.
func (p *Proxy) gates(listeners []net.Listener) ([]net.Listener, error) {
	gates := make([]net.Listener, 0, len(listeners))
	for i, ln := range listeners {
		g := &gate{proxy: p}
		if l, ok := ln.(*Listener); ok {
			l.begin()
			g.proxies, g.challenge, ln = l.networks, l.Challenge, l.Listener
			if l.TLS != nil {
				g.tls, g.http2 = l.forClients(), l.HTTP2
			}
		}
		if err := g.takeOver(ln); err != nil {
			for _, ln := range append(gates, listeners[i+1:]...) {
				ln.Close()
			}
			return nil, fmt.Errorf("listen: %w", err)
		}
		gates = append(gates, g)
	}
	return gates, nil
}

// takeOver has the loops receive the clients, if they can, or else only hold their
// connections.
func (g *gate) takeOver(ln net.Listener) error {
	p := g.proxy
	if g.tls == nil {
		door, err := p.relay.Receive(ln, g.reception())
		if err == nil {
			g.lobby = newLobby(door, p.server)
			g.Listener = g.lobby
			return nil
		}
		if !errors.Is(err, relay.ErrNoReception) {
			return err
		}
	}
	near, err := p.relay.Listen(ln)
	if err != nil {
		return err
	}
	g.Listener = listener.Patient(near, func() { p.counters.acceptErrors.Add(1) })
	return nil
}

type gate struct {
	net.Listener
	proxy     *Proxy
	tls       *tls.Config           // nil without
	http2     bool                  // is spoken with clients that choose it
	proxies   func() []netip.Prefix // who says for whom they stand; nil for nobody
	challenge func(host, path string) ([]byte, bool)
	lobby     *lobby // of the clients that the loops receive; nil where they do not
	admission admission
}

// Accept returns the next connection, a *clientConn.
func (g *gate) Accept() (net.Conn, error) {
	if g.lobby != nil {
		return g.lobby.Accept()
	}
	g.proxy.awaitFiles()
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.proxy.clients.Add(1)
	g.proxy.counters.atGate.Add(1)
	c := g.meet(peerOf(conn))
	if c.Conn = conn; g.tls != nil {
		c.Conn, c.below = relay.Server(conn, g.tls), conn
	}
	return c, nil
}

// meet is how a client comes to the gate.
func (g *gate) meet(peer netip.Addr) *clientConn {
	return &clientConn{proxy: g.proxy, gate: g, peer: peer, announces: g.fromProxy(peer)}
}

// clientConn is the connection of a client until it is joined to an upstream.
// Its loop owns it, or the goroutine that serves it.
type clientConn struct {
	net.Conn
	proxy *Proxy
	gate  *gate
	*opening
	below     net.Conn       // under TLS, nil without
	peer      netip.Addr     // who has connected, or for whom a PROXY header stands
	client    netip.Addr     // the client, when the head is known: peer, or for whom that speaks
	announces bool           // it is a proxy, whose header comes first
	counted   bool           // at the client's address
	proxied   proxied        // what a PROXY header has said
	world     *world         // that the head was judged in
	route     *Route         // where the judged head leads
	plain     bool           // there, to the answer to a plain request
	ticket    *ticket        // what the client of a service has shown; nil for others
	passed    bool           // there, to an upstream as a plain request
	steer     *pool.Upstream // that the client belongs to; nil for none
	headBy    time.Time      // when the head has to be there; zero if it has all of the time
	entered   bool           // it is counted in, and admitted
	turn      time.Time      // when it is its turn; zero: at once
	given     int            // how much of standIn the server has read
	judged    bool           // the head is whole and asks for a session
	refused   bool           // answered here, or not to be: the server gets the end of the stream
	taken     bool           // the relay owns the connection
	closed    bool
}

// standIn is what the HTTP server reads in place of a judged head, which there
// is no need to parse twice.
const standIn = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// readBuffer is the server's buffer for it.
const readBuffer = 512

// Read gives the HTTP server the stand-in for a judged head, and then the end of
// the stream.
func (c *clientConn) Read(p []byte) (int, error) {
	if !c.judged {
		if err := c.readHead(); err != nil {
			return 0, err
		}
	}
	if c.given == len(standIn) || c.taken {
		return 0, io.EOF
	}
	n := copy(p, standIn[c.given:])
	c.given += n
	return n, nil
}

// readHead reads until the head is whole. What does not ask for a session is
// answered here: the HTTP server would read a body first, or answer an Expect.
func (c *clientConn) readHead() error {
	if c.refused {
		return io.EOF
	}
	p := c.proxy
	c.world = p.world.Load()
	limits := c.world.options.Limits.Head
	deadline := c.headBy
	if deadline.IsZero() {
		deadline = time.Now().Add(c.world.options.Limits.HeaderTimeout)
	}
	if err := c.Conn.SetDeadline(deadline); err != nil {
		return io.EOF
	}
	if c.opening == nil {
		c.opening = openings.Get().(*opening)
		if short := p.short(); short != nil {
			c.refuse(short) // at once: who is slow would take up what is left
			return io.EOF
		}
	}
	switch err := c.welcome(deadline); {
	case err == errNoTLS:
		c.refuse(err)
		return io.EOF
	case err != nil:
		c.refused = true
		p.counters.abandoned.Add(1)
		p.logger.Debug("client not let in", "client", c.address(), "error", err)
		return io.EOF
	case c.speaksHTTP2():
		c.carryStreams(deadline)
		return io.EOF
	}
	for seen := 0; ; {
		var err error
		if seen == len(c.head) { // else a loop has read the beginning
			c.head = grow(c.head, limits.Size+1)
			var n int
			n, err = c.Conn.Read(c.head[seen:cap(c.head)])
			c.head = c.head[:seen+n]
		}
		whole, refusal := c.parse(seen, limits)
		if refusal == nil {
			refusal = streamRefusal(err)
		}
		seen = len(c.head)
		if refusal == nil && whole {
			if c.answerChallenge() {
				return io.EOF
			}
			c.world = p.world.Load() // the head may have taken its time
			c.identify()
			refusal = c.classify()
			if refusal == nil && (c.plain || c.passed) {
				if c.plain && !c.answerPlain() || c.passed && !c.pass() {
					return io.EOF
				}
				seen = 0 // there is another request
				continue
			}
			if refusal == nil {
				c.unwrap()
				c.judged = true
				_ = c.Conn.SetDeadline(time.Time{})
				return nil
			}
		}
		switch {
		case refusal != nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && seen > 0:
			refusal = errHeadLate
		case err != nil: // nothing was asked, or nobody is left to be answered
			c.refused = true
			p.counters.abandoned.Add(1)
			return io.EOF
		case seen == cap(c.head) && p.memory.isShort():
			refusal = errMemory // there is none for a longer head
		default:
			continue
		}
		c.refuse(refusal)
		return io.EOF
	}
}

// parse judges the head, of which so many bytes were judged before, and reports
// whether it is whole.
func (c *clientConn) parse(seen int, limits handshake.Limits) (whole bool, err error) {
	end, err := handshake.RequestEnd(c.head, seen, limits)
	if err != nil || end == 0 {
		return false, err
	}
	c.size = end
	return true, handshake.ParseRequest(c.head[:end], limits, &c.request)
}

// short returns why there is no room for anybody more, or nil.
func (p *Proxy) short() *handshake.Refusal {
	switch {
	case p.filesShort():
		return errFiles
	case p.memory.isShort():
		return errMemory
	}
	return nil
}

// refuse answers a head that the HTTP server must not see.
func (c *clientConn) refuse(err error) {
	c.refused = true
	c.say(c.proxy.turnDown(err, c.request.Method))
}

// say writes an answer that ends the connection. A client that does not take it
// is a client that has gone.
func (c *clientConn) say(answer []byte) {
	if t, ok := c.Conn.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
		return // to say it would take the handshake first, and this one is not waited for
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(c.world.options.Limits.HeaderTimeout))
	_, _ = c.Conn.Write(answer)
}

// peerOf returns the address at the other end, or the invalid one.
func peerOf(conn net.Conn) netip.Addr { return addressOf(conn.RemoteAddr()).Addr() }

const (
	// closeGrace is how long a refused client may take to notice its answer.
	closeGrace = 500 * time.Millisecond
	// closeDrain is how much of what it still sends is read meanwhile.
	closeDrain = 256 << 10
)

// Close ends a connection that the relay has not taken. Closing with unread
// bytes would reset the connection and could destroy the answer on its way, so
// what the client still sends is read for a moment.
func (c *clientConn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	defer c.leaveGate()
	if c.taken {
		return nil
	}
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && (c.judged || c.refused) && !c.proxy.crowded() && w.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(closeGrace))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, closeDrain))
	}
	return c.Conn.Close()
}

// leaveGate ends the time of a client at the gate: it is joined, or its connection is
// closed.
func (c *clientConn) leaveGate() {
	if c.opening != nil {
		c.opening.free()
		c.opening = nil
	}
	if _, ok := c.Conn.(*carried); ok {
		c.proxy.counters.streamsAtGate.Add(-1)
	}
	c.proxy.leftGate()
}
