package broadcast

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"
)

// The call is read by an HTTP server that is not ours.
func TestMessage(t *testing.T) {
	m := NewMessage("127.0.0.1:80", "a.b.c", 100)
	for _, want := range []Number{{0, 0}, {7, 1}, {1 << 31, 1<<32 - 1}} {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(m.With(want))))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) != 100 || r.ContentLength != 100 {
			t.Errorf("body of %d bytes, %v", len(body), err)
		}
		if r.Method != "POST" || r.URL.Path != Path || r.URL.Query().Get("api-version") != "2024-12-01" || r.Host != "127.0.0.1:80" ||
			r.Header.Get("Authorization") != "Bearer a.b.c" || r.Header.Get("Content-Type") != ContentType {
			t.Errorf("%+v", r)
		}
		if got, ok := ParseNumber(body); !ok || got != want {
			t.Errorf("number %v, %t, want %v", got, ok, want)
		}
	}
}

func TestNoNumber(t *testing.T) {
	for _, body := range []string{"", "0123456789abcde", "0123456789abcdeg"} {
		if n, ok := ParseNumber([]byte(body)); ok {
			t.Errorf("%q has the number %v", body, n)
		}
	}
}

func TestToken(t *testing.T) {
	const host, key = "127.0.0.1:80", "a key"
	now := time.Now()
	f := func(name, key, host string, at time.Time, good bool) {
		t.Helper()
		token, err := Sign(key, host, at)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(token, "a key", "127.0.0.1:80"); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("good", key, host, now, true)
	f("another key", "b key", host, now, false)
	f("another host", key, "127.0.0.1:81", now, false)
	f("expired", key, host, now.Add(-2*lifetime), false)
	for name, token := range map[string]string{
		"none":     "",
		"unsigned": "eyJhbGciOiJub25lIn0.e30.",
	} {
		if Verify(token, key, host) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestNumberingAllocatesNothing(t *testing.T) {
	m := NewMessage("127.0.0.1:80", "a.b.c", 10_000)
	if n := testing.AllocsPerRun(1000, func() { m.With(Number{1, 2}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
