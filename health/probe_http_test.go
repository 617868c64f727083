package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// longEnough bounds probes that are expected to answer.
const longEnough = 10 * time.Second

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func run(t *testing.T, p Probe, timeout time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return p(ctx)
}

// listen serves each connection on a loopback port with serve, closes it after that, and returns "host:port".
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// refusing returns an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// readRequest reads a request head.
func readRequest(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return
		}
	}
}

// untilClosed reads until the other side has gone.
func untilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// answering returns a server that reads the head and says text; it then holds the connection when hold is set.
func answering(text string, hold bool) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		_, _ = io.WriteString(conn, text)
		if hold {
			untilClosed(conn)
		}
	}
}

func TestHTTPProbeRequest(t *testing.T) {
	var got atomic.Pointer[http.Request]
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		w.WriteHeader(http.StatusNoContent)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	addr := s.Listener.Addr().String()

	for _, row := range []struct {
		name, target   string
		o              HTTPOptions
		wantURI, wHost string
	}{
		{"default path", "ws://" + addr, HTTPOptions{}, "/api/health", addr},
		{"from the root, whatever the target's path", "ws://" + addr + "/prefix/?token=1", HTTPOptions{}, "/api/health", addr},
		{"own path with query", "http://" + addr, HTTPOptions{Path: "/up?deep=1"}, "/up?deep=1", addr},
		{"own host", "ws://" + addr, HTTPOptions{Host: "east.example"}, "/api/health", "east.example"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := conns.Load()
			p := HTTPProbe(mustParse(t, row.target), row.o)
			for range 2 {
				if err := run(t, p, longEnough); err != nil {
					t.Fatal(err)
				}
			}
			r := got.Load()
			if r.Method != http.MethodGet || r.RequestURI != row.wantURI || r.Host != row.wHost || !r.Close || r.UserAgent() == "" {
				t.Errorf("request %s %s, host %q, close %v, agent %q", r.Method, r.RequestURI, r.Host, r.Close, r.UserAgent())
			}
			if n := conns.Load() - before; n != 2 {
				t.Errorf("two probes used %d connections", n)
			}
		})
	}
}

func TestHTTPProbeAnswers(t *testing.T) {
	head := func(status string) string { return "HTTP/1.1 " + status + "\r\n" }
	big := strings.Repeat("x", maxProbeBody+1)
	for _, row := range []struct {
		name string
		say  string
		hold bool
		want string // in the error; empty: good
	}{
		{name: "200", say: head("200 OK") + "Content-Length: 2\r\n\r\nok", hold: true},
		{name: "204", say: head("204 No Content") + "\r\n", hold: true},
		{name: "interim answer first", say: head("103 Early Hints") + "\r\n" + head("200 OK") + "Content-Length: 0\r\n\r\n", hold: true},
		{name: "body up to the end", say: head("200 OK") + "\r\nfine"},
		{name: "body beyond the cap, with length", say: head("200 OK") + "Content-Length: 65537\r\n\r\n" + big, hold: true},
		{name: "body beyond the cap, no end", say: head("200 OK") + "\r\n" + big, hold: true},
		{name: "503", say: head("503 Service Unavailable") + "Content-Length: 0\r\n\r\n", hold: true, want: ": status 503"},
		{name: "404 with broken body", say: head("404 Not Found") + "Content-Length: 9\r\n\r\nx", want: ": status 404"},
		{name: "redirect", say: head("302 Found") + "Location: /\r\nContent-Length: 0\r\n\r\n", hold: true, want: ": status 302"},
		{name: "101", say: head("101 Switching Protocols") + "\r\n", hold: true, want: ": status 101"},
		{name: "cut in the body", say: head("200 OK") + "Content-Length: 10\r\n\r\nshort", want: "read answer:"},
		{name: "cut in the head", say: head("200 OK") + "Conte", want: "read answer:"},
		{name: "nothing", say: "", want: "read answer:"},
		{name: "not HTTP", say: "SSH-2.0-OpenSSH_9.2\r\n\r\n", want: "read answer:"},
		{name: "head beyond the cap", say: head("200 OK") + "X: " + strings.Repeat("x", maxProbeHeader) + "\r\n\r\n", hold: true, want: "read answer:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr := listen(t, answering(row.say, row.hold))
			err := run(t, HTTPProbe(mustParse(t, "ws://"+addr), HTTPOptions{Path: "/up?secret=1"}), longEnough)
			if row.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("error %v, want %q", err, row.want)
			}
			if !strings.HasPrefix(err.Error(), "GET http://"+addr+"/up: ") || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %q", err)
			}
			if IsLocal(err) {
				t.Fatalf("%v is taken for an own fault", err)
			}
		})
	}
}

