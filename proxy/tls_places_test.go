package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/relay"
)

// occupyPlace takes a place of those for handshakes with upstreams, until done is
// closed.
func occupyPlace(t *testing.T, p *Proxy, done <-chan struct{}) {
	t.Helper()
	certificate, _ := testCertificate(t)
	inside := make(chan struct{})
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	go func() { _ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake() }()
	go func() {
		defer near.Close()
		_ = p.places.ClientHandshake(relay.Client(near, &tls.Config{
			InsecureSkipVerify: true,
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error {
				close(inside)
				<-done
				return nil
			},
		}), time.Now().Add(patience))
	}()
	<-inside
}

// TestNoPlaceIsNobodysFault: handshakes with upstreams have as many places as there
// are loops, less one. Who gets none says nothing about the upstream.
func TestNoPlaceIsNobodysFault(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	s := newStub(t, func(c *stubConn) {
		conn := tls.Server(c.TCPConn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
	})
	r := start(t, Options{
		Relay:    relay.Options{Loops: 3},
		Failover: Failover{HandshakeTimeout: 4 * soon, Attempts: 2},
	}, member{address: s.address(), tls: &tls.Config{RootCAs: roots, ServerName: "localhost"}, health: health.Options{Fall: 1}})
	answered := func(want int) {
		t.Helper()
		c := r.ask(goodHead)
		defer c.Close()
		if a, err := http.ReadResponse(c.in, nil); err != nil || a.StatusCode != want {
			t.Errorf("got %+v, %v; want %d", a, err, want)
		}
	}
	done := make(chan struct{})
	occupyPlace(t, r.Proxy, done)
	answered(404)
	occupyPlace(t, r.Proxy, done)
	answered(503)
	if u := r.upstream("east"); !u.Healthy() {
		t.Errorf("the upstream is blamed: %+v", u.Checker().Status())
	}
	close(done)
	answered(404)
}
