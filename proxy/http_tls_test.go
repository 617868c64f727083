package proxy

//lint:file-ignore SA1019 the client that is to be used instead, net/http's, cannot be told to speak HTTP/2 alone.

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestHTTPOverTLS checks requests with TLS on both sides: one after the other on a
// connection, a long upload, a stream; and a session behind them.
func TestHTTPOverTLS(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
		if r.URL.Path == "/cut" {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(flushed{w}, r.Body)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	r := prepare(t, Options{}, member{address: server.Listener.Addr().String(), tls: &tls.Config{RootCAs: roots}},
		member{name: "sessions", address: tlsEcho(t, certificate), tls: &tls.Config{RootCAs: roots}})
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	w := r.world.Load()
	o := w.options
	o.Routes = []Route{{Path: "/chat", Set: set(t, r.Upstreams()[1])}, {Set: set(t, r.Upstreams()[0]), HTTP: HTTP{Pass: true}}}
	next, err := newWorld(r.Proxy, o, w)
	if err != nil {
		t.Fatal(err)
	}
	r.world.Store(next)
	r.begin()

	conn, err := tls.Dial("tcp4", r.address, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	for _, size := range []int{0, 5, 1 << 20} {
		body := strings.Repeat("x", size)
		go fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body)
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(a.Body)
		if err != nil || string(got) != body || a.Header.Get("X-Proto") != "https" {
			t.Fatalf("got %s, %d bytes of %d, %v", a.Status, len(got), size, err)
		}
		if a.Close { // an answer that came before the end of the request
			conn.Close()
			if conn, err = tls.Dial("tcp4", r.address, &tls.Config{RootCAs: roots}); err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			in = bufio.NewReader(conn)
		}
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if a, err := http.ReadResponse(in, nil); err != nil || a.Close {
		t.Fatalf("got %+v, %v", a, err)
	} else if _, err := io.ReadAll(a.Body); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, goodHead+string(masked(0x81, "early")))
	if a, err := http.ReadResponse(in, nil); err != nil || a.StatusCode != 101 {
		t.Fatalf("got %+v, %v", a, err)
	}
	for _, text := range []string{"early", strings.Repeat("late", 5000)} {
		if text != "early" {
			if _, err := conn.Write(masked(0x81, text)); err != nil {
				t.Fatal(err)
			}
		}
		if f, err := readFrame(in); err != nil || f.payload != text {
			t.Fatalf("got %v, %v", f, err)
		}
	}
	conn.Close()

	response, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}).Get("https://" + r.address + "/cut")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("an answer that was cut looks whole")
	}
}

// flushed is an answer that is not gathered.
type flushed struct{ http.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

// TestHTTPOnStreams checks that a plain request on a stream of HTTP/2 is led to
// HTTP/1.1, and harms no session beside it.
func TestHTTPOnStreams(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	r.reroute(HTTP{})
	session := client.open()
	up := s.session()
	request, err := http.NewRequest("GET", "https://"+r.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var reset http2.StreamError
	if _, err := client.transport.RoundTrip(request); !errors.As(err, &reset) || reset.Code != http2.ErrCodeHTTP11Required {
		t.Errorf("got %v", err)
	}
	session.send(t, masked(textFrame, "still here"))
	up.wants(textFrame, "still here")
}
