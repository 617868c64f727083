package echo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient runs the tests and gives the goroutines that are about to end the time for it. Those that stay are for goleak to
// report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	// Each look takes a while when it finds some.
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

// serve runs an echo server for the length of the test.
func serve(t *testing.T, loops int) string {
	t.Helper()
	s, err := Listen("127.0.0.1:0", loops, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s.Addr()
}

// dial connects a client that is not ours.
func dial(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/chat", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(maxMessage)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func TestEchoSizes(t *testing.T) {
	c := dial(t, serve(t, 2))
	for _, size := range []int{0, 1, 125, 126, 4096, 60_000, 65_535, 65_536, readBuffer, 1 << 20, 5 << 20} {
		want := bytes.Repeat([]byte("points"), size/6+1)[:size]
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Write(t.Context(), websocket.MessageBinary, want); err != nil {
				t.Errorf("size %d: write: %v", size, err)
			}
		})
		typ, got, err := c.Read(t.Context())
		wg.Wait()
		if err != nil || typ != websocket.MessageBinary || !bytes.Equal(got, want) {
			t.Fatalf("size %d: got %d bytes of type %v, error %v", size, len(got), typ, err)
		}
	}
}

func TestManyMessagesAtOnce(t *testing.T) {
	c := dial(t, serve(t, 1))
	const messages = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range messages {
			if err := c.Write(t.Context(), websocket.MessageText, bytes.Repeat([]byte{'a' + byte(i%26)}, i*11)); err != nil {
				t.Errorf("write %d: %v", i, err)
				return
			}
		}
	})
	for i := range messages {
		_, got, err := c.Read(t.Context())
		if err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
		if want := bytes.Repeat([]byte{'a' + byte(i%26)}, i*11); !bytes.Equal(got, want) {
			t.Fatalf("message %d has %d bytes, want %d", i, len(got), len(want))
		}
	}
	wg.Wait()
}

func TestPingAndClose(t *testing.T) {
	c := dial(t, serve(t, 1))
	ctx := c.CloseRead(t.Context())
	if err := c.Ping(ctx); err != nil {
		t.Fatalf("ping: %v", err)
	}
	if err := c.Close(websocket.StatusGoingAway, "bye"); err != nil {
		t.Errorf("close handshake: %v", err)
	}
}

// A message and a handshake that arrive byte by byte, and a message in the segment of the handshake.
func TestPieces(t *testing.T) {
	addr := serve(t, 1)
	const handshake = "GET / HTTP/1.1\r\nhost: x\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\n" +
		"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
	const hello = "\x81\x85\x00\x00\x00\x00hello"
	f := func(name string, pieces ...string) {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		for _, p := range pieces {
			if _, err := c.Write([]byte(p)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		want := string(switching) + "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	f("one segment", handshake+hello)
	f("byte by byte", strings.Split(handshake+hello, "")...)
}

func TestHealthAndRefusals(t *testing.T) {
	addr := serve(t, 1)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for path, want := range map[string]int{"/api/health": 200, "/": 404} {
		for range 2 {
			res, err := (&http.Client{Transport: tr}).Get("http://" + addr + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("GET %s: status %d, want %d", path, res.StatusCode, want)
			}
		}
	}
	for name, bytes := range map[string]string{
		"endless head":   strings.Repeat("x", maxRequest+1),
		"unmasked frame": "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n\x81\x01a",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v, want an end", name, err)
		}
		_ = c.Close()
	}
}

// Who answers, and how many sessions are open, is told until they have ended, however they end.
func TestNameAndCount(t *testing.T) {
	s, err := Listen("127.0.0.1:0", 2, "east", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	open := func() string {
		t.Helper()
		res, err := client.Get("http://" + s.Addr() + "/api/sessions")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(body))
	}
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); open() != want; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%s sessions are open, want %s", open(), want)
			}
		}
	}
	var clients []*websocket.Conn
	for range 5 {
		c, res, err := websocket.Dial(t.Context(), "ws://"+s.Addr(), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header.Get(NameHeader); got != "east" {
			t.Errorf("%s: %q", NameHeader, got)
		}
		clients = append(clients, c)
	}
	await("5")
	_ = clients[0].CloseNow()
	if err := clients[1].Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	await("3")
	for _, c := range clients[2:] {
		_ = c.CloseNow()
	}
	await("0")
}

func TestListenRefuses(t *testing.T) {
	for _, addr := range []string{"", "localhost:0", "[::1]:0"} {
		if s, err := Listen(addr, 1, "", nil); err == nil {
			s.close()
			t.Errorf("Listen(%q) has no error", addr)
		}
	}
	if _, err := Listen("127.0.0.1:0", 1, "two\r\nlines", nil); err == nil {
		t.Error("Listen takes a name of two lines")
	}
	if _, err := Listen("127.0.0.1:0", 0, "", nil); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Listen with no loops: %v", err)
	}
}

func TestPoolClasses(t *testing.T) {
	var p pool
	for _, n := range []int{0, 1, minBuffer, minBuffer + 1, 60_000, 1 << 20, 1<<20 + 14, maxMessage + 14} {
		b := p.get(n)
		if cap(b) < n || len(b) != 0 {
			t.Errorf("get(%d) has length %d and capacity %d", n, len(b), cap(b))
		}
		p.put(b)
		if again := p.get(n); cap(again) != cap(b) {
			t.Errorf("get(%d) after put has capacity %d, want %d", n, cap(again), cap(b))
		}
	}
}
