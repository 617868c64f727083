package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Options says what a [Keeper] keeps and how it is shown to clients. At least one
// pair, or ACME, is needed.
type Options struct {
	// Pairs are the certificates that lie in files. The first one is shown to
	// clients that ask for a name that no certificate has, or for none.
	Pairs []Pair
	// Strict refuses these clients with the alert unrecognized_name (RFC 6066,
	// section 3) instead. A client that asks for no name is then served only if a
	// certificate has the address that it came to.
	Strict bool
	// MinVersion is the oldest version spoken: [tls.VersionTLS12] or
	// [tls.VersionTLS13]. Zero means 1.2, with forward secret AEAD suites only.
	MinVersion uint16
	// ClientCA is a PEM file of authorities. If set, a client has to show a
	// certificate that one of them has signed (mutual TLS).
	ClientCA string
	// ALPN are the protocols offered, the preferred one first (RFC 7301). A client
	// that names others only is refused; without any, none is negotiated.
	ALPN []string
	// ACME, if not nil, obtains and renews certificates for more names. For a name
	// that a pair has too, the one obtained is preferred.
	ACME *ACME
	// Logger gets what the operator should know; nil discards. [Keeper.Apply]
	// keeps the one that [New] was given.
	Logger *slog.Logger
}

// Pair names a certificate and its key, both PEM. They may be in the same file,
// which is then named twice.
type Pair struct {
	// CertFile holds the certificate, and after it those of its issuers, each
	// issued by the next. The root may be left out.
	CertFile string
	// KeyFile holds the private key, not encrypted: RSA, ECDSA or Ed25519.
	KeyFile string
}

// suites are the cipher suites of TLS 1.2 that are spoken. Those of TLS 1.3 are
// all as good, and cannot be chosen.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// check returns every mistake that shows without a look at the certificates.
func (o *Options) check() error {
	var wrong []error
	if len(o.Pairs) == 0 && o.ACME == nil {
		wrong = append(wrong, errors.New("no certificate: name a file and its key, or obtain one by ACME"))
	}
	for i, p := range o.Pairs {
		if p.CertFile == "" {
			wrong = append(wrong, fmt.Errorf("certificate %d: no file", i+1))
		}
		if p.KeyFile == "" {
			wrong = append(wrong, fmt.Errorf("certificate %d: no key file", i+1))
		}
	}
	if err := checkVersion(o.MinVersion); err != nil {
		wrong = append(wrong, err)
	}
	if err := checkALPN(o.ALPN); err != nil {
		wrong = append(wrong, err)
	}
	if o.ACME != nil {
		wrong = append(wrong, o.ACME.check())
	}
	return errors.Join(wrong...)
}

func checkVersion(version uint16) error {
	switch version {
	case 0, tls.VersionTLS12, tls.VersionTLS13:
		return nil
	}
	return fmt.Errorf("oldest version %s: use TLS 1.2 or TLS 1.3", tls.VersionName(version))
}

func checkALPN(protocols []string) error {
	for _, p := range protocols {
		switch {
		case p == "" || len(p) > 255:
			return fmt.Errorf("ALPN protocol %q: a name has 1 to 255 bytes", p)
		case p == challengeProtocol:
			return fmt.Errorf("ALPN protocol %q: it is reserved, and added where it is needed", p)
		}
	}
	return nil
}

// copied returns o with defaults, and with nothing in it that the caller can
// still change.
func (o Options) copied() Options {
	o.Pairs = slices.Clone(o.Pairs)
	o.ALPN = slices.Clone(o.ALPN)
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.ACME != nil {
		acme := o.ACME.copied()
		o.ACME = &acme
	}
	return o
}

// paths returns every file that is watched.
func (o *Options) paths() []string {
	var paths []string
	for _, p := range o.Pairs {
		paths = append(paths, p.CertFile, p.KeyFile)
	}
	if o.ClientCA != "" {
		paths = append(paths, o.ClientCA)
	}
	return paths
}
