package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// upstream serves WebSockets with serve and returns its ws:// URL. The server ends with the test.
func upstream(t *testing.T, serve func(*http.Request, *websocket.Conn)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"json.v1"}})
		if err != nil {
			return // the client has been told
		}
		defer func() { _ = conn.CloseNow() }()
		serve(r, conn)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestWebSocketProbe(t *testing.T) {
	type seen struct {
		uri, host, header, subprotocol string
		closed                         websocket.StatusCode
	}
	saw := make(chan seen, 1)
	target := upstream(t, func(r *http.Request, conn *websocket.Conn) {
		_, _, err := conn.Read(r.Context())
		saw <- seen{r.RequestURI, r.Host, r.Header.Get("X-Probe"), conn.Subprotocol(), websocket.CloseStatus(err)}
	})
	host := strings.TrimPrefix(target, "ws://")
	for _, row := range []struct {
		name, path string
		o          WebSocketOptions
		want       seen
	}{
		{"plain", "/chat?room=1", WebSocketOptions{},
			seen{"/chat?room=1", host, "", "", websocket.StatusNormalClosure}},
		{"options", "/chat?room=1", WebSocketOptions{
			Path: "/probe", Host: "east.example", Header: http.Header{"X-Probe": {"1"}}, Subprotocols: []string{"xml", "json.v1"},
		}, seen{"/probe", "east.example", "1", "json.v1", websocket.StatusNormalClosure}},
		{"subprotocol not taken", "", WebSocketOptions{Subprotocols: []string{"xml"}},
			seen{"/", host, "", "", websocket.StatusNormalClosure}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := WebSocketProbe(mustParse(t, target+row.path), row.o)
			for range 2 {
				if err := run(t, p, longEnough); err != nil {
					t.Fatal(err)
				}
				if got := <-saw; got != row.want {
					t.Fatalf("upstream saw %+v, want %+v", got, row.want)
				}
			}
		})
	}
}

