package fanout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

// TestAnswersOnTheWire has upstreams that answer with bytes of their own.
func TestAnswersOnTheWire(t *testing.T) {
	chunked := "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, row := range []struct {
		name, bytes string
		result      string // of west
		reused      bool
	}{
		{"plain", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "202", true},
		{"with a body", "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nhi", "202", true},
		{"chunked", chunked + "2\r\nhi\r\n0\r\n\r\n", "202", true},
		{"chunked with a trailer", chunked + "2\r\nhi\r\n0\r\nA: b\r\n\r\n", "202", true},
		{"after an interim answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "202", true},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", "204", true},
		{"until the end", "HTTP/1.1 202 Accepted\r\n\r\nhi", "202", false},
		{"it closes", "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "202", false},
		{"1.0", "HTTP/1.0 202 Accepted\r\nContent-Length: 0\r\n\r\n", "202", false},
		{"more than one answer", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "202", false},
		{"nothing", "", "lost", false},
		{"half a head", "HTTP/1.1 202 Acc", "", false},
		{"half a body", "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhi", "", false},
		{"half a chunk", chunked + "5\r\nhi", "", false},
		{"no HTTP", "\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", "bad-answer", false},
		{"no status", "HTTP/1.1 abc\r\n\r\n", "bad-answer", false},
		{"only interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxInterim+1), "bad-answer", false},
		{"long head", "HTTP/1.1 202 Accepted\r\nX: " + strings.Repeat("a", lineBuffer) + "\r\n\r\n", "bad-answer", false},
		{"long body", fmt.Sprintf("HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n", maxAnswer+1), "bad-answer", false},
		{"bad chunks", chunked + "zz\r\n", "bad-answer", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var dials atomic.Int64
			bubble(t, azure.WebPubSub, func(o *Options) {
				dial := o.Dial
				o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
					if address != "west.internal:81" {
						return dial(ctx, address)
					}
					dials.Add(1)
					near, far := net.Pipe()
					go serveBytes(far, row.bytes) // ends with the bubble
					return near, nil
				}
			}, func(t *testing.T, r *rig) {
				for range 2 {
					c, q := r.find("POST", sendAll)
					q.Body, q.Fields = strings.NewReader("hello"), [][2]string{{"Content-Type", "text/plain"}}
					a := r.f.Do(context.Background(), c, q)
					got := a.Results[1].word()
					if got = strings.Trim(got, `"`); row.result == "" && got != "lost" && got != "bad-answer" ||
						row.result != "" && got != row.result {
						t.Errorf("west is told as %s: %v", got, a.Results[1].err)
					}
					if err := a.Results[1].err; err != nil && strings.Contains(err.Error(), "aaaa") {
						t.Errorf("the error shows the answer: %v", err)
					}
				}
				if n := dials.Load(); (n == 1) != row.reused {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}

// serveBytes answers every request on conn with the same bytes, and closes it if they are no whole answer.
func serveBytes(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 64<<10)
	for have := 0; ; {
		n, err := conn.Read(buffer[have:])
		if err != nil {
			return
		}
		if have += n; !strings.HasSuffix(string(buffer[:have]), "hello") {
			continue
		}
		have = 0
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
		whole := strings.Contains(answer, "Content-Length: 0") && !strings.Contains(answer, "close") || strings.HasSuffix(answer,
			"0\r\n\r\n") ||
			strings.HasSuffix(answer, "\r\n\r\nhi") && strings.Contains(answer, "Length: 2") || strings.Contains(answer,
			" 204 ") || strings.Contains(answer, "A: b")
		if !whole {
			return
		}
	}
}

// TestIdleConnectionsEnd checks that a connection is used again while it is fresh, and closed afterwards.
func TestIdleConnectionsEnd(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		dials := func() int64 { return r.ups["east"].dials.Load() }
		r.send(sendAll, `1`)
		time.Sleep(keepIdle - time.Second)
		r.send(sendAll, `1`)
		if dials() != 1 {
			t.Errorf("%d dials", dials())
		}
		time.Sleep(keepIdle)
		synctest.Wait()
		if n := len(r.f.peers[0].idle); n != 0 {
			t.Errorf("%d idle connections", n)
		}
		r.send(sendAll, `1`)
		if dials() != 2 {
			t.Errorf("%d dials", dials())
		}
		r.f.Close()
		r.f.Close()
		r.expect(r.send(sendAll, `1`), "202 east=202 west=202 north=202", "-")
		if n := len(r.f.peers[0].idle); n != 0 || dials() != 3 {
			t.Errorf("%d idle connections after the close, %d dials", n, dials())
		}
	})
}

// TestClosedWhileIdle checks with pipes, where it cannot be seen beforehand, that a connection which the upstream has closed costs no
// call that may be made again, and no message of which nothing has left.
func TestClosedWhileIdle(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		for range 2 {
			r.expect(r.send(sendAll, `1`), "202 east=202 west=202 north=202", all)
			r.ups["west"].server.SetKeepAlivesEnabled(false) // closes what is idle
			synctest.Wait()
			r.ups["west"].server.SetKeepAlivesEnabled(true)
			r.ups["west"].says(202, "")
			r.expect(r.do("PUT", "/api/hubs/chat/users/u/groups/g?api-version=1"), "202 east=202 west=202 north=202", all)
		}
	})
}