func TestHTTPProbeFaults(t *testing.T) {
	probe := func(addr string) Probe { return HTTPProbe(mustParse(t, "ws://"+addr), HTTPOptions{}) }
	t.Run("refused", func(t *testing.T) {
		err := run(t, probe(refusing(t)), longEnough)
		if !errors.Is(err, syscall.ECONNREFUSED) || IsLocal(err) {
			t.Fatal(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		addr := listen(t, func(conn net.Conn) {
			readRequest(conn)
			_ = conn.(*net.TCPConn).SetLinger(0)
		})
		err := run(t, probe(addr), longEnough)
		if !errors.Is(err, syscall.ECONNRESET) || IsLocal(err) {
			t.Fatal(err)
		}
	})
	for name, say := range map[string]string{
		"hangs":     "",
		"slow body": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx",
	} {
		t.Run(name+" until the deadline", func(t *testing.T) {
			err := run(t, probe(listen(t, answering(say, true))), 50*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), "i/o timeout") || IsLocal(err) {
				t.Fatal(err)
			}
		})
		t.Run(name+" until called off", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			addr := listen(t, func(conn net.Conn) {
				readRequest(conn)
				_, _ = io.WriteString(conn, say)
				cancel()
				untilClosed(conn)
			})
			if err := probe(addr)(ctx); !errors.Is(err, context.Canceled) || !IsLocal(err) {
				t.Fatal(err)
			}
		})
	}
}

func TestHTTPProbeTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Proto)
	}))
	s.EnableHTTP2 = true // must not be chosen
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	defer s.Close()
	target := mustParse(t, "wss://"+s.Listener.Addr().String()+"/prefix")
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())

	cfg := &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	if err := run(t, HTTPProbe(target, HTTPOptions{TLS: cfg}), longEnough); err != nil {
		t.Fatal(err)
	}
	if cfg.ServerName != "" || cfg.NextProtos[0] != "h2" {
		t.Fatal("the caller's TLS config was written to")
	}
	err := run(t, HTTPProbe(target, HTTPOptions{}), longEnough)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.HasPrefix(err.Error(), "GET https://") || !strings.Contains(err.Error(), "is self-signed and not trusted; if it is yours, give it") {
		t.Fatalf("unknown root: %v", err)
	}
	err = run(t, HTTPProbe(target, HTTPOptions{TLS: &tls.Config{RootCAs: roots, ServerName: "other.test", MinVersion: tls.VersionTLS12}}), longEnough)
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Fatalf("wrong name: %v", err)
	}
}

func TestProbeTargets(t *testing.T) {
	for _, row := range []struct {
		target *url.URL
		path   string
		want   string
	}{
		{nil, "", "target is missing"},
		{mustParse(t, "ftp://east"), "", `scheme "ftp"`},
		{mustParse(t, "ws:///chat"), "", "no host"},
		{mustParse(t, "ws://east"), "health", "not an absolute path"},
		{mustParse(t, "ws://east"), "http://west/health", "not an absolute path"},
		{mustParse(t, "ws://east"), "/a\r\nX: y", "not an absolute path"},
	} {
		for name, p := range map[string]Probe{
			"http":      HTTPProbe(row.target, HTTPOptions{Path: row.path}),
			"websocket": WebSocketProbe(row.target, WebSocketOptions{Path: row.path}),
		} {
			if err := run(t, p, longEnough); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s probe of %v, path %q: error %v, want %q", name, row.target, row.path, err, row.want)
			}
		}
	}
	for _, row := range []struct{ target, scheme, addr string }{
		{"ws://east", "http", "east:80"},
		{"wss://east/x", "https", "east:443"},
		{"wss://east:8443", "https", "east:8443"},
		{"ws://[::1]", "http", "[::1]:80"},
		{"https://[::1]:9", "https", "[::1]:9"},
	} {
		scheme, addr, err := hostOf(mustParse(t, row.target))
		if err != nil || scheme != row.scheme || addr != row.addr {
			t.Errorf("hostOf(%s) = %s, %s, %v", row.target, scheme, addr, err)
		}
	}
}

func TestTCPProbe(t *testing.T) {
	addr := listen(t, untilClosed)
	if err := run(t, TCPProbe(addr), longEnough); err != nil {
		t.Fatal(err)
	}
	addr = refusing(t)
	err := run(t, TCPProbe(addr), longEnough)
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), addr) || IsLocal(err) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := TCPProbe(addr)(ctx); !IsLocal(err) {
		t.Fatalf("called off: %v", err)
	}
}
