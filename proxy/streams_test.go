package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestStreamsEcho carries messages of many sizes in many sessions over one
// connection, with upstreams that speak TLS and that do not.
func TestStreamsEcho(t *testing.T) {
	for _, row := range []struct {
		name   string
		upward bool
		mode   websocket.CompressionMode
	}{{"plain", false, websocket.CompressionDisabled}, {"compressed", false, websocket.CompressionContextTakeover}, {"TLS", true, websocket.CompressionContextTakeover}} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			certificate, roots := testCertificate(t)
			m := member{address: strings.TrimPrefix(emulate(t, "east").URL(), "ws://")}
			if row.upward {
				m.address, m.tls = tlsEcho(t, certificate), &tls.Config{RootCAs: roots}
			}
			r, client := startStreams(t, Options{}, m)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			warm := client.open() // else each may dial at first
			var sessions sync.WaitGroup
			const many = 8
			for range many {
				sessions.Go(func() {
					c, _, err := websocket.Dial(ctx, "wss://router.example/chat", &websocket.DialOptions{
						HTTPClient: &http.Client{Transport: client}, CompressionMode: row.mode,
					})
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = c.CloseNow() }()
					c.SetReadLimit(-1)
					for _, size := range []int{0, 1, 125, 126, 4096, 16 << 10, 65535, 65536, 300_000, 1 << 20} {
						want := make([]byte, size)
						_, _ = rand.Read(want)
						if err := c.Write(ctx, websocket.MessageBinary, want); err != nil {
							t.Error(err)
							return
						}
						_, got, err := c.Read(ctx)
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("%d bytes: got %d other ones, %v", size, len(got), err)
							return
						}
					}
					if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
						t.Error(err)
					}
				})
			}
			sessions.Wait()
			for range many {
				r.wantEnd("client closed")
			}
			if n := client.dialed.Load(); n != 1 {
				t.Errorf("there were %d connections, want 1", n)
			}
			warm.reset()
			r.wantEnd("client lost")
		})
	}
}