// tcp makes a fan-out to a server of its own with real sockets.
func tcp(t *testing.T, server *httptest.Server, change func(*Upstream)) (*Fanout, *rig) {
	t.Helper()
	u := Upstream{Name: "real", Base: base(t, server.URL), Endpoint: base(t, "https://real.example"), Key: key(t, ownText)}
	if change != nil {
		change(&u)
	}
	f := mustNew(t, Options{Service: azure.WebPubSub, Upstreams: []Upstream{u}, Deadline: time.Minute})
	v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "route", Keys: []azure.Key{key(t, ownText)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return f, &rig{t: t, f: f, o: Options{Service: azure.WebPubSub}, verifiers: v}
}

func TestRealSockets(t *testing.T) {
	var mu sync.Mutex
	conns := make(map[string]int)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) != 10<<10 {
			t.Errorf("a body of %d bytes, %v", len(body), err)
		}
		mu.Lock()
		conns[r.RemoteAddr]++
		mu.Unlock()
		w.WriteHeader(202)
	})
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			server := httptest.NewUnstartedServer(handler)
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			clear(conns)
			f, r := tcp(t, server, func(u *Upstream) {
				if secure {
					pool := x509.NewCertPool()
					pool.AddCert(server.Certificate())
					u.TLS = &tls.Config{RootCAs: pool}
				}
			})
			defer f.Close()
			message := `"` + strings.Repeat("a", 10<<10-2) + `"`
			for range 5 {
				r.expect(r.send(sendAll, message), "202 real=202", "")
			}
			// A late ticket may make a connection of TLS look stale once.
			if len(conns) > 2 {
				t.Errorf("5 calls on %d connections", len(conns))
			}
			server.CloseClientConnections()
			waitUntilStale(t, f.peers[0])
			r.expect(r.send(sendAll, message), "202 real=202", "")
		})
	}
}

// waitUntilStale waits until the end of all idle connections has arrived here.
func waitUntilStale(t *testing.T, p *peer) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.idle {
		if err := l.raw.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		raw, err := l.raw.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		// Returns when there is something to read, without reading it.
		asked := false
		if err := raw.Read(func(uintptr) bool { again := asked; asked = true; return again || stale(l.raw) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }))
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	f, r := tcp(t, server, nil)
	defer f.Close()
	a := r.send(sendAll, `1`)
	r.expect(a, "502 real=unreachable, partial real", "")
	var unknown *tls.CertificateVerificationError
	if !errors.As(a.Results[0].err, &unknown) {
		t.Errorf("the cause is %v", a.Results[0].err)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Upstream{Name: "a", Base: base(t, "http://a"), Endpoint: base(t, "https://a"), Key: key(t, ownText)}
	with := func(change func(*Upstream)) []Upstream {
		u := good
		change(&u)
		return []Upstream{u}
	}
	if _, err := New(Options{Upstreams: []Upstream{good}}); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"nobody": {}, "twice": {Upstreams: []Upstream{good, good}},
		"no name":   {Upstreams: with(func(u *Upstream) { u.Name = "" })},
		"comma":     {Upstreams: with(func(u *Upstream) { u.Name = "a,b" })},
		"quote":     {Upstreams: with(func(u *Upstream) { u.Name = `a"` })},
		"not ASCII": {Upstreams: with(func(u *Upstream) { u.Name = "é" })},
		"no base":   {Upstreams: with(func(u *Upstream) { u.Base = azure.Base{} })},
		"no place":  {Upstreams: with(func(u *Upstream) { u.Endpoint = azure.Base{} })},
		"no key":    {Upstreams: with(func(u *Upstream) { u.Key = azure.Key{} })},
		"TLS":       {Upstreams: with(func(u *Upstream) { u.TLS = &tls.Config{MinVersion: tls.VersionTLS12} })},
		"deadline":  {Upstreams: []Upstream{good}, Deadline: -1}, "body": {Upstreams: []Upstream{good}, MaxBody: -1},
		"backlog": {Upstreams: []Upstream{good}, Backlog: -1}, "connections": {Upstreams: []Upstream{good}, Connections: -1},
		"retries": {Upstreams: []Upstream{good}, Retries: 4}, "service": {Upstreams: []Upstream{good}, Service: 7},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if Outcome(99).String() != "unknown" || BadAnswer.String() != "bad-answer" {
		t.Error("outcomes have other names")
	}
}

// BenchmarkFanout makes calls with 10 kB to 1 and to 4 upstreams, eight at a time.
func BenchmarkFanout(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(202)
	}))
	defer server.Close()
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := Options{Service: azure.WebPubSub}
			for i := range n {
				o.Upstreams = append(o.Upstreams, Upstream{
					Name: fmt.Sprint("u", i), Base: base(b, server.URL), Endpoint: base(b, "https://real.example"), Key: key(b, ownText),
				})
			}
			f := mustNew(b, o)
			defer f.Close()
			v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "route", Keys: []azure.Key{key(b,
				ownText)}}}})
			if err != nil {
				b.Fatal(err)
			}
			r := &rig{t: b, f: f, o: o, verifiers: v}
			c, q := r.find("POST", sendAll)
			q.Fields = [][2]string{{"Content-Type", "application/octet-stream"}}
			message := strings.Repeat("a", 10<<10)
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					q := q
					q.Body, q.Length = strings.NewReader(message), int64(len(message))
					if a := f.Do(context.Background(), c, q); a.Status != 202 || a.header(PartialField) != "" {
						b.Errorf("answered %d %s", a.Status, a.Body)
						return
					}
				}
			})
		})
	}
}
