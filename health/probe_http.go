package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/internal/certtext"
)

const (
	// DefaultHTTPPath is where [HTTPProbe] asks unless told otherwise; Azure SignalR Service and Azure Web PubSub answer there.
	DefaultHTTPPath = "/api/health"

	maxProbeHeader = 16 << 10
	maxProbeBody   = 64 << 10
)

// HTTPOptions configures [HTTPProbe]. The zero value works.
type HTTPOptions struct {
	// Path is the path to ask for, from the root of the host: a path in the target URL is not put before it. It may
	// carry a query, which is sent but never shown. Default [DefaultHTTPPath].
	Path string
	// Host is sent as the Host header instead of the target's host and port.
	Host string
	// TLS is used for https and wss targets; it is copied. ServerName defaults to the target's host. Nil means the system's roots.
	TLS *tls.Config
	// Preamble is sent first of all, before TLS: a header of the PROXY protocol, for a target that demands one. It is copied.
	Preamble []byte
}

// HTTPProbe returns a probe that sends one GET to the host of target, whose scheme is ws, wss, http or https, and wants a 2xx
// answer. A redirect is not followed and is a failure. At most 64 KiB of the body are read; an answer may be longer, but it must come
// to its end, or to that limit, in time. Every call uses a new connection and closes it. The probe may be called concurrently. What is
// wrong with target or Path is reported by each call.
func HTTPProbe(target *url.URL, o HTTPOptions) Probe {
	g, err := newHTTPGet(target, o)
	if err != nil {
		return func(context.Context) error { return err }
	}
	return g.do
}

// httpGet is a request worked out in advance. It is not written to after newHTTPGet.
type httpGet struct {
	op       string // "GET http://host/path", for errors: no query, no user
	addr     string
	host     string
	uri      string
	tls      *tls.Config // nil for http
	preamble []byte
}

func newHTTPGet(target *url.URL, o HTTPOptions) (*httpGet, error) {
	scheme, addr, err := hostOf(target)
	if err != nil {
		return nil, err
	}
	path := o.Path
	if path == "" {
		path = DefaultHTTPPath
	}
	ref, err := url.ParseRequestURI(path)
	if err != nil || ref.Host != "" || path[0] != '/' {
		return nil, fmt.Errorf("health path %q: not an absolute path", path)
	}
	g := &httpGet{
		op:       "GET " + scheme + "://" + target.Host + ref.EscapedPath(),
		addr:     addr,
		host:     target.Host,
		uri:      ref.RequestURI(),
		preamble: slices.Clone(o.Preamble),
	}
	if o.Host != "" {
		g.host = o.Host
	}
	if scheme == "https" {
		g.tls = tlsFor(target, o.TLS)
		g.tls.NextProtos = []string{"http/1.1"} // the only one spoken here
	}
	return g, nil
}

// hostOf returns the HTTP scheme of a WebSocket or HTTP URL and the address to connect to.
func hostOf(target *url.URL) (scheme, addr string, err error) {
	if target == nil {
		return "", "", errors.New("probe target is missing")
	}
	port := target.Port()
	switch target.Scheme {
	case "ws", "http":
		scheme = "http"
		if port == "" {
			port = "80"
		}
	case "wss", "https":
		scheme = "https"
		if port == "" {
			port = "443"
		}
	default:
		return "", "", fmt.Errorf("probe target: scheme %q is not ws, wss, http or https", target.Scheme)
	}
	if target.Hostname() == "" {
		return "", "", errors.New("probe target: no host")
	}
	return scheme, net.JoinHostPort(target.Hostname(), port), nil
}

// tlsFor copies base, or starts from the system's defaults, and fills in the server's name.
func tlsFor(target *url.URL, base *tls.Config) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		cfg = base.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = target.Hostname()
	}
	return cfg
}

// begin sends what comes before everything else.
func begin(conn net.Conn, preamble []byte) error {
	if len(preamble) == 0 {
		return nil
	}
	_, err := conn.Write(preamble) // all of it at once, as the PROXY protocol demands
	return err
}

func (g *httpGet) do(ctx context.Context) error {
	err := g.exchange(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // whatever broke, it broke because we were called off
		return fmt.Errorf("%s: %w", g.op, ctx.Err())
	default:
		return fmt.Errorf("%s: %w", g.op, err)
	}
}

// exchange speaks HTTP through fasthttp's codec on a connection of its own. fasthttp's clients are not used: they keep connections,
// start a cleaner goroutine, and cannot be called off by a context.
func (g *httpGet) exchange(ctx context.Context) error {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", g.addr)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }() // the answer is in, or the error is
	deadline, _ := ctx.Deadline()      // zero: none
	if err := raw.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // wakes the read; its error is reported there
	defer stop()
	if err := begin(raw, g.preamble); err != nil {
		return err
	}
	conn := raw
	if g.tls != nil {
		tlsConn := tls.Client(raw, g.tls)
		if err := tlsConn.HandshakeContext(ctx); err != nil {
			return certtext.Explain(g.addr, err)
		}
		conn = tlsConn
	}

	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodGet)
	req.Header.SetRequestURI(g.uri)
	req.Header.SetHost(g.host)
	req.Header.SetUserAgent("pointsman-probe")
	req.Header.SetConnectionClose()
	w := bufio.NewWriter(conn)
	if err := req.Write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, maxProbeHeader)
	if _, err := r.Peek(1); err != nil { // fasthttp would turn a reset before the first byte into a plain EOF
		return fmt.Errorf("read answer: %w", err)
	}
	err = resp.ReadLimitBody(r, maxProbeBody)
	if code := resp.StatusCode(); code < 200 || code > 299 {
		return fmt.Errorf("status %d", code) // says more than what may be wrong with its body
	}
	if err != nil && !errors.Is(err, fasthttp.ErrBodyTooLarge) {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
