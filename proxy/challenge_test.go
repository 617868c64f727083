package proxy

import (
	"crypto/tls"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestChallenge: a directory of ACME gets what it looks for, and nobody gets
// anything else by that.
func TestChallenge(t *testing.T) {
	balanced(t)
	r := prepare(t, Options{}, member{address: newEchoer(t, "east").address()})
	r.answers = func(host, path string) ([]byte, bool) {
		return []byte("token.thumbprint"), host == "chat.example" && path == "/.well-known/acme-challenge/token"
	}
	r.begin()
	const path = "/.well-known/acme-challenge/token"
	for _, row := range []struct {
		name, head string
		want       int
	}{
		{"challenge", "GET " + path + " HTTP/1.1\r\nHost: chat.example\r\n\r\n", 200},
		{"other host", "GET " + path + " HTTP/1.1\r\nHost: other.example\r\n\r\n", 426},
		{"other token", "GET " + path + "s HTTP/1.1\r\nHost: chat.example\r\n\r\n", 426},
		{"other path", "GET /token HTTP/1.1\r\nHost: chat.example\r\n\r\n", 426},
		{"malformed", "GET " + path + " HTTP/1.1\r\nHost: chat.example\r\nHost: b\r\n\r\n", 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.ask(row.head).answer()
			if a.StatusCode != row.want || (a.body == "token.thumbprint") != (row.want == 200) {
				t.Errorf("%s %q, want %d", a.Status, a.body, row.want)
			}
		})
	}
	c := r.ask(goodHead)
	c.upgraded()
	c.Close()
}

// TestForeignProtocol: a connection on which ALPN has chosen something else than
// HTTP ends after the handshake, and nothing that it sends is looked at.
func TestForeignProtocol(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	r := prepare(t, Options{}, member{address: newEchoer(t, "east").address()})
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	r.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Equal(hello.SupportedProtos, []string{"acme-tls/1"}) {
			return &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"acme-tls/1"}}, nil
		}
		return nil, nil
	}
	r.begin()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := tls.Dial("tcp", r.address, &tls.Config{RootCAs: roots, NextProtos: []string{"acme-tls/1"}, MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if p := conn.ConnectionState().NegotiatedProtocol; p != "acme-tls/1" {
			t.Errorf("protocol %q", p)
		}
		_, _ = io.WriteString(conn, goodHead) // it may be closed already
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: it answers %q, %v", tls.VersionName(version), got, err)
		}
		conn.Close()
	}
	if got := r.Totals(); got.Handshakes != 0 {
		t.Errorf("%+v", got)
	}
}

// TestSetProxies: other networks hold for connections that come afterwards, also
// when they are set before Run.
func TestSetProxies(t *testing.T) {
	networks := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	l := &Listener{Proxies: networks("10.0.0.0/8")}
	l.begin()
	if got := l.networks(); !slices.Equal(got, networks("10.0.0.0/8")) {
		t.Error(got)
	}
	given := networks("192.0.2.0/24")
	l.SetProxies(given)
	given[0] = netip.Prefix{}
	if got := l.networks(); !slices.Equal(got, networks("192.0.2.0/24")) {
		t.Error(got)
	}
	l = new(Listener)
	l.SetProxies(networks("192.0.2.0/24"))
	if l.begin(); !slices.Equal(l.networks(), networks("192.0.2.0/24")) {
		t.Error(l.networks())
	}
	if l.SetProxies(nil); len(l.networks()) > 0 {
		t.Error(l.networks())
	}
}
