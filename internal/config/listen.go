package config

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/pointsman/pointsman/internal/certs"
)

// Listener is one address that takes client connections.
type Listener struct {
	// Address is "host:port"; the host may be empty (every interface) and the
	// port 0 (any free port). Required.
	Address string
	// TLS says how it is spoken; by default it is not, see TLS.On.
	TLS TLS
	// ProxyProtocol are the networks of the proxies that begin connections with a
	// header of the PROXY protocol. Default none.
	ProxyProtocol []netip.Prefix
	// HTTP2 offers HTTP/2 to clients; only with TLS. Default false.
	HTTP2 bool
}

// TLS says how TLS is spoken with clients. There are certificates, or there is
// ACME, or it is not spoken.
type TLS struct {
	// Certificates are those in files, the one for unknown names first.
	Certificates []Certificate
	// ACME obtains more of them. Default: it does not.
	ACME ACME
	// StrictSNI refuses clients that ask for an unknown name. Default false.
	StrictSNI bool
	// MinVersion is the oldest version. Default TLS12.
	MinVersion TLSVersion
	// ClientCA is a file of authorities; clients need a certificate that one of
	// them has signed. Default empty: they need none.
	ClientCA string
}

// Certificate names a certificate and its key, both files in PEM.
type Certificate struct {
	// Cert is the file of the certificate and of its issuers. Required.
	Cert string
	// Key is the file of its key. Required.
	Key string
}

// ACME says which certificates are obtained and renewed.
type ACME struct {
	// Domains are full host names in lower case. Default none: ACME is not used.
	Domains []string
	// Email is told to the directory. Default empty.
	Email string
	// Directory is an https URL. Default empty: that of Let's Encrypt.
	Directory string
	// Storage is the path of a directory. Required with Domains.
	Storage string
	// CA is a file of authorities for the directory's own certificate. Default
	// empty: those of the system.
	CA string
	// AcceptTerms agrees to the directory's terms. Has to be true with Domains.
	AcceptTerms bool
	// Challenge is how domains are validated. ChallengeHTTP needs a listener
	// without TLS. Default ChallengeTLS.
	Challenge Challenge
}

// Challenge is how a directory makes sure that a domain leads here.
type Challenge string

// Challenges.
const (
	// ChallengeTLS is answered on port 443 (RFC 8737).
	ChallengeTLS Challenge = "tls-alpn-01"
	// ChallengeHTTP is answered on port 80 (RFC 8555 section 8.3).
	ChallengeHTTP Challenge = "http-01"
)

// TLSVersion is a version of TLS.
type TLSVersion string

// Versions of TLS.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// On reports whether TLS is spoken.
func (t *TLS) On() bool { return len(t.Certificates) > 0 || t.ACME.On() }

// On reports whether certificates are obtained.
func (a *ACME) On() bool { return len(a.Domains) > 0 }

// Keeping returns the options for the keeper of a listener's certificates. TLS
// must be on. The logger may be nil.
func (l *Listener) Keeping(logger *slog.Logger) certs.Options {
	t := &l.TLS
	o := certs.Options{
		Strict: t.StrictSNI, ClientCA: t.ClientCA, MinVersion: tls.VersionTLS12,
		ALPN: []string{"http/1.1"}, Logger: logger,
	}
	if l.HTTP2 {
		o.ALPN = []string{"h2", "http/1.1"}
	}
	if t.MinVersion == TLS13 {
		o.MinVersion = tls.VersionTLS13
	}
	for _, c := range t.Certificates {
		o.Pairs = append(o.Pairs, certs.Pair{CertFile: c.Cert, KeyFile: c.Key})
	}
	if a := t.ACME; a.On() {
		o.ACME = &certs.ACME{
			Domains: a.Domains, Email: a.Email, Directory: a.Directory, RootFile: a.CA,
			Storage: a.Storage, Agreed: a.AcceptTerms,
			NoHTTP: a.Challenge != ChallengeHTTP, NoTLS: a.Challenge == ChallengeHTTP,
		}
	}
	return o
}

// Door is what cannot change about a listener while a process runs. No two
// listeners of a Config have the same, but for those with port 0.
type Door struct {
	// Address is Listener.Address.
	Address string
	// TLS says whether it is spoken.
	TLS bool
}

// Door returns what cannot change about l.
func (l *Listener) Door() Door { return Door{l.Address, l.TLS.On()} }

// doors returns those of all listeners, in an order of their own.
func (c *Config) doors() []Door {
	var all []Door
	for i := range c.Listen {
		all = append(all, c.Listen[i].Door())
	}
	slices.SortFunc(all, func(a, b Door) int {
		switch order := cmp.Compare(a.Address, b.Address); {
		case order != 0 || a.TLS == b.TLS:
			return order
		case a.TLS:
			return 1
		default:
			return -1
		}
	})
	return all
}
