package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawStreams is a client of HTTP/2 that does what no library would.
type rawStreams struct {
	*tls.Conn
	*http2.Framer
	t       testing.TB
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// raw opens a connection without a greeting; first is what comes before TLS.
func (c *streamClient) raw(first string) *rawStreams {
	c.t.Helper()
	conn, err := net.Dial("tcp4", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, first)
	config := c.config.Clone()
	config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	r := &rawStreams{Conn: secured, Framer: http2.NewFramer(secured, secured), t: c.t}
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.encoder = hpack.NewEncoder(&r.block)
	return r
}

// greet sends what comes first.
func (r *rawStreams) greet() {
	r.t.Helper()
	if _, err := io.WriteString(r.Conn, http2.ClientPreface); err != nil {
		r.t.Fatal(err)
	}
	if err := r.WriteSettings(); err != nil {
		r.t.Fatal(err)
	}
}

// ask asks for a WebSocket on a stream, and returns what went wrong.
func (r *rawStreams) ask(stream uint32, more ...string) error {
	r.block.Reset()
	fields := append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https",
		":authority", "router.example", ":path", "/chat", "sec-websocket-version", "13"}, more...)
	for i := 0; i < len(fields); i += 2 {
		_ = r.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	block := r.block.Bytes()
	n := min(len(block), 16<<10)
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:n], EndHeaders: n == len(block)}); err != nil {
		return err
	}
	if n < len(block) {
		return r.WriteContinuation(stream, true, block[n:])
	}
	return nil
}

// read reads frames up to one for which f reports true.
func (r *rawStreams) read(f func(http2.Frame) bool) {
	r.t.Helper()
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			r.t.Fatal(err)
		}
		if f(frame) {
			return
		}
	}
}

// answered reads up to the answer on a stream, and returns its status.
func (r *rawStreams) answered(stream uint32) (status string) {
	r.t.Helper()
	r.read(func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		if ok && h.StreamID == stream {
			status = h.PseudoValue("status")
		}
		return status != ""
	})
	return status
}

// goodbye reads up to a GOAWAY, and returns its code.
func (r *rawStreams) goodbye() (code http2.ErrCode) {
	r.t.Helper()
	r.read(func(f http2.Frame) bool {
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = g.ErrCode
			return true
		}
		return false
	})
	return code
}

// gone reads what is left, up to the end.
func (r *rawStreams) gone() {
	r.t.Helper()
	if _, err := io.Copy(io.Discard, r.Conn); errTimeout(err) {
		r.t.Error("the connection has not ended")
	}
}

func errTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestStreamsSlow is slow in every phase before there is a stream: all are gone by
// their deadline.
func TestStreamsSlow(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	_, client := startStreams(t, Options{Limits: Limits{HeaderTimeout: 300 * time.Millisecond}}, member{address: s.address()})
	for _, first := range []string{"", http2.ClientPreface[:7], http2.ClientPreface} {
		r := client.raw("")
		_, _ = io.WriteString(r.Conn, first)
		r.gone()
	}
	r := client.raw("") // greets, and asks for nothing
	r.greet()
	if code := r.goodbye(); code != http2.ErrCodeNo {
		t.Errorf("got %v", code)
	}
	r.gone()
	r = client.raw("") // asks for half a head
	r.greet()
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x82")})
	if code := r.goodbye(); code != http2.ErrCodeNo {
		t.Errorf("got %v", code)
	}
	r.gone()
	if n := s.conns.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestStreamsHoldLong has a session that is open for longer than anything may take
// that is none.
func TestStreamsHoldLong(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	_, client := startStreams(t, Options{Limits: Limits{HeaderTimeout: 100 * time.Millisecond}}, member{address: s.address()})
	c := client.open()
	up := s.session()
	time.Sleep(300 * time.Millisecond) // what must not end it has had its time
	c.send(t, masked(textFrame, "hello"))
	up.wants(textFrame, "hello")
	_, _ = up.Write(plain(textFrame, "world"))
	c.wants(t, textFrame, "world")
}

// TestStreamsRapidReset asks and resets as fast as it can. The upstream is asked by
// few of them.
func TestStreamsRapidReset(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) { c.hold() })
	r, client := startStreams(t, Options{Failover: Failover{HandshakeTimeout: time.Second}}, member{address: s.address()})
	raw := client.raw("")
	raw.greet()
	sent := 0
	for ; sent < 5000; sent++ {
		id := uint32(2*sent + 1)
		if raw.ask(id) != nil || raw.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	raw.gone()
	if n := s.conns.Load(); n > 200 {
		t.Errorf("after %d requests the upstream was asked %d times", sent, n)
	}
	until(t, "the streams to end", func() bool { return r.counters.streams.Load() == 0 })
}

