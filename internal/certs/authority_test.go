package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// wish says what a certificate should be like. The zero value is one for a server
// without a name, valid for 90 days, with an ECDSA key.
type wish struct {
	names    []string
	ips      []string
	from, to time.Duration // from now; zero means an hour ago, and in 90 days
	key      crypto.Signer
	usage    []x509.ExtKeyUsage // none means server and client
	subject  string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key := ecdsaKey(t)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-24 * 365 * time.Hour),
		NotAfter:              now.Add(24 * 3650 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return newAuthorityFrom(t, template, template, key, key)
}

// intermediate returns an authority that a signed.
func (a *authority) intermediate(t *testing.T, name string) *authority {
	t.Helper()
	key := ecdsaKey(t)
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             a.cert.NotBefore,
		NotAfter:              a.cert.NotAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return newAuthorityFrom(t, template, a.cert, key, a.key)
}

func newAuthorityFrom(t *testing.T, template, parent *x509.Certificate, key, signer crypto.Signer) *authority {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: certPEM(der)}
}

// issue returns a certificate and its key in PEM.
func (a *authority) issue(t *testing.T, w wish) (cert, key []byte) {
	t.Helper()
	if w.key == nil {
		w.key = ecdsaKey(t)
	}
	return certPEM(a.sign(t, w, w.key.Public())), keyPEM(t, w.key)
}

func (a *authority) sign(t *testing.T, w wish, public crypto.PublicKey) []byte {
	t.Helper()
	if w.from == 0 {
		w.from = -time.Hour
	}
	if w.to == 0 {
		w.to = 90 * 24 * time.Hour
	}
	if w.usage == nil {
		w.usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	var ips []net.IP
	for _, ip := range w.ips {
		ips = append(ips, net.ParseIP(ip))
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(t),
		Subject:      pkix.Name{CommonName: w.subject},
		DNSNames:     w.names,
		IPAddresses:  ips,
		NotBefore:    now.Add(w.from),
		NotAfter:     now.Add(w.to),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  w.usage,
	}
	parent, signer := a.cert, a.key
	if signer == nil { // self-signed
		parent, signer = template, w.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// nobody is no authority: what it issues is self-signed.
var nobody = &authority{}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// pair writes a certificate and its key into files of their own.
func (a *authority) pair(t *testing.T, w wish) Pair {
	t.Helper()
	cert, key := a.issue(t, w)
	dir := t.TempDir()
	p := Pair{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	p.write(t, cert, key)
	return p
}

// write puts a certificate and its key into the files.
func (p Pair) write(t *testing.T, cert, key []byte) {
	t.Helper()
	write(t, p.CertFile, cert)
	write(t, p.KeyFile, key)
}

// file writes the authority's own certificate.
func (a *authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	write(t, path, a.pem)
	return path
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func serial(t *testing.T) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey takes a while to make; one is enough.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})
