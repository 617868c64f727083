package inbox

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/bench/internal/broadcast"
)

const (
	key  = "the key of this inbox"
	size = 10_000
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open runs an inbox for the length of the test.
func open(t *testing.T) *Inbox {
	t.Helper()
	b, err := Listen("127.0.0.1:0", key, size)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

// call is a client that is not ours.
type call struct {
	method, target, kind, token, body string
}

func (c call) do(t *testing.T, client *http.Client, addr string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr+c.target, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", c.kind)
	req.Header.Set("Authorization", c.token)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// message is a call that is right in everything.
func message(t *testing.T, addr string, n broadcast.Number) call {
	t.Helper()
	token, err := broadcast.Sign(key, addr, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(broadcast.NewMessage(addr, token, size).With(n)), "\r\n\r\n")
	return call{"POST", broadcast.Target, broadcast.ContentType, "Bearer " + token, body}
}

func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestOnce(t *testing.T) {
	b, http := open(t), client(t)
	for _, n := range []broadcast.Number{{Series: 0}, {Series: 0, Place: 1}, {Series: 5}, {Series: 0, Place: 2}} {
		if status := message(t, b.Addr(), n).do(t, http, b.Addr()); status != 202 {
			t.Errorf("%v: status %d", n, status)
		}
	}
	want := Counts{Messages: 4}
	if diff := cmp.Diff(want, b.Counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Who repeats one is not told: it is the inbox that knows.
	if status := message(t, b.Addr(), broadcast.Number{Series: 0, Place: 1}).do(t, http, b.Addr()); status != 202 {
		t.Errorf("again: status %d", status)
	}
	want.Again, want.First = 1, "message 1 of series 0 came again"
	if diff := cmp.Diff(want, b.Counts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := Read(t.Context(), b.Addr())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("as told: %v (-want +got):\n%s", err, diff)
	}
}

func TestWrong(t *testing.T) {
	f := func(name, first string, change func(*call)) {
		t.Helper()
		b := open(t)
		http := client(t)
		c := message(t, b.Addr(), broadcast.Number{})
		change(&c)
		if status := c.do(t, http, b.Addr()); status != 400 {
			t.Errorf("%s: status %d", name, status)
		}
		if got := b.Counts(); got.Messages != 0 || got.Wrong != 1 || !strings.Contains(got.First, first) {
			t.Errorf("%s: %+v, want %q", name, got, first)
		}
		// The connection is good for the next one.
		if status := message(t, b.Addr(), broadcast.Number{}).do(t, http, b.Addr()); status != 202 || b.Counts().Messages != 1 {
			t.Errorf("after %s: status %d, %+v", name, status, b.Counts())
		}
	}
	f("a byte less", "9999 bytes", func(c *call) { c.body = c.body[:size-1] })
	f("a byte more", "10001 bytes", func(c *call) { c.body += "x" })
	f("nothing", "0 bytes", func(c *call) { c.body = "" })
	f("no number", "numbered: false", func(c *call) { c.body = strings.Repeat("x", size) })
	f("a hub of another name", "another call: POST /api/hubs/other/", func(c *call) { c.target = strings.Replace(c.target, "bench", "other", 1) })
	f("no version", "another call", func(c *call) { c.target = broadcast.Path })
	f("another method", "another call: PUT", func(c *call) { c.method = "PUT" })
	f("another type", "application/json", func(c *call) { c.kind = "application/json" })
	f("no token", "without a token", func(c *call) { c.token = "" })
	f("a token of the router", "not for here", func(c *call) {
		token, err := broadcast.Sign(key, "127.0.0.1:1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.token = "Bearer " + token
	})
	f("a token with another key", "not for here", func(c *call) { c.token += "x" })
}

func TestRefusals(t *testing.T) {
	b, http := open(t), client(t)
	for target, want := range map[string]int{"/api/health": 200, "/": 404} {
		if status := (call{method: "GET", target: target}).do(t, http, b.Addr()); status != want {
			t.Errorf("GET %s: status %d, want %d", target, status, want)
		}
	}
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("a body that is too long: %q, %v", rest, err)
	}
	if got := b.Counts(); got.Messages != 0 || got.Wrong != 1 {
		t.Errorf("%+v", got)
	}
}

// What a message costs is its way through the kernel.
func TestAllocatesNothing(t *testing.T) {
	b, err := Listen("127.0.0.1:0", key, size)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.ln.Close() }()
	token, err := broadcast.Sign(key, b.Addr(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := broadcast.NewMessage(b.Addr(), token, size)
	in, r := bytes.NewReader(nil), bufio.NewReaderSize(nil, maxHead+size)
	var q fasthttp.Request
	var good []byte
	place := uint32(0)
	n := testing.AllocsPerRun(1000, func() {
		in.Reset(m.With(broadcast.Number{Place: place}))
		r.Reset(in)
		place++
		if err := q.ReadLimitBody(r, maxBody); err != nil {
			t.Fatal(err)
		}
		b.take(&q, &good)
	})
	if c := b.Counts(); n > 0 || c.Messages != int64(place) {
		t.Errorf("%v allocations, %+v", n, c)
	}
}

func TestListenRefuses(t *testing.T) {
	for _, b := range []struct {
		addr, key string
		size      int
	}{{"127.0.0.1:0", "", size}, {"127.0.0.1:0", key, 15}, {"nowhere", key, size}} {
		if b, err := Listen(b.addr, b.key, b.size); err == nil {
			_ = b.ln.Close()
			t.Errorf("Listen(%q, %q, %d) has no error", b.Addr(), b.key, b.size)
		}
	}
	if _, err := Read(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("counts of nobody")
	}
}
