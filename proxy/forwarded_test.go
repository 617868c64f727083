package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// loopback is where the clients of these tests come from.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestForwarded: what the upstream is told by a client, a trusted proxy, and one
// behind a PROXY header, and who the client is for the access log.
func TestForwarded(t *testing.T) {
	balanced(t)
	heads := make(chan string, 1)
	s := newStub(t, func(c *stubConn) {
		if c.readHead() {
			heads <- c.head
			c.reply(good101)
			c.hold()
		}
	})
	const (
		x       = "X-Forwarded-For: 192.0.2.7, 127.9.9.9"
		rest    = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example"
		forward = `Forwarded: for="[2001:db8::7]:4711";proto=https;host=app.example`
		own     = "for=127.0.0.1;proto=http;host=\"router.example:8080\""
		plain   = "X-Forwarded-Proto: http\r\nX-Forwarded-Host: router.example:8080\r\n"
	)
	for _, row := range []struct {
		name   string
		o      Forwarded
		proxy  string // PROXY header that comes first
		lines  []string
		client string
		want   string // fields, each with its line end
	}{
		{"stranger", Forwarded{}, "", []string{x, rest}, "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n" + plain},
		{"others are trusted", Forwarded{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "", []string{x, rest}, "127.0.0.1",
			"X-Forwarded-For: 127.0.0.1\r\n" + plain},
		{"trusted", Forwarded{Trusted: loopback}, "", []string{x, rest}, "192.0.2.7", "X-Forwarded-For: 192.0.2.7, 127.9.9.9, 127.0.0.1\r\n" + rest + "\r\n"},
		{"trusted, a stranger before", Forwarded{Trusted: loopback}, "", []string{"X-Forwarded-For: 10.0.0.1, unknown", x}, "192.0.2.7",
			"X-Forwarded-For: 192.0.2.7, 127.9.9.9, 127.0.0.1\r\n" + plain},
		{"trusted, with nothing to say", Forwarded{Trusted: loopback}, "", nil, "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n" + plain},
		{"trusted, with rubbish to say", Forwarded{Trusted: loopback}, "", []string{"X-Forwarded-For: 192.0.2.7, ;"}, "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n" + plain},
		{"RFC 7239", Forwarded{loopback, handshake.ForwardRFC7239}, "", []string{forward, x}, "2001:db8::7", forward + ", " + own + "\r\n"},
		{"RFC 7239, stranger", Forwarded{nil, handshake.ForwardRFC7239}, "", []string{forward, x}, "127.0.0.1", "Forwarded: " + own + "\r\n"},
		{"both", Forwarded{loopback, handshake.ForwardBoth}, "", []string{forward}, "2001:db8::7",
			"X-Forwarded-For: 2001:db8::7, 127.0.0.1\r\n" + rest + "\r\n" + forward + ", " + own + "\r\n"},
		{"none", Forwarded{loopback, handshake.ForwardNone}, "", []string{forward, x, rest}, "192.0.2.7", ""},
		{"behind a PROXY header", Forwarded{Trusted: loopback}, "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n", []string{x}, "192.0.2.9", "X-Forwarded-For: 192.0.2.9\r\n" + plain},
		{"trusted behind a PROXY header", Forwarded{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}}, "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n",
			[]string{"X-Forwarded-For: 203.0.113.1"}, "203.0.113.1", "X-Forwarded-For: 203.0.113.1, 192.0.2.9\r\n" + plain},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := prepare(t, Options{Forwarded: row.o, Relay: quickClose}, member{address: s.address()})
			if row.proxy != "" {
				r.proxies = loopback
			}
			r.begin()
			c := r.ask(row.proxy + add(append(row.lines, "X-Last: 1")...))
			c.upgraded()
			_, got, _ := strings.Cut(<-heads, "X-Last: 1\r\n")
			if diff := cmp.Diff(row.want+"\r\n", got); diff != "" {
				t.Errorf("fields for the upstream (-want +got):\n%s", diff)
			}
			c.Close()
			if e := r.ended(); e.client != row.client {
				t.Errorf("the access log has client %q, want %q", e.client, row.client)
			}
		})
	}
}

// TestForwardedMistakes: what the options must not hold.
func TestForwardedMistakes(t *testing.T) {
	err := Check(Options{Forwarded: Forwarded{
		Trusted: []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:10.0.0.0/104")}, Style: 99,
	}})
	for _, want := range []string{"forwarded: trusted: a network is not valid", "::ffff:10.0.0.0/104: write it as an IPv4 network", "style 99"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestDrainForwarded: a drain by the addresses of clients finds those behind a
// trusted proxy.
func TestDrainForwarded(t *testing.T) {
	balanced(t)
	r := start(t, Options{Forwarded: Forwarded{Trusted: loopback}, Relay: quickClose},
		member{name: "east", address: newEchoer(t, "east").address()}, member{name: "west", address: newEchoer(t, "west").address()})
	r.upstream("west").Disable("not yet")
	var clients []*peer
	for i := range 4 {
		c := r.ask(add(fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i)))
		c.upgraded()
		clients = append(clients, c)
	}
	// Those who are younger than a drain are not concerned, and its clock is coarse.
	until(t, "all to be old enough", func() bool {
		all, err := r.relay.Survey(t.Context(), func(any) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == len(clients) && !slices.ContainsFunc(all, func(s relay.Sight) bool { return s.Age < soon/4 })
	})
	r.upstream("west").Enable()
	d, _, err := r.Drain(drain.Plan{Selection: drain.Selection{Upstream: "east", Client: netip.MustParsePrefix("192.0.2.2/31")}, Rate: 500})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients[2:] {
		c.wantsClose(1012)
		c.send(masked(closeFrame, status(1012, "")))
	}
	endsAs(t, d, drain.Done)
	if diff := cmp.Diff(map[string]uint64{"asked": 2}, r.Ends()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for _, c := range clients {
		c.Close()
	}
	ended := make(map[string]string)
	for range clients {
		e := r.ended()
		ended[e.client] = e.cause
	}
	want := map[string]string{"192.0.2.0": "client lost", "192.0.2.1": "client lost", "192.0.2.2": "asked", "192.0.2.3": "asked"}
	if diff := cmp.Diff(want, ended); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{"asked": 2, "client lost": 2}, r.Ends()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}
