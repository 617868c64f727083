package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/relay"
)

// startTLS starts a router whose clients speak TLS, and returns how they do.
func startTLS(t testing.TB, o Options, members ...member) (*rig, *tls.Config) {
	t.Helper()
	certificate, roots := testCertificate(t)
	r := prepare(t, o, members...)
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	r.begin()
	return r, &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// secured is a client with TLS. raw is what is below that.
type secured struct {
	*tls.Conn
	raw *peer
	in  *bufio.Reader
}

// dialTLS connects, and does the handshake of TLS.
func (r *rig) dialTLS(config *tls.Config) *secured {
	r.t.Helper()
	raw := r.dial()
	conn := tls.Client(raw.TCPConn, config)
	if err := conn.Handshake(); err != nil {
		r.t.Fatalf("TLS: %v", err)
	}
	return &secured{conn, raw, bufio.NewReader(conn)}
}

// asks sends a head and returns the status of the answer.
func (s *secured) asks(t testing.TB, head string) int {
	t.Helper()
	if _, err := io.WriteString(s, head); err != nil {
		t.Fatal(err)
	}
	a, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode
}

// greets has a message echoed.
func (s *secured) greets(t testing.TB) {
	t.Helper()
	if _, err := s.Write(masked(textFrame, "hello")); err != nil {
		t.Fatal(err)
	}
	if f, err := readFrame(s.in); err != nil || f.payload != "hello" {
		t.Fatalf("got %v, %v", f, err)
	}
}

// hello is what a client of TLS says first.
func hello(t testing.TB) string {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		_ = tls.Client(near, &tls.Config{ServerName: "localhost"}).Handshake()
		near.Close()
	}()
	b := make([]byte, 64<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestPlainOnTLS is one half of row 20: who speaks HTTP where TLS is spoken is
// told so in HTTP, and can read it.
func TestPlainOnTLS(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, _ := startTLS(t, Options{}, member{address: s.address()})
	for name, head := range map[string]string{
		"session":        goodHead,
		"plain request":  "GET / HTTP/1.0\r\n\r\n",
		"long head":      add("X-A: " + strings.Repeat("a", 100<<10)),
		"body":           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("a", 100_000),
		"HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT":        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.offer(head)
			if a := c.refused("GET", 400); !strings.Contains(a.body, `"code":"tls_required"`) {
				t.Errorf("body %s", a.body)
			}
		})
	}
	until(t, "all to be counted", func() bool { return r.Refusals()["tls_required"] == 6 })
	if got := r.Totals(); got != (Totals{Refused: 6}) {
		t.Errorf("totals %+v", got)
	}
}

// TestTLSOnPlain is the other half: a client of TLS has to do with somebody who
// does not speak it, and sees that at once.
func TestTLSOnPlain(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address()})
	c := r.dial()
	began := time.Now()
	err := tls.Client(c.TCPConn, &tls.Config{ServerName: "localhost"}).Handshake()
	var other tls.RecordHeaderError
	if !errors.As(err, &other) || string(other.RecordHeader[:]) != "HTTP/" {
		t.Errorf("got %v", err)
	}
	if _, err := io.Copy(io.Discard, c.TCPConn); err != nil && !isEnd(err) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > leeway {
		t.Errorf("it took %v", took)
	}
	until(t, "it to be counted", func() bool { return r.Refusals()["not_http"] == 1 })
}

// TestNotTLS: what is neither TLS nor HTTP, and TLS that is cut short, ends at
// once. Nothing but an alert is said to it.
func TestNotTLS(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, config := startTLS(t, Options{}, member{address: s.address()})
	whole := hello(t)
	old := tls.Config{RootCAs: config.RootCAs, ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	for _, row := range []struct {
		name, say string
		end       bool // the client ends its side then
	}{
		{"random bytes", "\xf1\x9e\x03\xa8\x00\x17\x55", false},
		{"line ends", "\r\n\r\n\r\n", false},
		{"PROXY header, version 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", false},
		{"SSL 2 hello", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", false},
		{"oversized record", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 100), false},
		{"empty handshake record", "\x16\x03\x01\x00\x00" + strings.Repeat("\x16\x03\x01\x00\x00", 100), false},
		{"alert", "\x15\x03\x01\x00\x02\x02\x28", false},
		{"data first", "\x17\x03\x03\x00\x05hello", false},
		{"hello of another kind", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", false},
		{"huge hello", "\x16\x03\x01\x40\x00\x01\xff\xff\xff" + strings.Repeat("x", 16<<10), false},
		{"rubbish in the hello", "\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd", false},
		{"nothing", "", true},
		{"half a record header", whole[:3], true},
		{"half a hello", whole[:len(whole)/2], true},
		{"hello, and no more", whole, true},
		{"hello, and plain text", whole + goodHead, false},
		{"hello twice", whole + whole, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := r.Totals().Abandoned
			c := r.dial()
			c.t = t
			began := time.Now()
			c.offer(row.say)
			if row.end {
				_ = c.CloseWrite()
			}
			got, err := io.ReadAll(c.in)
			if err != nil && !isEnd(err) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > leeway {
				t.Errorf("it took %v", took)
			}
			if said := string(got); said != "" && said[0] != 0x15 && !strings.HasPrefix(row.say, whole) {
				t.Errorf("it was told %.100q", said)
			}
			until(t, "it to be given up", func() bool { return r.Totals().Abandoned == before+1 })
		})
	}
	t.Run("old version", func(t *testing.T) {
		before := r.Totals().Abandoned
		if err := tls.Client(r.dial().TCPConn, &old).Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("got %v", err)
		}
		until(t, "it to be given up", func() bool { return r.Totals().Abandoned == before+1 })
	})
	t.Run("certificate refused by the client", func(t *testing.T) {
		before := r.Totals().Abandoned
		err := tls.Client(r.dial().TCPConn, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}).Handshake()
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("got %v", err)
		}
		until(t, "it to be given up", func() bool { return r.Totals().Abandoned == before+1 })
	})
	if n := s.conns.Load(); n != 0 {
		t.Errorf("%d connections came to the upstream", n)
	}
	// A hello in pieces of one byte, each in a segment or a record of its own, is one.
	t.Run("hello in pieces", func(t *testing.T) {
		raw := r.dial()
		c := &secured{Conn: tls.Client(&slowWriter{raw.TCPConn}, config), raw: raw}
		c.in = bufio.NewReader(c.Conn)
		if status := c.asks(t, goodHead); status != 101 {
			t.Errorf("got %d", status)
		}
		c.Close()
		s.session().Close()
	})
}

