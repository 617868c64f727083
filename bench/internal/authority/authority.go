package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Name is what the certificate is for, beside 127.0.0.1.
const Name = "bench.test"

// lifetime is long beside any run; the begin is set back for clocks that are set meanwhile.
const lifetime = 24 * time.Hour

// Authority is made with New. Its methods may be called concurrently.
type Authority struct {
	// CAFile is the certificate of the authority; CertFile and KeyFile are those of the servers, and BothFile holds the two together,
	// as HAProxy wants them. All are PEM.
	CAFile, CertFile, KeyFile, BothFile string

	certificate tls.Certificate
	roots       *x509.CertPool
}

// New makes an authority and its certificate, and writes them into dir, which it makes if need be.
func New(dir string) (*Authority, error) {
	a, err := issue(dir)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return a, nil
}

func issue(dir string) (*Authority, error) {
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench authority"},
		NotBefore: now.Add(-lifetime), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: Name},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{Name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})

	a := &Authority{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile: filepath.Join(dir, "key.pem"), BothFile: filepath.Join(dir, "both.pem"),
		roots: x509.NewCertPool(),
	}
	if a.certificate, err = tls.X509KeyPair(cert, secret); err != nil {
		return nil, err
	}
	a.roots.AppendCertsFromPEM(ca)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		path string
		text []byte
	}{
		{a.CAFile, ca}, {a.CertFile, cert}, {a.KeyFile, secret}, {a.BothFile, append(cert[:len(cert):len(cert)], secret...)},
	} {
		if err := os.WriteFile(f.path, f.text, 0o600); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Server is the server's side of TLS with a certificate and its key from files, as lean as crypto/tls does it.
func Server(certFile, keyFile string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}, nil
}

// Trust is the client's side of TLS for everything that is not measured, such as the wait until a server answers.
func (a *Authority) Trust() *tls.Config {
	return &tls.Config{RootCAs: a.roots, ServerName: Name, MinVersion: tls.VersionTLS12}
}
