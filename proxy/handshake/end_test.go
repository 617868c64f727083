package handshake

import (
	"errors"
	"strings"
	"testing"
)

// TestRequestEndInPieces feeds heads in pieces of every size; the end must be found at the same place as in one go, with
// frames behind the head or not.
func TestRequestEndInPieces(t *testing.T) {
	for _, tail := range []string{"", "\x81\x80\x00\n\r\x00\r\n\r\n"} {
		whole := goodRequest + tail
		for size := 1; size <= len(goodRequest); size++ {
			from := 0
			for {
				have := min(from+size, len(whole))
				n, err := RequestEnd([]byte(whole[:have]), from, Limits{})
				if err != nil {
					t.Fatalf("pieces of %d, %d bytes: %v", size, have, err)
				}
				if have < len(goodRequest) && n != 0 || have >= len(goodRequest) && n != len(goodRequest) {
					t.Fatalf("pieces of %d, %d bytes: end at %d", size, have, n)
				}
				if from = have; n != 0 {
					break
				}
			}
		}
	}
}

// TestRequestEndEarly checks that what can never become a head is refused with the first bytes that show it, whether they
// come at once or one by one.
func TestRequestEndEarly(t *testing.T) {
	f := func(b string, at, status int) {
		t.Helper()
		for step := range []int{0, 1} {
			for have := 1; have <= len(b); have++ {
				from := 0
				if step == 1 {
					from = have - 1
				}
				_, err := RequestEnd([]byte(b[:have]), from, Limits{})
				var refusal *Refusal
				if have < at && err != nil {
					t.Errorf("%q: refused after %d bytes, want %d", b, have, at)
					break
				}
				if have == at && (!errors.As(err, &refusal) || refusal.Status != status) {
					t.Errorf("%q: after %d bytes: %v, want %d", b, have, err, status)
				}
				if have == at {
					break
				}
			}
		}
	}
	f("\x16\x03\x01", 1, 400)
	f("\r\n", 1, 400)
	f("\n", 1, 400)
	f(" GET", 1, 400)
	f("GET\t/", 4, 400)
	f("PRI * HTTP/2.0\r\n", 16, 400)
	f("PROXY TCP4 192.0.2.1", 6, 400)
	f(strings.Repeat("A", 40), 33, 501)
	f("GET / HTTP/1.1\n", 15, 400)
	f("GET / HTTP/1.1\rX", 16, 400)
	f("GET / HTTP/1.1\r\r", 16, 400)
	f("GET / HTTP/1.1\r\nHost: a\nX: b", 24, 400)
	f("GET / HTTP/1.1\r\nHost: a\r\n\n", 26, 400)
	f("GET / HTTP/1.1\r\nHost: a\r\n\rX", 27, 400)
	f("GET /\x00", 6, 400)
}

// TestRequestEndOthers checks that who does not speak HTTP is told so, and not about a detail.
func TestRequestEndOthers(t *testing.T) {
	for _, b := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH_9.2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n" + goodRequest, "PROXY UNKNOWN\r\n" + goodRequest, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
	} {
		if _, err := RequestEnd([]byte(b), 0, Limits{}); err != refuseNotHTTP {
			t.Errorf("%.30q: %v, want %v", b, err, refuseNotHTTP)
		}
	}
}

// TestRequestEndLimits checks that an endless head is refused when its limit is reached, in small pieces too.
func TestRequestEndLimits(t *testing.T) {
	l := Limits{Size: 200, Target: 100}
	f := func(b string, n, status int) {
		t.Helper()
		for have := 1; have <= len(b); have++ {
			_, err := RequestEnd([]byte(b[:have]), have-1, l)
			var refusal *Refusal
			if have < n && err != nil {
				t.Fatalf("%.20q…: refused after %d bytes, want %d", b, have, n)
			}
			if have == n {
				if !errors.As(err, &refusal) || refusal.Status != status {
					t.Errorf("%.20q…: after %d bytes: %v, want %d", b, have, err, status)
				}
				return
			}
		}
		t.Errorf("%.20q…: never refused", b)
	}
	f("GET /"+strings.Repeat("a", 500), len("GET ")+101, 414)
	f("GET / HTTP/1.1\r\nX: "+strings.Repeat("a", 500), 200, 431)
	f("GET / HTTP/1.1\r\nX: "+strings.Repeat("a", 180-len("GET / HTTP/1.1\r\nX: "))+"\r\n"+strings.Repeat("b", 100), 200, 431)

	// A head that is complete but too long, all in one piece.
	_, err := RequestEnd([]byte("GET / HTTP/1.1\r\nX: "+strings.Repeat("a", 200)+"\r\n\r\n"), 0, l)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Status != 431 {
		t.Errorf("complete: %v, want 431", err)
	}
	// The limit itself is allowed.
	head := "GET / HTTP/1.1\r\nX: "
	head += strings.Repeat("a", 196-len(head)) + "\r\n\r\n"
	if n, err := RequestEnd([]byte(head), 0, l); n != 200 || err != nil {
		t.Errorf("exactly at the limit: %d, %v", n, err)
	}
}

// TestAnswerEnd checks the same for answers.
func TestAnswerEnd(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"
	for have := 1; have < len(head); have++ {
		if n, err := AnswerEnd([]byte(head[:have]), have-1, Limits{}); n != 0 || err != nil {
			t.Fatalf("%d bytes: %d, %v", have, n, err)
		}
	}
	if n, err := AnswerEnd([]byte(head+"\x82\x00\n"), len(head)-1, Limits{}); n != len(head) || err != nil {
		t.Errorf("whole: %d, %v", n, err)
	}
	for name, b := range map[string]string{
		"20 TLS alert":     "\x15\x03\x01",
		"20 not HTTP":      "SSH-2.0",
		"20 HTTP/2":        "HTTP/2",
		"30 bare LF":       "HTTP/1.1 200\nA: b",
		"30 NUL":           "HTTP/1.1 200 \x00",
		"25 1 MiB":         "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"25 never ended":   "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 16<<10),
		"25 in many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<17),
	} {
		var bad *BadAnswer
		if _, err := AnswerEnd([]byte(b), 0, Limits{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v, want *BadAnswer", name, err)
		}
	}
}
