package proxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answerRow is what an upstream answers and what the client gets.
type answerRow struct {
	name   string
	offer  string // further field lines of the client
	answer string // of the upstream; {accept} is the right value
	then   func(*stubConn)
	want   int
	counts bool   // against the upstream
	body   string // wanted, if the answer is the upstream's own
	fields string // name: value lines that the client must get
}

// with returns good101 with one piece replaced.
func with(old, new string) string {
	if !strings.Contains(good101, old) {
		panic("not in the good answer: " + old)
	}
	return strings.Replace(good101, old, new, 1)
}

func drop(*stubConn)    {}
func hold(c *stubConn)  { c.hold() }
func reset(c *stubConn) { _ = c.SetLinger(0) }

// spout writes until the connection breaks.
func spout(text string) func(*stubConn) {
	return func(c *stubConn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

const acceptLine = "Sec-WebSocket-Accept: {accept}\r\n"

var answerRows = []answerRow{
	{name: "22 wrong accept", answer: with("{accept}", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), want: 502, counts: true},
	{name: "22 accept of another key", answer: with("{accept}", "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="), want: 502, counts: true},
	{name: "22 no accept", answer: with(acceptLine, ""), want: 502, counts: true},
	{name: "22 right accept twice", answer: with(acceptLine, acceptLine+acceptLine), want: 502, counts: true},
	{name: "22 right and wrong accept", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Accept: x\r\n"), want: 502, counts: true},
	{name: "22 held open after it", answer: with("{accept}", "x"), then: hold, want: 502, counts: true},
	{name: "23 other protocol", answer: with("Upgrade: websocket", "Upgrade: h2c"), want: 502, counts: true},
	{name: "23 two protocols", answer: with("Upgrade: websocket", "Upgrade: websocket, h2c"), want: 502, counts: true},
	{name: "23 no Upgrade", answer: with("Upgrade: websocket\r\n", ""), want: 502, counts: true},
	{name: "23 no Connection", answer: with("Connection: Upgrade\r\n", ""), want: 502, counts: true},
	{name: "23 bare 101", answer: "HTTP/1.1 101 Switching Protocols\r\n\r\n", want: 502, counts: true},
	{name: "23 101 in HTTP/1.0", answer: with("HTTP/1.1", "HTTP/1.0"), want: 502, counts: true},
	{name: "23 101 with a body", answer: with("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"), want: 502, counts: true},

	{name: "24 200 with upgrade fields", answer: strings.Replace(with("101 Switching Protocols", "200 OK"), "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok", 1),
		then: hold, want: 200, body: "ok"},
	{name: "24 redirect", answer: "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/x?y=z\r\nContent-Length: 0\r\n\r\n",
		then: hold, want: 302, fields: "Location: https://elsewhere.example/x?y=z"},
	{name: "24 401", answer: "HTTP/1.1 401 Who Are You\r\nWWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Bearer\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: a=c; Path=/x\r\n" +
		"X-Empty:\r\nServer: stub\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<p>no</p>", then: hold, want: 401, body: "<p>no</p>",
		fields: "WWW-Authenticate: Basic realm=\"a\"\nWWW-Authenticate: Bearer\nSet-Cookie: a=b; Path=/\nSet-Cookie: a=c; Path=/x\nX-Empty: \nServer: stub\nContent-Type: text/html"},
	{name: "24 404 without reason or body", answer: "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", then: hold, want: 404},
	{name: "24 403 to the end", answer: "HTTP/1.1 403 Forbidden\r\nX-A: b\r\n\r\nno entry", want: 403, body: "no entry", fields: "X-A: b"},
	{name: "24 404 in HTTP/1.0", answer: "HTTP/1.0 404 Not Found\r\n\r\nnothing", want: 404, body: "nothing"},
	{name: "24 426", answer: "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13, 8\r\nContent-Length: 0\r\n\r\n",
		then: hold, want: 426, fields: "Upgrade: websocket\nSec-WebSocket-Version: 13, 8"},
	{name: "24 429", answer: "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nslow", then: hold, want: 429, body: "slow", fields: "Retry-After: 17"},
	{name: "24 499, unknown", answer: "HTTP/1.1 499 Hm\r\nContent-Length: 1\r\n\r\nx", then: hold, want: 499, body: "x"},
	{name: "24 500", answer: "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", then: hold, want: 500, body: "oops", counts: true},
	{name: "24 503", answer: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy", then: hold, want: 503, body: "busy",
		fields: "Retry-After: 120", counts: true},
	{name: "24 chunked", answer: "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno e\r\n3;x=y\r\nntr\r\n1\r\ny\r\n0\r\n\r\n", then: hold, want: 403, body: "no entry"},
	{name: "24 204", answer: "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", then: hold, want: 204, fields: "X-A: b"},
	{name: "24 304", answer: "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n", then: hold, want: 304, fields: "ETag: \"x\""},
	{name: "24 hop fields", answer: "HTTP/1.1 404 Not Found\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n",
		then: hold, want: 404, fields: "X-End: 2"},
	{name: "24 403 with 1 MiB", answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("0123456789abcdef", 1<<16), then: hold,
		want: 403, body: strings.Repeat("0123456789abcdef", 1<<16)},
	{name: "24 interim answers first", answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		then: hold, want: 404},
	{name: "24 interim answers, then 101", answer: "HTTP/1.1 102 Processing\r\n\r\n" + good101, then: hold, want: 101},
	{name: "24 too many interim answers", answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + good101, then: hold, want: 502, counts: true},

	{name: "25 1 MiB of fields", answer: "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1017)+"\r\n", 1024), then: hold, want: 502, counts: true},
	{name: "25 fields without end", answer: "HTTP/1.1 101 Switching Protocols\r\n", then: spout("X-A: b\r\n"), want: 502, counts: true},
	{name: "25 head never ended", answer: strings.TrimSuffix(good101, "\r\n"), then: hold, want: 504, counts: true},
	{name: "25 no answer", then: hold, want: 504, counts: true},
	{name: "25 head cut off", answer: good101[:50], then: drop, want: 502, counts: true},
	{name: "25 closed at once", then: drop, want: 502, counts: true},
	{name: "25 reset at once", then: reset, want: 503, counts: true},
	{name: "25 reset in the head", answer: good101[:50], then: reset, want: 503, counts: true},
	{name: "25 body never ended", answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhalf", then: hold, want: 504, counts: true},
	{name: "25 body cut off", answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhalf", then: drop, want: 502, counts: true},
	{name: "25 chunked body cut off", answer: "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", then: drop, want: 502, counts: true},
	{name: "25 malformed chunk", answer: "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", then: hold, want: 502, counts: true},
	{name: "25 body too long", answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 1048577\r\n\r\n", then: spout(strings.Repeat("x", 4096)), want: 502, counts: true},
	{name: "25 body without end", answer: "HTTP/1.1 403 Forbidden\r\n\r\n", then: spout(strings.Repeat("x", 4096)), want: 502, counts: true},
	{name: "25 not HTTP", answer: "SSH-2.0-OpenSSH_9.2\r\n", then: hold, want: 502, counts: true},
	{name: "25 TLS alert", answer: "\x15\x03\x01\x00\x02\x02\x16", then: hold, want: 502, counts: true},
	{name: "25 two lengths", answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", then: hold, want: 502, counts: true},

	{name: "26 subprotocol not offered", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Protocol: chat\r\n"), want: 502, counts: true},
	{name: "26 other subprotocol", offer: "Sec-WebSocket-Protocol: a, b", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Protocol: c\r\n"), want: 502, counts: true},
	{name: "26 two subprotocols", offer: "Sec-WebSocket-Protocol: a, b", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Protocol: a, b\r\n"), want: 502, counts: true},
	{name: "26 subprotocol", offer: "Sec-WebSocket-Protocol: a, b", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Protocol: b\r\n"), want: 101, fields: "Sec-WebSocket-Protocol: b"},
	{name: "26 extension not offered", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Extensions: permessage-deflate\r\n"), want: 502, counts: true},
	{name: "26 other extension", offer: "Sec-WebSocket-Extensions: permessage-deflate", answer: with(acceptLine, acceptLine+"Sec-WebSocket-Extensions: x-other\r\n"), want: 502, counts: true},
}

// TestAnswers checks what becomes of each answer: of the session, of the
// upstream's score, and of its connection.
func TestAnswers(t *testing.T) {
	balanced(t)
	upstream := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		i, err := strconv.Atoi(strings.TrimPrefix(c.asked.URL.Path, "/"))
		if err != nil || i >= len(answerRows) {
			t.Errorf("asked for %q", c.asked.URL)
			return
		}
		if row := answerRows[i]; c.reply(row.answer) && row.then != nil {
			row.then(c)
		}
	})
	unhurried := start(t, Options{}, member{address: upstream.address()})
	hasty := start(t, Options{Failover: Failover{HandshakeTimeout: 2 * soon}}, member{address: upstream.address()})
	for i, row := range answerRows {
		t.Run(row.name, func(t *testing.T) {
			r := unhurried
			if row.want == 504 {
				r = hasty
			}
			before := r.upstream("east").Totals()
			head := strings.Replace(goodHead, "/chat?room=1", fmt.Sprint("/", i), 1)
			if row.offer != "" {
				head = strings.TrimSuffix(head, "\r\n") + row.offer + "\r\n\r\n"
			}
			c := r.ask(head)
			c.t = t
			row.check(t, c)
			c.Close()
			failures := r.upstream("east").Totals().HandshakeFailures - before.HandshakeFailures
			if counted := failures == 1; failures > 1 || counted != row.counts {
				t.Errorf("%d failures counted, want that: %v", failures, row.counts)
			}
			// Every script but those that have ended waits for the router to close.
			until(t, "the upstream's connection to be closed", func() bool {
				upstream.mu.Lock()
				defer upstream.mu.Unlock()
				return len(upstream.open) == 0
			})
		})
	}
}

// check reads the answer that the client gets.
func (row answerRow) check(t *testing.T, c *peer) {
	t.Helper()
	began := time.Now()
	a := c.answer()
	if a.StatusCode != row.want {
		t.Fatalf("got %s, want %d: %s", a.Status, row.want, a.body)
	}
	for line := range strings.Lines(row.fields) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !slices.Contains(a.Header.Values(name), value) {
			t.Errorf("%s is %q, want %q", name, a.Header.Values(name), value)
		}
	}
	for _, name := range []string{"X-Hop", "Keep-Alive", "Link"} {
		if v, ok := a.Header[name]; ok {
			t.Errorf("got %s: %q", name, v)
		}
	}
	if a.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	if !a.Close {
		t.Errorf("no Connection: close in %v", a.Header)
	}
	c.gone()
	switch {
	case row.want == 504:
		if took := time.Since(began); took < soon || took > 2*soon+leeway {
			t.Errorf("took %v", took)
		}
		fallthrough
	case row.want == 502, row.want == 503 && row.body == "":
		c.checkBody(a, "GET", row.want)
		checkRetryAfter(t, a)
	case a.body != row.body:
		t.Errorf("body of %d bytes %.100q, want %d bytes %.100q", len(a.body), a.body, len(row.body), row.body)
	}
}

// checkRetryAfter checks that the router asks the client to come back soon.
func checkRetryAfter(t *testing.T, a answer) {
	t.Helper()
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if err != nil || seconds < retryAfterLeast || seconds > retryAfterMost {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
}

// TestFramesBehindAnswer is row 27: frames in the segment of the 101 come first.
func TestFramesBehindAnswer(t *testing.T) {
	balanced(t)
	long := strings.Repeat("0123456789abcdef", 4<<10)
	first := string(plain(textFrame, "welcome")) + string(plain(binaryFrame, long))
	upstream := newStub(t, func(c *stubConn) {
		if c.reply(good101 + first + string(plain(pingFrame, "p"))[:1]) {
			c.handOver()
		}
	})
	r := start(t, Options{}, member{address: upstream.address()})
	c, u := r.open(upstream)
	c.wants(textFrame, "welcome")
	c.wants(binaryFrame, long)
	u.send(plain(pingFrame, "p")[1:], plain(textFrame, "third"))
	c.wants(pingFrame, "p")
	c.wants(textFrame, "third")
	u.send(plain(closeFrame, status(1000, "")))
	c.wantsClose(1000)
	c.send(masked(closeFrame, status(1000, "")))
	u.wantsClose(1000)
	c.eof()
	u.eof()
	c.Close()
	u.Close()
	r.wantEnd("upstream closed")
}