// TestStreamsLongHead asks with a head that is too long, beside an open session.
func TestStreamsLongHead(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	_, client := startStreams(t, Options{}, member{address: s.address()})
	r := client.raw("")
	r.greet()
	var statuses []string
	for i, more := range [][]string{nil, {"x", strings.Repeat("y", 17<<10)}, {"cookie", strings.Repeat("a", 9<<10), "cookie", strings.Repeat("b", 9<<10)}, nil} {
		if err := r.ask(uint32(2*i+1), more...); err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, r.answered(uint32(2*i+1)))
	}
	s.session()
	s.session()
	if got := fmt.Sprint(statuses); got != "[200 431 431 200]" {
		t.Errorf("got %s", got)
	}
}

// TestStreamsNotSpoken chooses HTTP/2 and speaks something else.
func TestStreamsNotSpoken(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	_, client := startStreams(t, Options{}, member{address: s.address()})
	r := client.raw("")
	_, _ = io.WriteString(r.Conn, goodHead)
	if code := r.goodbye(); code != http2.ErrCodeProtocol {
		t.Errorf("got %v", code)
	}
	r.gone()
}

// TestStreamsBehindProxy comes through a proxy with a header of the PROXY protocol:
// each stream has the client that it names.
func TestStreamsBehindProxy(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	s := newAccepter(t)
	r := prepare(t, Options{}, member{address: s.address()})
	r.tls, r.http2 = &tls.Config{Certificates: []tls.Certificate{certificate}}, true
	r.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	r.begin()
	raw := newStreamClient(t, r.address, roots).raw("PROXY TCP4 203.0.113.7 192.0.2.1 1234 443\r\n")
	raw.greet()
	var ups []*peer
	for _, id := range []uint32{1, 3} {
		if err := raw.ask(id); err != nil {
			t.Fatal(err)
		}
		ups = append(ups, s.session())
		raw.answered(id)
	}
	raw.Close()
	for _, up := range ups {
		up.eof()
		up.Close()
		if e := r.ended(); e.client != "203.0.113.7" {
			t.Errorf("logged %+v", e)
		}
	}
}

// TestStreamsGoodbye reads what a connection is told when the router ends.
func TestStreamsGoodbye(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	raw := client.raw("")
	raw.greet()
	if err := raw.ask(1); err != nil {
		t.Fatal(err)
	}
	up := s.session()
	r.cancel()
	var told []string
	for {
		f, err := raw.ReadFrame()
		if err != nil {
			if errTimeout(err) {
				t.Error("the connection has not ended")
			}
			break
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			told = append(told, fmt.Sprint("goodbye ", f.LastStreamID))
		case *http2.PingFrame:
			_ = raw.WritePing(true, f.Data)
		case *http2.DataFrame:
			if f.StreamEnded() {
				told = append(told, "end")
				_ = raw.WriteData(1, true, nil)
			} else {
				told = append(told, "close")
				_ = raw.WriteData(1, false, masked(closeFrame, status(1001, "")))
				up.wantsClose(1001)
				up.Close()
			}
		}
	}
	// The warning, and the Close frame and the end of the session, come from two
	// sides; the last word is the last.
	warned, closed, ended := slices.Index(told, "goodbye 2147483647"), slices.Index(told, "close"), slices.Index(told, "end")
	if warned < 0 || closed < 0 || ended < closed || told[len(told)-1] != "goodbye 1" {
		t.Errorf("got %s", strings.Join(told, ", "))
	}
	r.stop()
}
