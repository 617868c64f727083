package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// certified returns a certificate that is made by template, and the roots that
// trust it.
func certified(t testing.TB, template *x509.Certificate) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.Subject = pkix.Name{CommonName: "test"}
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// TestBadUpstreamTLS is fault 24: an upstream that cannot prove who it is gets no
// byte of a handshake. It counts as failed, with the reason, and the client goes
// elsewhere.
func TestBadUpstreamTLS(t *testing.T) {
	now := time.Now()
	hour := func(from, to time.Duration, address net.IP) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to), IPAddresses: []net.IP{address}}
	}
	here := net.IPv4(127, 0, 0, 1)
	for _, row := range []struct {
		name      string
		template  *x509.Certificate // nil: without TLS
		strangers bool              // the roots do not trust it
		server    *tls.Config
		want      string // is part of the reason
	}{
		{"expired", hour(-2*time.Hour, -time.Hour, here), false, &tls.Config{}, "expired"},
		{"not valid yet", hour(time.Hour, 2*time.Hour, here), false, &tls.Config{}, "not yet valid"},
		{"self-signed", hour(-time.Hour, time.Hour, here), true, &tls.Config{}, "unknown authority"},
		{"other name", hour(-time.Hour, time.Hour, net.IPv4(127, 0, 0, 2)), false, &tls.Config{}, "127.0.0.1"},
		{"old version", hour(-time.Hour, time.Hour, here), false, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		{"without TLS", nil, false, &tls.Config{}, "does not look like a TLS handshake"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			heard := make(chan int, 16)
			roots := x509.NewCertPool()
			if row.template != nil {
				certificate, trusted := certified(t, row.template)
				if !row.strangers {
					roots = trusted
				}
				row.server.Certificates = []tls.Certificate{certificate}
			}
			s := newStub(t, func(c *stubConn) {
				if row.template == nil {
					_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
					heard <- 0
					return
				}
				conn := tls.Server(c.TCPConn, row.server)
				n := 0
				if conn.Handshake() == nil {
					n, _ = conn.Read(make([]byte, 1))
				}
				heard <- n
			})
			first := member{name: "first", address: s.address(), tls: &tls.Config{RootCAs: roots}, health: health.Options{Fall: 1}}
			r := start(t, Options{Relay: quickClose}, first, member{name: "second", address: newEchoer(t, "second").address(), role: pool.Secondary})
			c := r.ask(goodHead)
			c.upgraded()
			c.Close()
			if n := <-heard; n != 0 {
				t.Error("the upstream got something to read")
			}
			u := r.upstream("first")
			if got := u.Totals().HandshakeFailures; got != 1 {
				t.Errorf("%d failures", got)
			}
			if status := u.Checker().Status(); status.Healthy || !strings.Contains(status.Reason, row.want) {
				t.Errorf("healthy %v, reason %q, want %q", status.Healthy, status.Reason, row.want)
			}
			r.stop()

			// And when there is nobody else, the client is told nothing about why.
			first.health = health.Options{}
			r = start(t, Options{}, first)
			a := r.ask(goodHead).answer()
			if a.StatusCode != 503 || !strings.Contains(a.body, `"code":"upstream_unreachable"`) || strings.Contains(a.body, row.want) {
				t.Errorf("got %s %s", a.Status, a.body)
			}
			<-heard
		})
	}
}

// TestUpstreamServerName: the name that is asked for, and proved, is the one that
// is configured.
func TestUpstreamServerName(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t) // for router.example, among others
	names := make(chan string, 4)
	s := newStub(t, func(c *stubConn) {
		conn := tls.Server(c.TCPConn, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			names <- hello.ServerName
			return &certificate, nil
		}})
		defer conn.Close()
		_, err := http.ReadRequest(bufio.NewReader(conn))
		if _, ok := errors.AsType[*net.OpError](err); !ok && err != nil { // the router's alert is one
			t.Error(err)
		}
	})
	for name, want := range map[string]int{"router.example": 502, "other.example": 503} {
		r := start(t, Options{}, member{address: s.address(), tls: &tls.Config{RootCAs: roots, ServerName: name}})
		r.ask(goodHead).refusedBy(t, want) // it says nothing behind TLS
		if got := <-names; got != name {
			t.Errorf("asked for %q, want %q", got, name)
		}
	}
}
