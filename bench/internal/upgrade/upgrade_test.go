package upgrade

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

func TestRequest(t *testing.T) {
	r := NewRequest("127.0.0.1:9", "/chat?a=b")
	seen := make(map[[KeySize]byte]bool)
	for range 100 {
		key, accept := Draw()
		if seen[key] {
			t.Fatalf("key %s came twice", key)
		}
		seen[key] = true
		got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.With(key))))
		if err != nil {
			t.Fatal(err)
		}
		if got.URL.String() != "/chat?a=b" || got.Host != "127.0.0.1:9" || got.Header.Get("Sec-WebSocket-Key") != string(key[:]) {
			t.Errorf("request %+v", got)
		}
		if accept != frame.Accept(key[:]) {
			t.Errorf("accept %s is not that of the key", accept)
		}
	}
}

func TestAccepted(t *testing.T) {
	key, accept := Draw()
	good := "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nX-Other: 1\r\nSec-WebSocket-Accept:  " + string(accept[:])
	other, _ := Draw()
	wrong := frame.Accept(other[:])
	for name, row := range map[string]struct {
		head string
		want bool
	}{
		"good":             {good, true},
		"another status":   {strings.Replace(good, "101", "200", 1), false},
		"no upgrade":       {strings.Replace(good, "upgrade", "downgrade", 1), false},
		"another protocol": {strings.Replace(good, "WebSocket", "h2c", 1), false},
		"another key":      {strings.Replace(good, string(accept[:]), string(wrong[:]), 1), false},
		"the key itself":   {strings.Replace(good, string(accept[:]), string(key[:]), 1), false},
		"nothing":          {"", false},
	} {
		if got := Accepted([]byte(row.head), accept); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStatus(t *testing.T) {
	for head, want := range map[string]int{
		"HTTP/1.1 101 Switching Protocols\r\nA: b": 101,
		"HTTP/1.1 503 ":       503,
		"HTTP/1.1 503":        503,
		"HTTP/1.1 abc":        0,
		"HTTP/1.1 9":          0,
		"HTTP/1.0 200 OK\r\n": 0,
		"\x81\x05hello":       0,
		"":                    0,
	} {
		if got := Status([]byte(head)); got != want {
			t.Errorf("%q: %d, want %d", head, got, want)
		}
	}
}

func TestHeadAndField(t *testing.T) {
	const answer = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nretry-AFTER: 9\r\nEmpty:\r\nnothing\r\n\r\nbody: 1"
	if _, _, ok := Head([]byte(answer[:20])); ok {
		t.Error("half a head is whole")
	}
	head, rest, ok := Head([]byte(answer))
	if !ok || string(rest) != "body: 1" {
		t.Fatalf("rest %q, %v", rest, ok)
	}
	for name, want := range map[string]string{"retry-after": "7", "Empty": "", "nothing": "", "body": "", "Retry": ""} {
		if got := Field(head, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
