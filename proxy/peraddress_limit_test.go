package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// from is a handshake of a client behind a trusted proxy.
func from(client string) string { return add("X-Forwarded-For: " + client) }

// turnedAway reads a 429 and its time to come again.
func (p *peer) turnedAway(head string) {
	p.t.Helper()
	a := p.refused(head, 429)
	again, err := strconv.Atoi(a.Header.Get(retryAfter))
	if err != nil || again < retryAddressLeast || again > retryAddressMost {
		p.t.Errorf("%s: %q", retryAfter, a.Header.Get(retryAfter))
	}
	if !strings.Contains(a.body, `"code":"too_many_sessions_of_address"`) {
		p.t.Errorf("body %s", a.body)
	}
}

// TestSessionsPerAddress: who shares a limit, and how a place becomes free.
func TestSessionsPerAddress(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) {
		switch {
		case !c.readHead():
		case c.asked.URL.Path == "/busy":
			c.reply("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
		default:
			if c.accept() {
				c.handOver()
			}
		}
	})
	r := start(t, Options{Limits: Limits{SessionsPerAddress: 2}, Forwarded: Forwarded{Trusted: loopback}, Relay: quickClose}, member{address: s.address()})
	open := func(head string) (c, u *peer) {
		t.Helper()
		c = r.ask(head)
		c.upgraded()
		return c, s.session()
	}
	c1, u1 := open(from("192.0.2.7"))
	open(from("192.0.2.7"))
	r.ask(from("192.0.2.7")).turnedAway(goodHead)
	r.ask(from("192.0.2.7:4711")).turnedAway(goodHead)
	r.ask(from("6.6.6.6, 192.0.2.7, 127.9.9.9")).turnedAway(goodHead)

	// Others are not concerned, nor is the proxy itself.
	for _, other := range []string{"192.0.2.8", "2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1"} {
		open(from(other))
	}
	r.ask(from("2001:db8:0:1:ffff::")).turnedAway(goodHead)
	open(from("2001:db8:0:2:ffff::"))
	open(goodHead)
	open(from("unknown"))
	r.ask(goodHead).turnedAway(goodHead) // who does not say for whom it speaks, speaks for itself

	// A handshake that leads nowhere holds nothing, whatever ends it.
	if a := r.ask(strings.Replace(from("192.0.2.9"), "/chat?room=1", "/busy", 1)).answer(); a.StatusCode != 418 {
		t.Fatalf("got %s", a.Status)
	}
	r.change(func(o *Options) { o.Limits.Sessions = 1 })
	r.ask(from("192.0.2.9")).refusedBy(t, 503)
	r.change(func(o *Options) { o.Limits.Sessions = 0 })
	open(from("192.0.2.9"))
	open(from("192.0.2.9"))
	r.ask(from("192.0.2.9")).turnedAway(goodHead)

	// A session that has ended gives its place back.
	c1.Close()
	u1.Close()
	r.ended()
	until(t, "the place to be free", func() bool { return r.addresses.places("192.0.2.7") == 1 })
	open(from("192.0.2.7"))
	r.ask(from("192.0.2.7")).turnedAway(goodHead)
	if n := r.Refusals()["too_many_sessions_of_address"]; n != 7 {
		t.Errorf("%d refusals are counted: %v", n, r.Refusals())
	}
}

// places is how many places an address has taken.
func (a *perAddress) places(client string) int {
	k := keyOf(netip.MustParseAddr(client))
	s := a.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.sessions[k])
}

// TestSessionsPerAddressReload: a limit that comes, changes and goes while there
// are sessions.
func TestSessionsPerAddressReload(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: quickClose}, member{address: s.address()})
	limit := func(n int) { t.Helper(); r.change(func(o *Options) { o.Limits.SessionsPerAddress = n }) }
	var all []*peer
	open := func() {
		t.Helper()
		c, u := r.open(s)
		all = append(all, c, u)
	}
	open() // before there was one: not counted
	limit(1)
	open()
	r.ask(goodHead).turnedAway(goodHead)
	limit(2)
	open()
	r.ask(goodHead).turnedAway(goodHead)
	limit(0)
	open()
	limit(-1)
	open()
	limit(2)
	r.ask(goodHead).turnedAway(goodHead)
	for _, p := range all {
		p.Close()
	}
	until(t, "the places to be free", func() bool { n, _, _ := r.addresses.held(); return n == 0 })
	open()
}

// TestSessionsPerAddressCrowd: of a crowd from one address exactly as many get in
// as may, with TLS as without.
func TestSessionsPerAddressCrowd(t *testing.T) {
	certificate, roots := testCertificate(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			balanced(t)
			const limit, clients = 5, 40
			r := prepare(t, Options{Limits: Limits{SessionsPerAddress: limit}, Relay: quickClose}, member{address: newEchoer(t, "east").address()})
			if secure {
				r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			r.begin()
			statuses := make(chan int, clients)
			for range clients {
				conn, err := net.Dial("tcp4", r.address)
				if err != nil {
					t.Fatal(err)
				}
				if secure {
					conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "localhost"})
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				defer conn.Close() // not before all are answered
				go func() {
					_, err := conn.Write([]byte(goodHead))
					var a *http.Response
					if err == nil {
						a, err = http.ReadResponse(bufio.NewReader(conn), nil)
					}
					if err != nil {
						t.Error(err)
						a = new(http.Response)
					}
					statuses <- a.StatusCode
				}()
			}
			got := 0
			for range clients {
				switch status := <-statuses; status {
				case 101:
					got++
				case 429:
				default:
					t.Errorf("status %d", status)
				}
			}
			if got != limit {
				t.Errorf("%d are in, want %d", got, limit)
			}
			if n := r.Refusals()["too_many_sessions_of_address"]; n != clients-limit {
				t.Errorf("%d refusals are counted", n)
			}
		})
	}
}
