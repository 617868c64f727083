package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/certtext"
)

// certificate is one that can be shown, with its key. It is never changed.
type certificate struct {
	tls         *tls.Certificate // its Leaf is set
	fingerprint [sha256.Size]byte
	file        string // empty if it was obtained by ACME
	keyFile     string // the same
}

// parse returns the certificate in PEM, judged as whole: the key belongs to it,
// and its chain is in order. The error is a [*Fault].
func parse(certPEM, keyPEM []byte) (*certificate, error) {
	if block := encrypted(keyPEM); block != "" {
		return nil, fault(true, "the key is encrypted (%s): decrypt it, for example with openssl pkey", block)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		_, certErr := authorities(certPEM)
		return nil, &Fault{InKey: certErr == nil, Err: err}
	}
	if err := checkChain(pair.Certificate); err != nil {
		return nil, &Fault{Err: err}
	}
	return &certificate{tls: &pair, fingerprint: sha256.Sum256(pair.Certificate[0])}, nil
}

// encrypted returns the title of the first block of PEM if it is an encrypted
// key. The error for such a one would say only that it cannot be parsed.
func encrypted(keyPEM []byte) string {
	for {
		var block *pem.Block
		if block, keyPEM = pem.Decode(keyPEM); block == nil {
			return ""
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED ") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return block.Type
		}
	}
}

// checkChain tells whether each certificate was issued by the next one. TLS 1.2
// demands that order, and clients without the missing link would refuse us.
func checkChain(chain [][]byte) error {
	var child *x509.Certificate
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d in the file: %w", i+1, err)
		}
		if child != nil {
			if err := child.CheckSignatureFrom(cert); err != nil {
				return fmt.Errorf("certificate %d in the file (%s) was not issued by number %d (%s): put the server's own first, then its issuers in order: %w",
					i, certtext.Title(child), i+1, certtext.Title(cert), err)
			}
		}
		child = cert
	}
	return nil
}

// kind names the key of a certificate.
func kind(leaf *x509.Certificate) string {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA " + strconv.Itoa(key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return leaf.PublicKeyAlgorithm.String()
}

// remarks returns what clients, or their keepers, will not like.
func (c *certificate) remarks() []string {
	var odd []string
	leaf := c.tls.Leaf
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		odd = append(odd, "certificate has no subject alternative name, clients will refuse it")
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		odd = append(odd, "certificate is not meant for servers, clients will refuse it")
	}
	return odd
}

// stage is how far the life of a certificate has gone.
type stage int

const (
	valid stage = iota
	early       // not valid yet
	ending
	expired
)

// soon is how long before the end of a certificate its keeper is told, at most.
const soon = 14 * 24 * time.Hour

// stage returns the stage at a moment. Ending is one whose time left is below 14
// days and a third of its lifetime; a sixth if we renew it, as that begins with
// the last third.
func (c *certificate) stage(now time.Time) stage {
	leaf := c.tls.Leaf
	part := leaf.NotAfter.Sub(leaf.NotBefore) / 3
	if c.file == "" {
		part /= 2
	}
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		return early
	case left < 0:
		return expired
	case left < min(soon, part):
		return ending
	}
	return valid
}

// same tells whether two are the same certificate with the same chain.
func (c *certificate) same(other *certificate) bool {
	return c != nil && other != nil && slices.EqualFunc(c.tls.Certificate, other.tls.Certificate, bytes.Equal)
}