func TestWebSocketProbeUpstreams(t *testing.T) {
	t.Run("talks first, and much", func(t *testing.T) {
		target := upstream(t, func(r *http.Request, conn *websocket.Conn) {
			big := make([]byte, 1<<20)
			for range 3 {
				if err := conn.Write(r.Context(), websocket.MessageBinary, big); err != nil {
					return
				}
			}
			_, _, _ = conn.Read(r.Context())
		})
		if err := run(t, WebSocketProbe(mustParse(t, target), WebSocketOptions{}), longEnough); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("never answers the close", func(t *testing.T) {
		addr := listen(t, func(conn net.Conn) {
			if !rawAccept(conn) {
				return
			}
			head := make([]byte, 2+4) // a masked ping with a payload below 126 bytes
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			payload := make([]byte, head[1]&0x7f)
			if _, err := io.ReadFull(conn, payload); err != nil {
				return
			}
			for i := range payload {
				payload[i] ^= head[2+i%4]
			}
			_, _ = conn.Write(append([]byte{0x8a, byte(len(payload))}, payload...))
			untilClosed(conn)
		})
		began := time.Now()
		if err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr), WebSocketOptions{}), longEnough); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Fatalf("took %v: waited for the library's own close time-out", took)
		}
	})
	t.Run("no pong until the deadline", func(t *testing.T) {
		addr := listen(t, func(conn net.Conn) {
			if rawAccept(conn) {
				untilClosed(conn)
			}
		})
		err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr+"/chat?secret=1"), WebSocketOptions{}), 100*time.Millisecond)
		want := "websocket ws://" + addr + "/chat: wait for pong: context deadline exceeded"
		if err == nil || err.Error() != want || IsLocal(err) {
			t.Fatalf("error %v, want %s", err, want)
		}
	})
	t.Run("no pong until called off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		addr := listen(t, func(conn net.Conn) {
			if rawAccept(conn) {
				cancel()
				untilClosed(conn)
			}
		})
		err := WebSocketProbe(mustParse(t, "ws://"+addr), WebSocketOptions{})(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
	t.Run("hangs in the handshake", func(t *testing.T) {
		addr := listen(t, untilClosed)
		err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr+"/?secret=1"), WebSocketOptions{}), 50*time.Millisecond)
		if !errors.Is(err, context.DeadlineExceeded) || IsLocal(err) || strings.Contains(err.Error(), "secret") {
			t.Fatal(err)
		}
	})
	t.Run("closes at once", func(t *testing.T) {
		target := upstream(t, func(_ *http.Request, conn *websocket.Conn) {
			_ = conn.Close(websocket.StatusTryAgainLater, "full")
		})
		err := run(t, WebSocketProbe(mustParse(t, target), WebSocketOptions{}), longEnough)
		if err == nil || !strings.Contains(err.Error(), "wait for pong") {
			t.Fatal(err)
		}
	})
	t.Run("ends TCP at once", func(t *testing.T) {
		addr := listen(t, func(conn net.Conn) { rawAccept(conn) })
		err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr), WebSocketOptions{}), longEnough)
		if err == nil || !strings.Contains(err.Error(), "wait for pong") || IsLocal(err) {
			t.Fatal(err)
		}
	})
	t.Run("refuses TCP", func(t *testing.T) {
		err := run(t, WebSocketProbe(mustParse(t, "ws://"+refusing(t)), WebSocketOptions{}), longEnough)
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), ": handshake: ") {
			t.Fatal(err)
		}
	})
	for status, text := range map[string]string{
		"503": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
		"302": "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		"200": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run("answers "+status, func(t *testing.T) {
			addr := listen(t, answering(text, true))
			err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr+"/chat?secret=1"), WebSocketOptions{}), longEnough)
			if want := "websocket ws://" + addr + "/chat: status " + status; err == nil || err.Error() != want {
				t.Fatalf("error %v, want %s", err, want)
			}
		})
	}
	t.Run("wrong accept key", func(t *testing.T) {
		addr := listen(t, answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", true))
		began := time.Now()
		err := run(t, WebSocketProbe(mustParse(t, "ws://"+addr), WebSocketOptions{}), 100*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "Sec-WebSocket-Accept") || IsLocal(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("took %v with a deadline of 100ms", took)
		}
	})
}

func TestWebSocketProbeTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = conn.Read(r.Context())
			_ = conn.CloseNow()
		}
	}))
	s.EnableHTTP2 = true // must not be chosen
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	defer s.Close()
	target := mustParse(t, "wss://"+s.Listener.Addr().String())
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if err := run(t, WebSocketProbe(target, WebSocketOptions{TLS: cfg}), longEnough); err != nil {
		t.Fatal(err)
	}
	err := run(t, WebSocketProbe(target, WebSocketOptions{}), longEnough)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.HasPrefix(err.Error(), "websocket wss://") || !strings.Contains(err.Error(), "is self-signed and not trusted; if it is yours, give it") {
		t.Fatalf("unknown root: %v", err)
	}
}

// The probe must not keep what the caller may change later.
func TestWebSocketProbeCopiesOptions(t *testing.T) {
	got := make(chan http.Header, 1)
	target := upstream(t, func(r *http.Request, _ *websocket.Conn) { got <- r.Header })
	o := WebSocketOptions{Header: http.Header{"X-Probe": {"1"}}, Subprotocols: []string{"json.v1"}}
	p := WebSocketProbe(mustParse(t, target), o)
	o.Header.Set("X-Probe", "2")
	o.Subprotocols[0] = "xml"
	_ = run(t, p, longEnough) // the upstream hangs up at once: only its handshake matters here
	h := <-got
	if h.Get("X-Probe") != "1" || !slices.Equal(h["Sec-Websocket-Protocol"], []string{"json.v1"}) {
		t.Fatalf("upstream saw %v", h)
	}
}
