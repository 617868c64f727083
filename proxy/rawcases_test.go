package proxy

import (
	"strings"
	"testing"
)

// TestTenRawCases is the published comparison with other proxies: in each case
// some of them let through what this router must not.
func TestTenRawCases(t *testing.T) {
	pipelined := "GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n"
	for _, row := range []struct {
		name   string
		send   string
		answer string // of the upstream, "" for none
		want   int
		asked  int64 // handshakes that the upstream sees
	}{
		{name: "pipelined request, upstream silent", send: goodHead + pipelined, want: 504, asked: 1},
		{name: "pipelined request, upstream answers 200", send: goodHead + pipelined,
			answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", want: 200, asked: 1},
		{name: "pipelined request, upstream answers 426", send: goodHead + pipelined,
			answer: "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", want: 426, asked: 1},
		{name: "101 with wrong Accept", send: goodHead, answer: with("{accept}", "x"), want: 502, asked: 1},
		{name: "101 without Accept", send: goodHead, answer: with(acceptLine, ""), want: 502, asked: 1},
		{name: "101 to another protocol", send: goodHead, answer: with("websocket", "foo"), want: 502, asked: 1},
		{name: "unsolicited 101", send: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", answer: good101, want: 426},
		{name: "h2c", send: swap("Upgrade: websocket", "Upgrade: h2c"), answer: with("websocket", "h2c"), want: 400},
		{name: "unknown protocol", send: swap("Upgrade: websocket", "Upgrade: foo"), answer: with("websocket", "foo"), want: 400},
		{name: "no Sec-WebSocket-Key", send: swap("Sec-WebSocket-Key", "X-Key"), answer: good101, want: 400},
		{name: "POST", send: as("POST"), answer: good101, want: 405},
		{name: "HTTP/1.0", send: swap("HTTP/1.1", "HTTP/1.0"), answer: good101, want: 400},
		{name: "X_Forwarded_For", send: add("X_Forwarded_For: 192.0.2.1"), answer: good101, want: 101, asked: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newStub(t, func(c *stubConn) {
				if !c.readHead() {
					return
				}
				if strings.Contains(c.head, "_") || strings.Contains(c.head, "192.0.2.1") {
					t.Errorf("the upstream got\n%s", c.head)
				}
				if row.answer == "" || c.reply(row.answer) {
					c.hold()
				}
				if got := c.stub.bytes.Load(); got != int64(len(c.head)) {
					t.Errorf("the upstream got %d bytes, a head of %d", got, len(c.head))
				}
			})
			limit := patience
			if row.want == 504 {
				limit = soon
			}
			r := start(t, Options{Failover: Failover{HandshakeTimeout: limit}}, member{address: s.address()})
			c := r.ask(row.send)
			a := c.answer()
			if a.StatusCode != row.want {
				t.Fatalf("got %s, want %d: %s", a.Status, row.want, a.body)
			}
			if row.want != 101 {
				c.gone() // one answer, and no second
			}
			c.Close()
			r.stop()
			// A connection that the system has made may not be accepted yet.
			until(t, "the upstream to be asked", func() bool { return s.conns.Load() >= row.asked })
			s.stop()
			if n := s.conns.Load(); n != row.asked {
				t.Errorf("%d connections to the upstream, want %d", n, row.asked)
			}
		})
	}
}

// TestPipelinedRequestInSession is the rest of the first case: once the session
// is open, a second request is an offence, not a request.
func TestPipelinedRequestInSession(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address()})
	c := r.ask(goodHead + "GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n")
	c.upgraded()
	u := s.session()
	u.wantsClose(1002)
	u.send(plain(closeFrame, status(1002, "")))
	c.wantsClose(1002)
	c.Close()
	u.Close()
	r.wantEnd("client offence")
}