// slowWriter writes byte by byte.
type slowWriter struct{ *net.TCPConn }

func (w *slowWriter) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := w.TCPConn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestGarbageInTLS: what is no record, behind the handshake, ends the connection:
// before there is a session, and in one.
func TestGarbageInTLS(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, config := startTLS(t, Options{Relay: quickClose}, member{address: s.address()})
	for name, garbage := range map[string]string{
		"plain text":       goodHead,
		"oversized record": "\x17\x03\x03\xff\xff",
		"forged record":    "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32),
		"hello":            hello(t),
	} {
		t.Run(name+" before the head", func(t *testing.T) {
			before := r.Totals().Abandoned
			c := r.dialTLS(config)
			c.raw.offer(garbage)
			c.raw.t = t
			if _, err := io.Copy(io.Discard, c.raw.in); err != nil && !isEnd(err) {
				t.Errorf("got %v", err)
			}
			until(t, "it to be given up", func() bool { return r.Totals().Abandoned == before+1 })
		})
		t.Run(name+" in the head", func(t *testing.T) {
			before := r.Totals().Abandoned
			c := r.dialTLS(config)
			if _, err := io.WriteString(c, goodHead[:50]); err != nil {
				t.Fatal(err)
			}
			c.raw.offer(garbage)
			if _, err := io.Copy(io.Discard, c.raw.in); err != nil && !isEnd(err) {
				t.Errorf("got %v", err)
			}
			until(t, "it to be given up", func() bool { return r.Totals().Abandoned == before+1 })
		})
		t.Run(name+" in a session", func(t *testing.T) {
			c := r.dialTLS(config)
			if status := c.asks(t, goodHead); status != 101 {
				t.Fatalf("got %d", status)
			}
			u := s.session()
			if _, err := c.Write(masked(textFrame, "before it")); err != nil {
				t.Fatal(err)
			}
			u.wants(textFrame, "before it")
			c.raw.offer(garbage)
			u.gone()
			u.Close()
			r.wantEnd("client lost")
			if _, err := io.Copy(io.Discard, c.raw.in); err != nil && !isEnd(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("cut in a record", func(t *testing.T) {
		c := r.dialTLS(config)
		if status := c.asks(t, goodHead); status != 101 {
			t.Fatalf("got %d", status)
		}
		u := s.session()
		c.raw.offer("\x17\x03\x03\x00\x20" + "half")
		_ = c.raw.CloseWrite()
		u.gone()
		u.Close()
		r.wantEnd("client lost")
	})
}

// TestHalfOpenTLS is fault 20 with TLS: a client that has vanished is found by
// pings.
func TestHalfOpenTLS(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) {
		if c.accept() {
			c.pong()
		}
	})
	r, config := startTLS(t, Options{Relay: relay.Options{PingInterval: soon, PingTimeout: 4 * soon, CloseWait: soon}}, member{address: s.address()})
	if status := r.dialTLS(config).asks(t, goodHead); status != 101 {
		t.Fatalf("got %d", status)
	}
	r.wantEnd("client silent")
}

// TestNoRoomWithTLS is fault 13 with TLS: who comes when there is no room for more
// is not heard out first, and those who are inside are not concerned.
func TestNoRoomWithTLS(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	r := prepare(t, Options{}, member{address: newEchoer(t, "east").address()})
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	r.files = files{limit: 3, most: 10}
	r.begin()
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	inside := r.dialTLS(config)
	if status := inside.asks(t, goodHead); status != 101 {
		t.Fatalf("got %d", status)
	}
	inside.greets(t)
	until(t, "it to have left the gate", func() bool { return r.counters.atGate.Load() == 0 })
	last := r.dial() // takes the room that is left, and says nothing
	until(t, "it to be at the gate", func() bool { return r.counters.atGate.Load() == 1 })
	began := time.Now()
	if err := tls.Client(r.dial().TCPConn, config).Handshake(); err == nil {
		t.Error("there is room for one more")
	}
	if took := time.Since(began); took > leeway {
		t.Errorf("it took %v", took)
	}
	until(t, "it to be counted", func() bool { return r.Refusals()["no_descriptors"] == 1 })
	inside.greets(t)
	inside.Close()
	last.Close()
	r.ended()
	until(t, "the room to be free", func() bool { return r.filesUsed() == 0 })
	next := r.dialTLS(config)
	if status := next.asks(t, goodHead); status != 101 {
		t.Errorf("got %d", status)
	}
	next.Close()
}
