package echo

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

// With TLS it does the same as without, for clients of others.
func TestSecure(t *testing.T) {
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Server(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen("127.0.0.1:0", 2, "", config)
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

	tr := &http.Transport{TLSClientConfig: a.Trust()}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	c, _, err := websocket.Dial(t.Context(), "wss://"+s.Addr()+"/chat", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(maxMessage)
	for _, size := range []int{0, 125, 60_000, readBuffer, 5 << 20} {
		want := bytes.Repeat([]byte("points"), size/6+1)[:size]
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.Write(t.Context(), websocket.MessageBinary, want); err != nil {
				t.Errorf("size %d: write: %v", size, err)
			}
		})
		_, got, err := c.Read(t.Context())
		wg.Wait()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("size %d: got %d bytes, error %v", size, len(got), err)
		}
	}
	for path, want := range map[string]string{"/api/health": "ok", "/api/sessions": "1"} {
		res, err := client.Get("https://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || strings.TrimSpace(string(body)) != want {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
	// Handshakes that do not come to an end are for Run to end.
	for _, text := range []string{"", "GET / HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
}
