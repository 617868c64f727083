package fanout

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// peer is one upstream and our connections to it. fasthttp's clients are not used, only its codec: they try calls again by their own
// rules, start a goroutine that nobody can stop, and cannot be called off.
type peer struct {
	Upstream
	address string
	tls     *tls.Config // nil for http
	dial    func(ctx context.Context, address string) (net.Conn, error)
	slots   chan struct{} // one for each connection in use

	mu     sync.Mutex
	idle   []*line // the one used last is at the end
	closed bool
}

// line is one connection. In use it belongs to one goroutine, idle to its peer.
type line struct {
	raw    net.Conn // below TLS
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	sent   int64 // bytes written, of the call under way
	timer  *time.Timer
	reused bool
}

const lineBuffer = 16 << 10 // also the longest head of an answer

// Write counts what goes out.
func (l *line) Write(b []byte) (int, error) {
	n, err := l.conn.Write(b)
	l.sent += int64(n)
	return n, err
}

func newPeer(u Upstream, o Options) *peer {
	p := &peer{
		Upstream: u,
		address:  net.JoinHostPort(u.Base.Hostname(), strconv.Itoa(u.Base.Port())),
		dial:     o.Dial,
		slots:    make(chan struct{}, o.Connections),
	}
	if u.Base.Scheme() == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if u.TLS != nil {
			p.tls = u.TLS.Clone()
		}
		if p.tls.ServerName == "" {
			p.tls.ServerName = u.Base.Hostname()
		}
		if p.tls.ClientSessionCache == nil {
			p.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		}
		p.tls.NextProtos = []string{"http/1.1"} // the only one spoken here
	}
	return p
}

func (p *peer) online() bool { return p.Healthy == nil || p.Healthy() }

// callError says how far a call came that failed.
type callError struct {
	stage stage
	cause error
}

type stage uint8

const (
	unsent stage = iota // nothing of it has left
	lost                // some of it has left, and there is no answer
	broken              // there is an answer, which is no HTTP
)

// Error returns the cause. It names addresses at most: fasthttp's errors, which quote what they have read, are not among the causes.
func (e *callError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *callError) Unwrap() error { return e.cause }

var errNotHTTP = errors.New("the answer is no HTTP")

// exchange makes one call and reads its answer; again says that the upstream may see it twice. ctx must have a deadline. The error
// is a *callError.
func (p *peer) exchange(ctx context.Context, req *fasthttp.Request, resp *fasthttp.Response, again bool) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return &callError{unsent, context.Cause(ctx)}
	}
	for {
		l, err := p.take(ctx)
		if err != nil {
			return &callError{unsent, err}
		}
		resp.Reset()
		reusable, err := l.call(ctx, req, resp)
		if err == nil && reusable {
			p.keep(l)
			return nil
		}
		_ = l.conn.Close()
		var failed *callError
		if l.reused && ctx.Err() == nil && errors.As(err, &failed) && (failed.stage == unsent || again && failed.stage == lost) {
			continue // it may have been closed while it was idle, which says nothing about the upstream
		}
		return err
	}
}

// take returns an idle connection or a new one.
func (p *peer) take(ctx context.Context) (*line, error) {
	for {
		l := p.pop()
		if l == nil {
			break
		}
		if !stale(l.raw) {
			l.sent, l.reused = 0, true
			return l, nil
		}
		_ = l.conn.Close()
	}
	raw, err := p.dial(ctx, p.address)
	if err != nil {
		return nil, err
	}
	l := &line{raw: raw, conn: raw}
	if p.tls != nil {
		conn := tls.Client(raw, p.tls)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		l.conn = conn
	}
	l.r, l.w = bufio.NewReaderSize(l.conn, lineBuffer), bufio.NewWriterSize(l, lineBuffer)
	return l, nil
}

func (p *peer) pop() *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	l := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	l.timer.Stop()
	return l
}

// keep makes a connection idle. It is closed when nobody needs it for a while; a timer does that, not a goroutine.
func (p *peer) keep(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = l.conn.Close()
		return
	}
	p.idle = append(p.idle, l)
	l.timer = time.AfterFunc(keepIdle, func() { p.drop(l) })
}

// drop closes an idle connection, unless it was taken.
func (p *peer) drop(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == l {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			_ = l.conn.Close()
			return
		}
	}
}

// close closes what is idle, and from now on what becomes so.
func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.idle {
		l.timer.Stop()
		_ = l.conn.Close()
	}
	p.idle = nil
}

// call makes one call on a connection, and reports whether another may follow.
func (l *line) call(ctx context.Context, req *fasthttp.Request, resp *fasthttp.Response) (reusable bool, err error) {
	deadline, _ := ctx.Deadline()
	if err := l.raw.SetDeadline(deadline); err != nil {
		return false, &callError{unsent, err}
	}
	stop := context.AfterFunc(ctx, func() { _ = l.raw.SetDeadline(time.Unix(1, 0)) }) // wakes whoever waits
	defer stop()
	err = req.Write(l.w)
	if err == nil {
		err = l.w.Flush()
	}
	if err != nil {
		at := lost
		if l.sent == 0 {
			at = unsent
		}
		return false, &callError{at, plain(ctx, err)}
	}
	if _, err := l.r.Peek(1); err != nil { // fasthttp would turn a reset before the first byte into a plain EOF
		return false, &callError{lost, plain(ctx, err)}
	}
	if err := readAnswer(l.r, req, resp); err != nil {
		if err := plain(ctx, err); ctx.Err() != nil || isNet(err) {
			return false, &callError{lost, err}
		}
		return false, &callError{broken, errNotHTTP}
	}
	return !resp.ConnectionClose() && l.r.Buffered() == 0 && stop(), nil
}

// maxInterim is how many interim answers are passed over.
const maxInterim = 4

// readAnswer reads head and body. fasthttp's own way does not tell whether the head was read when the body fails.
func readAnswer(r *bufio.Reader, req *fasthttp.Request, resp *fasthttp.Response) error {
	for range maxInterim + 1 {
		if err := resp.Header.Read(r); err != nil {
			return err
		}
		status := resp.StatusCode()
		if status >= 200 {
			if req.Header.IsHead() || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified {
				return nil
			}
			if err := resp.ReadBody(r, maxAnswer); err != nil {
				return err
			}
			if resp.Header.ContentLength() == -1 { // chunked
				return resp.Header.ReadTrailer(r)
			}
			return nil
		}
	}
	return errNotHTTP
}

// plain says why a connection failed: because the time was up, or the call was called off, or on its own.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// isNet reports whether an error comes from the connection and not from what was read.
func isNet(err error) bool {
	var n net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &n)
}
