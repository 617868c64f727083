package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/certtext"
)

// probeCloseWait bounds the wait for the upstream's Close frame after a good probe.
const probeCloseWait = 250 * time.Millisecond

// WebSocketOptions configures [WebSocketProbe]. The zero value works.
type WebSocketOptions struct {
	// Path is the path of the handshake, from the root of the host, instead of the target's path and query. It may carry a query.
	Path string
	// Host is sent as the Host header instead of the target's host and port.
	Host string
	// Header is added to the handshake; it is copied.
	Header http.Header
	// Subprotocols are offered to the upstream. An upstream that chooses none of them is still well.
	Subprotocols []string
	// TLS is used for https and wss targets; it is copied. ServerName defaults to the target's host. Nil means the system's roots.
	TLS *tls.Config
	// Preamble is sent first of all, before TLS: a header of the PROXY protocol, for a target that demands one. It is copied.
	Preamble []byte
}

// WebSocketProbe returns a probe that does what a client would: a full handshake with target (ws, wss, http or https), a Ping, the wait
// for its Pong, and a Close with code 1000 (RFC 6455 §5.5). Messages that the upstream sends unasked are read and
// dropped. How the upstream answers the Close does not matter; the wait for it is short. Every call uses a new connection. Redirects are
// not followed, proxies from the environment are not used. The probe may be called concurrently. What is wrong with target or Path
// is reported by each call.
func WebSocketProbe(target *url.URL, o WebSocketOptions) Probe {
	d, err := newWSDial(target, o)
	if err != nil {
		return func(context.Context) error { return err }
	}
	return d.do
}

// wsDial is a handshake worked out in advance. It is not written to after newWSDial.
type wsDial struct {
	op       string // "websocket ws://host/path", for errors: no query, no user
	url      string
	tls      *tls.Config // nil for ws
	preamble []byte
	opts     websocket.DialOptions // without HTTPClient
}

func newWSDial(target *url.URL, o WebSocketOptions) (*wsDial, error) {
	scheme, _, err := hostOf(target)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: scheme, Host: target.Host, Path: target.Path, RawPath: target.RawPath, RawQuery: target.RawQuery}
	if o.Path != "" {
		ref, err := url.ParseRequestURI(o.Path)
		if err != nil || ref.Host != "" || o.Path[0] != '/' {
			return nil, fmt.Errorf("websocket probe path %q: not an absolute path", o.Path)
		}
		u.Path, u.RawPath, u.RawQuery = ref.Path, ref.RawPath, ref.RawQuery
	}
	d := &wsDial{
		url:      u.String(),
		preamble: slices.Clone(o.Preamble),
		opts: websocket.DialOptions{
			HTTPHeader:   o.Header.Clone(),
			Host:         o.Host,
			Subprotocols: slices.Clone(o.Subprotocols),
		},
	}
	shown := "ws"
	if scheme == "https" {
		d.tls = tlsFor(target, o.TLS)
		d.tls.NextProtos = []string{"http/1.1"}
		shown = "wss"
	}
	d.op = "websocket " + shown + "://" + u.Host + u.EscapedPath()
	return d, nil
}

// client returns an HTTP client for one handshake. Its connection is cut when ctx ends, whatever the libraries are waiting for:
// after a bad 101 the WebSocket library reads on for seconds, out of reach of its own context.
func (d *wsDial) client(ctx context.Context) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
				var nd net.Dialer
				conn, err := nd.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				context.AfterFunc(ctx, func() { _ = conn.Close() })
				if err := begin(conn, d.preamble); err != nil {
					_ = conn.Close()
					return nil, err
				}
				return conn, nil
			},
			TLSClientConfig:        d.tls,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxProbeHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (d *wsDial) do(ctx context.Context) error {
	err := d.exchange(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // whatever broke, it broke because we were called off
		return fmt.Errorf("%s: %w", d.op, ctx.Err())
	default:
		return fmt.Errorf("%s: %w", d.op, err)
	}
}

func (d *wsDial) exchange(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opts := d.opts
	opts.HTTPClient = d.client(ctx)
	conn, resp, err := websocket.Dial(ctx, d.url, &opts)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("handshake: %w", context.Cause(ctx)) // it was we who cut the connection
		}
		return dialError(resp, err)
	}
	done := make(chan struct{})
	go func() { // Ping needs a reader; when reading ends, so does the wait for the Pong
		defer close(done)
		cancel(discard(ctx, conn))
	}()
	err = conn.Ping(ctx)
	if err == nil {
		// The end of ctx cuts the connection, also under the library's own, longer, wait for the Close.
		cut := time.AfterFunc(probeCloseWait, func() { cancel(nil) })
		_ = conn.Close(websocket.StatusNormalClosure, "") // it has answered: that is all we asked
		cut.Stop()
	} else {
		if ended := context.Cause(ctx); ended != nil {
			err = ended // why reading ended says more than that the ping got no answer
		}
		err = fmt.Errorf("wait for pong: %w", err)
	}
	cancel(nil)
	_ = conn.CloseNow() // after Close it does nothing
	<-done
	return err
}

// discard reads and drops messages until reading ends, and says why it did.
func discard(ctx context.Context, conn *websocket.Conn) error {
	conn.SetReadLimit(-1) // nothing is kept
	for {
		_, r, err := conn.Reader(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return inner(err)
		}
	}
}

// inner drops the outermost layer of an error of the WebSocket library, which only says that it failed.
func inner(err error) error {
	if next := errors.Unwrap(err); next != nil {
		return next
	}
	return err
}

// dialError keeps the part that an operator can use, and drops the URL with its query that net/http puts before it.
func dialError(resp *http.Response, err error) error {
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	} else {
		err = inner(err)
	}
	if why := certtext.Reason(err); why != "" {
		return fmt.Errorf("handshake: %s: %w", why, err)
	}
	return fmt.Errorf("handshake: %w", err)
}
