package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Wish says what a certificate is like.
type Wish struct {
	// Names are host names and IP addresses.
	Names []string
	// From and To bound its life, counted from now. Zero is an hour ago, and in
	// 90 days.
	From, To time.Duration
	// SelfSigned has it signed by its own key.
	SelfSigned bool
}

// New returns an authority with this name.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	now := time.Now()
	a := &Authority{key: newKey(t)}
	a.cert = sign(t, &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-365 * 24 * time.Hour),
		NotAfter:              now.Add(3650 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, a.key, a.key)
	return a
}

// Pool returns a pool that holds only the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// File returns a file with the authority's own certificate, in PEM.
func (a *Authority) File(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	write(t, path, encode("CERTIFICATE", a.cert.Raw))
	return path
}

// Issue returns a new certificate and its key, both in PEM.
func (a *Authority) Issue(t testing.TB, w Wish) (cert, key []byte) {
	t.Helper()
	if w.From == 0 {
		w.From = -time.Hour
	}
	if w.To == 0 {
		w.To = 90 * 24 * time.Hour
	}
	now := time.Now()
	template := &x509.Certificate{
		NotBefore:   now.Add(w.From),
		NotAfter:    now.Add(w.To),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range w.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	own := newKey(t)
	parent, signer := a.cert, a.key
	if w.SelfSigned {
		parent, signer = nil, own
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", sign(t, template, parent, own, signer).Raw), encode("PRIVATE KEY", der)
}

// Certificate returns a new certificate for a side of TLS.
func (a *Authority) Certificate(t testing.TB, w Wish) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(a.Issue(t, w))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Files returns a new certificate and its key as files.
func (a *Authority) Files(t testing.TB, w Wish) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	a.Renew(t, w, cert, key)
	return cert, key
}

// Renew puts a new certificate and its key into files.
func (a *Authority) Renew(t testing.TB, w Wish, cert, key string) {
	t.Helper()
	certPEM, keyPEM := a.Issue(t, w)
	write(t, cert, certPEM)
	write(t, key, keyPEM)
}

func sign(t testing.TB, template, parent *x509.Certificate, own, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