// TestStreamsEachWay sends far more than all windows hold, both ways at once.
func TestStreamsEachWay(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	const size, count = 1 << 20, 12
	payload := strings.Repeat("0123456789abcdef", size/16)
	c := client.open()
	up := s.session()
	var group sync.WaitGroup
	group.Go(func() {
		for range count {
			if _, err := c.out.Write(masked(binaryFrame, payload)); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for range count {
			if _, err := up.Write(plain(binaryFrame, payload)); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for range count {
			if f, err := readFrame(up.in); err != nil || !f.masked || f.payload != payload {
				t.Errorf("the upstream got %v, %v", f, err)
				return
			}
		}
	})
	for range count {
		c.wants(t, binaryFrame, payload)
	}
	group.Wait()
	c.send(t, masked(closeFrame, status(1000, "")))
	up.wantsClose(1000)
	up.send(plain(closeFrame, status(1000, "")))
	c.wantsClose(t, 1000)
	c.wantsEnd(t)
	c.out.Close()
	up.Close()
	r.wantEnd("client closed")
}

// TestStreamsSeenByUpstream checks what an upstream is told: the same as of a
// client with HTTP/1.1.
func TestStreamsSeenByUpstream(t *testing.T) {
	balanced(t)
	heads := make(chan *http.Request, 1)
	s := newStub(t, func(c *stubConn) {
		if c.reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: v2\r\nSet-Cookie: a=1\r\nX-Upstream: east\r\n\r\n") {
			heads <- c.asked
			c.hold()
		}
	})
	r, client := startStreams(t, Options{}, member{address: s.address()})
	c := client.connect("/chat/a%20b?room=1", "Sec-Websocket-Protocol", "v1, v2", "Origin", "https://a.example",
		"Cookie", "x=1; y=2", "X-Forwarded-For", "203.0.113.9", "Sec-Websocket-Key", "mine")
	if c.StatusCode != http.StatusOK || c.Header.Get("Sec-Websocket-Protocol") != "v2" || c.Header.Get("Set-Cookie") != "a=1" ||
		c.Header.Get("X-Upstream") != "east" || len(c.Header["Sec-Websocket-Accept"])+len(c.Header["Connection"])+len(c.Header["Upgrade"]) != 0 {
		t.Errorf("got %s %v", c.Status, c.Header)
	}
	head := <-heads
	for name, want := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Protocol": "v1, v2",
		"Origin": "https://a.example", "Cookie": "x=1; y=2", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https",
	} {
		if got := head.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if key := head.Header.Get("Sec-Websocket-Key"); len(key) != 24 {
		t.Errorf("the key is %q", key)
	}
	if got := head.Method + " " + head.RequestURI; got != "GET /chat/a%20b?room=1" {
		t.Errorf("asked for %q", got)
	}
	c.reset()
	if e := r.ended(); e.client != "127.0.0.1" || e.path != "/chat/a%20b" {
		t.Errorf("logged %+v", e)
	}
}

// TestStreamsBesideHTTP1 has clients with HTTP/1.1 on the same port, those that
// choose it and those that choose nothing.
func TestStreamsBesideHTTP1(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	client.open()
	s.session()
	for _, chosen := range [][]string{nil, {"http/1.1"}} {
		config := client.config.Clone()
		config.ServerName, config.NextProtos = "127.0.0.1", chosen
		conn, err := tls.Dial("tcp4", r.address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, goodHead)
		buffer := make([]byte, 12)
		if _, err := conn.Read(buffer); err != nil || string(buffer) != "HTTP/1.1 101" {
			t.Errorf("with %v: got %q, %v", chosen, buffer, err)
		}
		s.session()
	}
}

// TestProtocols says what is offered by ALPN.
func TestProtocols(t *testing.T) {
	for _, row := range []struct {
		asked []string
		http2 bool
		want  string
	}{
		{nil, false, "[]"}, {nil, true, "[h2 http/1.1]"}, {[]string{"http/1.1"}, true, "[h2 http/1.1]"},
		{[]string{"http/1.1", "h2"}, true, "[h2 http/1.1]"}, {[]string{"h2", "http/1.1"}, false, "[http/1.1]"},
		{[]string{"x"}, true, "[h2 x http/1.1]"},
	} {
		asked := fmt.Sprint(row.asked)
		if got := fmt.Sprint(protocols(row.asked, row.http2)); got != row.want || fmt.Sprint(row.asked) != asked {
			t.Errorf("%v, %v: got %v, want %v", asked, row.http2, got, row.want)
		}
	}
}

// TestStreamsNotOffered has a client that can do HTTP/2 meet a listener that does
// not.
func TestStreamsNotOffered(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	s := newAccepter(t)
	r := prepare(t, Options{}, member{address: s.address()})
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
	r.begin()
	conn, err := tls.Dial("tcp4", r.address, &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("%q was chosen", p)
	}
}

// TestStreamsStuck has one session whose upstream reads nothing, and one whose
// client reads nothing, beside others that go on. What the stuck ones hold is
// bounded.
func TestStreamsStuck(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{Relay: relay.Options{WriteTimeout: -1}}, member{address: s.address()})
	inward := client.open()
	unread := s.session()
	_ = unread.SetReadBuffer(64 << 10)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			if _, err := inward.out.Write(masked(binaryFrame, strings.Repeat("x", 64<<10))); err != nil {
				return
			}
		}
	})
	_ = client.open() // reads nothing
	taken := s.session().fill(plain(binaryFrame, strings.Repeat("y", 64<<10)))
	t.Logf("%d bytes were taken from the upstream", taken)
	// 4 MiB is the window of the client, the rest are the buffers of sockets.
	if taken > 24<<20 {
		t.Errorf("%d bytes were taken from an upstream whose client reads nothing", taken)
	}
	c := client.open()
	up := s.session()
	for i := range 200 {
		text := fmt.Sprint("message ", i)
		c.send(t, masked(textFrame, text))
		up.wants(textFrame, text)
		up.send(plain(textFrame, text))
		c.wants(t, textFrame, text)
	}
	inward.reset()
	group.Wait()
	r.cancel() // with those that are stuck
}
