package proxy

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stub is an upstream that follows a script with each connection, as no library
// would. Its script runs in a goroutine of its own per connection; the
// connection is closed when it returns, unless the script has handed it over.
type stub struct {
	t        testing.TB
	listener *net.TCPListener
	script   func(*stubConn)
	conns    atomic.Int64 // accepted
	bytes    atomic.Int64 // received while the script reads with stubConn
	sessions chan *peer   // handed over
	ending   chan struct{}

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	group  sync.WaitGroup
}

// newStub starts a stub that lives as long as the test.
func newStub(t testing.TB, script func(*stubConn)) *stub {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{t: t, listener: ln, script: script, open: make(map[net.Conn]bool), sessions: make(chan *peer, 1024), ending: make(chan struct{})}
	s.group.Go(s.serve)
	t.Cleanup(s.stop)
	return s
}

// newAccepter starts a stub that accepts every handshake and hands the sessions
// over, in the order of their handshakes.
func newAccepter(t testing.TB) *stub {
	t.Helper()
	return newStub(t, func(c *stubConn) {
		if c.accept() {
			c.handOver()
		}
	})
}

func (s *stub) address() string { return s.listener.Addr().String() }

func (s *stub) serve() {
	for {
		conn, err := s.listener.AcceptTCP()
		if err != nil {
			return // stop has closed it
		}
		s.conns.Add(1)
		if !s.note(conn) {
			conn.Close()
			return
		}
		s.group.Go(func() {
			c := &stubConn{TCPConn: conn, stub: s}
			c.in = bufio.NewReader(c)
			s.script(c)
			s.forget(conn)
			if !c.handed {
				conn.Close()
			}
		})
	}
}

func (s *stub) note(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.open[conn] = true
	}
	return !s.closed
}

func (s *stub) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// stop ends the stub and its scripts. It may be called twice.
func (s *stub) stop() {
	s.listener.Close()
	s.mu.Lock()
	if !s.closed {
		close(s.ending)
	}
	s.closed = true
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
}

// session waits for the next session that the stub has accepted.
func (s *stub) session() *peer {
	s.t.Helper()
	select {
	case p := <-s.sessions:
		return p
	case <-time.After(patience):
		s.t.Fatal("no session has come to the stub")
		return nil
	}
}

// stubConn is one connection of a stub.
type stubConn struct {
	*net.TCPConn
	stub   *stub
	in     *bufio.Reader
	head   string        // the request head as it came
	asked  *http.Request // the same, parsed
	handed bool
}

// Read counts what is read.
func (c *stubConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.stub.bytes.Add(int64(n))
	return n, err
}

// readHead reads the request head; it reports false when there is none.
func (c *stubConn) readHead() bool {
	var head strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return false
		}
		if line == "\r\n" {
			break
		}
	}
	c.head = head.String()
	var err error
	c.asked, err = http.ReadRequest(bufio.NewReader(strings.NewReader(c.head)))
	if err != nil {
		c.stub.t.Errorf("the stub got a head that net/http refuses: %v\n%s", err, c.head)
		return false
	}
	return true
}

// reply reads the head and answers with text, in which {accept} stands for the
// right Sec-WebSocket-Accept.
func (c *stubConn) reply(text string) bool {
	if c.asked == nil && !c.readHead() {
		return false
	}
	sum := sha1.Sum([]byte(c.asked.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	text = strings.ReplaceAll(text, "{accept}", base64.StdEncoding.EncodeToString(sum[:]))
	_, err := c.Write([]byte(text))
	return err == nil
}

// good101 is the answer that opens a session.
const good101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: {accept}\r\n\r\n"

// accept reads the head and opens the session.
func (c *stubConn) accept() bool { return c.reply(good101) }

// handOver gives the connection to the test.
func (c *stubConn) handOver() {
	c.handed = true
	p := newPeer(c.stub.t, "upstream", true, c.TCPConn)
	p.in = c.in
	c.stub.sessions <- p
}

// await waits for the test, and reports false if the stub ends first.
func (c *stubConn) await(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	case <-c.stub.ending:
		return false
	}
}

// hold waits until the router, or the end of the test, closes the connection.
func (c *stubConn) hold() {
	for {
		if _, err := c.in.Discard(1); err != nil {
			return
		}
	}
}
