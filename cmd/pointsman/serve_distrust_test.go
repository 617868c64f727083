package main

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certtest"
)

// TestServeExplainsBadUpstreams: status says in words why an upstream is not
// trusted, whoever finds out: a probe of either kind, or the handshake of a
// client, which is then served by another upstream.
func TestServeExplainsBadUpstreams(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	caFile := ca.File(t)
	good := newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, here)}})
	plain := newEchoServer(t, nil)
	bad := func(w certtest.Wish) string {
		return newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, w)}}).url()
	}
	for _, row := range []struct{ name, url, want string }{
		{"expired", bad(certtest.Wish{Names: here.Names, From: -48 * time.Hour, To: -24 * time.Hour}), "its certificate (router.test) expired on "},
		{"self-signed", bad(certtest.Wish{Names: here.Names, SelfSigned: true}), "its certificate (router.test) is self-signed and not trusted; if it is yours, give it as the authority's file"},
		{"wrong name", bad(certtest.Wish{Names: []string{"a.test", "b.test"}}), "its certificate is for a.test, b.test, and not for 127.0.0.1"},
		{"no TLS", strings.Replace(plain.url(), "ws:", "wss:", 1), "it does not speak TLS on this port"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text := "listen: \"127.0.0.1:0\"\nlog: {level: debug}\n" + fmt.Sprintf(
				"upstreams:\n- {name: bad, url: %q, tls: {ca: %q}}\n- {name: good, url: %q, role: secondary, tls: {ca: %q}}\n", row.url, caFile, good.url(), caFile)
			for _, probe := range []string{"http", "websocket"} {
				if probe == "websocket" && row.name == "no TLS" {
					continue // net/http has words of its own for it
				}
				s := serveFile(t, text, "probe: "+probe)
				status := s.awaitStatus("the words of a probe by "+probe, func(a *admin.Status) bool {
					p := a.Upstreams[0].LastProbe
					return p != nil && strings.Contains(p.Error, row.want)
				})
				if u := status.Upstreams[0]; u.Healthy || !strings.Contains(u.Reason, row.want) {
					t.Errorf("%s: %+v", probe, u)
				}
			}

			// A connect tells nothing about TLS, so the first client finds out.
			s := serveFile(t, text, "probe: tcp, initial: up, fall: 1")
			s.awaitHealthy()
			if err := echo(s.open(nil), 100); err != nil {
				t.Error(err)
			}
			s.awaitStatus("the words of a handshake", func(a *admin.Status) bool {
				u := a.Upstreams[0]
				return u.Totals.HandshakeFailures > 0 && strings.Contains(u.Reason, "the last: tls handshake with ") && strings.Contains(u.Reason, row.want)
			})
			if log := s.log.String(); !strings.Contains(log, row.want) {
				t.Errorf("the log does not say so:\n%s", log)
			}
		})
	}
}

// TestServeWarnsOfInsecure: an upstream whose certificate nobody looks at works,
// and the log is loud about it.
func TestServeWarnsOfInsecure(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, certtest.Wish{SelfSigned: true})}})
	s := serveFile(t, fmt.Sprintf("listen: \"127.0.0.1:0\"\nupstreams: [{name: east, url: %q, tls: {insecure: true}}]\n", upstream.url()))
	s.awaitHealthy()
	if err := echo(s.open(nil), 100); err != nil {
		t.Error(err)
	}
	if log := s.log.String(); !strings.Contains(log, "level=WARN msg=\"upstream east: TLS CERTIFICATE IS NOT VERIFIED: whoever is on the way can read and change everything") {
		t.Errorf("no warning in\n%s", log)
	}
}
