package proxy

//lint:file-ignore SA1019 the client that is to be used instead, net/http's, refuses to send :protocol.

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// streamClient opens WebSockets as streams of HTTP/2, with the client of another
// library, over one connection as long as that lasts.
type streamClient struct {
	t         testing.TB
	address   string
	config    *tls.Config
	transport *http2.Transport
	dialed    atomic.Int64
	last      net.Conn // that was dialed
}

// startStreams runs a router that speaks HTTP/2, and a client of it.
func startStreams(t testing.TB, o Options, members ...member) (*rig, *streamClient) {
	t.Helper()
	certificate, roots := testCertificate(t)
	r := prepare(t, o, members...)
	r.tls, r.http2 = &tls.Config{Certificates: []tls.Certificate{certificate}}, true
	r.begin()
	return r, newStreamClient(t, r.address, roots)
}

func newStreamClient(t testing.TB, address string, roots *x509.CertPool) *streamClient {
	c := &streamClient{t: t, address: address, config: &tls.Config{RootCAs: roots}}
	c.transport = &http2.Transport{
		TLSClientConfig: c.config,
		DialTLSContext: func(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
			c.dialed.Add(1)
			conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, c.address)
			c.last = conn
			return conn, err
		},
	}
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// stream is what became of a request: an answer, and if that was success a tunnel.
type stream struct {
	*http.Response
	in     *bufio.Reader
	out    *io.PipeWriter
	stop   context.CancelFunc
	closer io.Closer
}

// ask sends a request, whose header may be nil. The stream ends with the test.
func (c *streamClient) ask(method, target string, header http.Header) (*stream, error) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	body, out := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, method, "https://127.0.0.1"+target, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if request.Header = header.Clone(); header == nil {
		request.Header = make(http.Header)
	}
	if method == http.MethodConnect {
		request.Body, request.ContentLength = body, -1
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		stop()
		return nil, err
	}
	s := &stream{response, bufio.NewReader(response.Body), out, stop, response.Body}
	c.t.Cleanup(s.reset)
	return s, nil
}

// connect asks for a WebSocket.
func (c *streamClient) connect(target string, more ...string) *stream {
	c.t.Helper()
	header := http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	for i := 0; i < len(more); i += 2 {
		header.Add(more[i], more[i+1])
	}
	s, err := c.ask(http.MethodConnect, target, header)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// open opens a WebSocket.
func (c *streamClient) open() *stream {
	c.t.Helper()
	s := c.connect("/chat?room=1")
	if s.StatusCode != http.StatusOK {
		c.t.Fatalf("got %s, %s", s.Status, s.body())
	}
	return s
}

// reset resets the stream. It may be called twice.
func (s *stream) reset() {
	s.stop()
	s.closer.Close()
	s.out.Close()
}

// body is what is left of it.
func (s *stream) body() string {
	b, err := io.ReadAll(s.in)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// send sends bytes.
func (s *stream) send(t testing.TB, p []byte) {
	t.Helper()
	if _, err := s.out.Write(p); err != nil {
		t.Fatal(err)
	}
}

// wants reads a frame, which must be this one.
func (s *stream) wants(t testing.TB, first byte, payload string) {
	t.Helper()
	if f, err := readFrame(s.in); err != nil || f.masked || f.first != first || f.payload != payload {
		t.Fatalf("got %v, %v, want %v", f, err, frame{first, false, payload})
	}
}

// wantsClose reads a Close frame with this code.
func (s *stream) wantsClose(t testing.TB, code uint16) {
	t.Helper()
	if f, err := readFrame(s.in); err != nil || f.first != closeFrame || !strings.HasPrefix(f.payload, status(code, "")) {
		t.Fatalf("got %v, %v, want a close with code %d", f, err, code)
	}
}

// wantsEnd reads the orderly end of the stream.
func (s *stream) wantsEnd(t testing.TB) {
	t.Helper()
	if b, err := s.in.ReadByte(); err != io.EOF {
		t.Fatalf("want the end of the stream, got %#x, %v", b, err)
	}
}

// RoundTrip implements [http.RoundTripper] for libraries that speak WebSocket over
// HTTP/1.1: it makes a stream of an upgrade.
func (c *streamClient) RoundTrip(r *http.Request) (*http.Response, error) {
	header := r.Header.Clone()
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Key"} {
		header.Del(name)
	}
	header[":protocol"] = []string{"websocket"}
	s, err := c.ask(http.MethodConnect, r.URL.RequestURI(), header)
	if err != nil {
		return nil, err
	}
	if s.StatusCode != http.StatusOK {
		return s.Response, nil
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	s.StatusCode = http.StatusSwitchingProtocols
	s.Header.Set("Connection", "Upgrade")
	s.Header.Set("Upgrade", "websocket")
	s.Header.Set("Sec-Websocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	s.Body = tunnelBody{s}
	return s.Response, nil
}

// tunnelBody is what those libraries read and write.
type tunnelBody struct{ *stream }

func (b tunnelBody) Read(p []byte) (int, error)  { return b.in.Read(p) }
func (b tunnelBody) Write(p []byte) (int, error) { return b.out.Write(p) }
func (b tunnelBody) Close() error {
	b.stop()
	return errors.Join(b.out.Close())
}
