package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// client returns a certificate for a client.
func (a *authority) client(t *testing.T) tls.Certificate {
	t.Helper()
	return a.clientOf(t, wish{names: []string{"client.test"}})
}

func (a *authority) clientOf(t *testing.T, w wish) tls.Certificate {
	t.Helper()
	cert, key := a.issue(t, w)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestMutual: who may come in when clients need a certificate.
func TestMutual(t *testing.T) {
	ca, clients, strangers := newAuthority(t, "Test"), newAuthority(t, "Clients"), newAuthority(t, "Strangers")
	k := keeper(t, Options{Pairs: []Pair{ca.pair(t, wish{names: []string{"a.test"}})}, ClientCA: clients.file(t)})
	for _, row := range []struct {
		name  string
		certs []tls.Certificate
		ok    bool
	}{
		{"good", []tls.Certificate{clients.client(t)}, true},
		{"none", nil, false},
		{"stranger's", []tls.Certificate{strangers.client(t)}, false},
		{"that of the server's authority", []tls.Certificate{ca.client(t)}, false},
		{"self-signed", []tls.Certificate{nobody.client(t)}, false},
		{"expired", []tls.Certificate{clients.clientOf(t, wish{from: -48 * time.Hour, to: -time.Hour})}, false},
		{"for servers", []tls.Certificate{clients.clientOf(t, wish{usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})}, false},
	} {
		for version, max := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			t.Run(row.name+" "+version, func(t *testing.T) {
				o := shake(k.Config(), &tls.Config{
					ServerName: "a.test", RootCAs: ca.pool(), MaxVersion: max,
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if row.certs == nil {
							return &tls.Certificate{}, nil
						}
						return &row.certs[0], nil
					},
				})
				if (o.serverErr == nil) != row.ok || (o.clientErr == nil) != row.ok {
					t.Errorf("server %v, client %v; want success %t", o.serverErr, o.clientErr, row.ok)
				}
				if row.ok && len(o.server.VerifiedChains) == 0 {
					t.Error("nobody was verified")
				}
			})
		}
	}
}
