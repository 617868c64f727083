package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// testCertificate is a certificate for localhost and 127.0.0.1, and the roots
// that trust it.
func testCertificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "router.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
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

// tlsEcho is an echo upstream that speaks TLS.
func tlsEcho(t testing.TB, certificate tls.Certificate) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(-1)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of clients that leave early
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestTLS carries messages with TLS on either side and on both.
func TestTLS(t *testing.T) {
	certificate, roots := testCertificate(t)
	for _, row := range []struct {
		name           string
		client, upward bool
	}{{"client", true, false}, {"upstream", false, true}, {"both", true, true}} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			m := member{address: strings.TrimPrefix(emulate(t, "east").URL(), "ws://")}
			if row.upward {
				m.address, m.tls = tlsEcho(t, certificate), &tls.Config{RootCAs: roots}
			}
			r := prepare(t, Options{}, m)
			scheme := "ws"
			if row.client {
				scheme, r.tls = "wss", &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			r.begin()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			c, _, err := websocket.Dial(ctx, scheme+"://"+r.address+"/chat", &websocket.DialOptions{
				HTTPClient: &http.Client{Transport: transport}, CompressionMode: websocket.CompressionContextTakeover,
			})
			if err != nil {
				t.Fatal(err)
			}
			c.SetReadLimit(-1)
			for _, size := range []int{0, 1, 125, 126, 4096, 16 << 10, 65536, 1 << 20} {
				want := make([]byte, size)
				_, _ = rand.Read(want)
				if err := c.Write(ctx, websocket.MessageBinary, want); err != nil {
					t.Fatal(err)
				}
				_, got, err := c.Read(ctx)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: got %d other ones, %v", size, len(got), err)
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
				t.Error(err)
			}
			r.wantEnd("client closed")
		})
	}
}
