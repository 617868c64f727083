package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/pointsman/pointsman/internal/certs"
)

const (
	filePath = "the path of a file"
	// relative is said of every path of a file.
	relative = " A relative path begins at the working directory."
)

// listenKey takes one address, or a list of sections with an address.
func listenKey() field[Config] {
	const expected = "an address such as :8080 or 127.0.0.1:8080, or a list of {address}"
	f := sections("listen", expected,
		"Address that takes client connections, or a list of `{address}` for several, and for TLS. An empty host is every interface; port 0 is any free port, printed at start. A change of the addresses, or of which of them speak TLS, needs a restart; all else takes effect by a reload.",
		listenerKeys, newListener, func(c *Config) *[]Listener { return &c.Listen })
	list := f.decode
	f.decode = func(d *decoder, n ast.Node, path string, c *Config) {
		if _, ok := n.(*ast.SequenceNode); ok {
			list(d, n, path, c)
			return
		}
		decodeScalar(d, n, path, f, c)
	}
	f.initial = ""
	f.set = func(c *Config, s string) error {
		address, err := readListen(s)
		if err == nil {
			l := newListener()
			l.Address = address
			c.Listen = []Listener{l}
		}
		return err
	}
	f.get = func(c *Config) string {
		var all []string
		for _, l := range c.Listen {
			all = append(all, quote(l.Address))
		}
		return strings.Join(all, ", ")
	}
	f.restart = func(a, b *Config) bool { return !slices.Equal(a.doors(), b.doors()) }
	return f
}

func listenerKeys() []field[Listener] {
	address := text("address", "an address such as :8080 or 127.0.0.1:8080",
		"Address of one listener, in the long form of `listen`.",
		func(l *Listener) *string { return &l.Address }, readListen)
	address.required = true
	keys := []field[Listener]{address}
	keys = append(keys, listenerTLSKeys()...)
	http2 := toggle("http2",
		"Offers HTTP/2 to clients, beside HTTP/1.1, so that many WebSockets of one client share a connection (RFC 8441). Only with TLS.",
		func(l *Listener) *bool { return &l.HTTP2 })
	return append(keys,
		when(http2, func(l *Listener) bool { return l.TLS.On() || l.HTTP2 }),
		list("proxy_protocol", "a list of networks or addresses such as [10.0.0.0/8, \"fd00::/8\"]", network,
			"Networks of load balancers before this router that begin each connection with a header of the PROXY protocol, version 1 or 2. From there it is demanded, and names the client; from elsewhere it is not known, so that nobody else can claim to be another.",
			readNetwork, netip.Prefix.String, func(l *Listener) *[]netip.Prefix { return &l.ProxyProtocol }),
	)
}

// listenerTLSKeys are those of the section tls of a listener.
func listenerTLSKeys() []field[Listener] {
	on := func(l *Listener) bool { return l.TLS.On() }
	pairs := sections("tls.certificates", "a list of {cert, key}",
		"Certificates in files, of which each client gets the one for the name that it asks for (SNI); the first one is for those who ask for another name, or for none. Changed files are taken on by themselves within seconds, and sessions do not notice.",
		certificateKeys, func() Certificate { return Certificate{} },
		func(l *Listener) *[]Certificate { return &l.TLS.Certificates })
	pairs.initial = "no certificate"
	strict := toggle("tls.strict_sni",
		"Refuses clients that ask for a name which no certificate is for, with the alert unrecognized_name, instead of showing them the first certificate.",
		func(l *Listener) *bool { return &l.TLS.StrictSNI })
	version := choice("tls.min_version", words(TLS12, TLS13),
		"Oldest version of TLS that is spoken. With 1.2 only suites with forward secrecy and authenticated encryption are.",
		func(l *Listener) *TLSVersion { return &l.TLS.MinVersion })
	clients := optionalPath("tls.client_ca",
		"File with the authorities (PEM) that a client needs a certificate of: mutual TLS. A client without one is refused."+relative,
		func(l *Listener) *string { return &l.TLS.ClientCA })
	keys := []field[Listener]{when(pairs, func(l *Listener) bool { return len(l.TLS.Certificates) > 0 })}
	keys = append(keys, acmeKeys()...)
	return append(keys, when(strict, on), when(version, on), when(clients, on))
}

func certificateKeys() []field[Certificate] {
	cert := text("cert", filePath,
		"File with a certificate (PEM), and behind it those of its issuers in order; the root may be left out."+relative,
		func(c *Certificate) *string { return &c.Cert }, readPath)
	cert.required = true
	key := text("key", filePath,
		"File with the private key of the certificate (PEM), not encrypted: RSA, ECDSA or Ed25519. It may be the same file. Nobody but this router's user should be able to read it.",
		func(c *Certificate) *string { return &c.Key }, readPath)
	key.required = true
	return []field[Certificate]{cert, key}
}

// acmeKeys are those of the section tls.acme of a listener.
func acmeKeys() []field[Listener] {
	on := func(l *Listener) bool { return l.TLS.ACME.On() }
	const aDomain = "a full host name such as chat.example.org"
	domains := list("tls.acme.domains", "a list of host names such as [chat.example.org]", aDomain,
		"Names for which certificates are obtained and renewed by ACME (RFC 8555). The directory must reach this router under each of them, see `challenge`. Wildcards need a certificate from a file.",
		func(s string) (string, error) {
			s = strings.TrimSuffix(strings.ToLower(s), ".")
			return s, certs.CheckDomain(s)
		},
		asIs, func(l *Listener) *[]string { return &l.TLS.ACME.Domains })
	domains.initial = "no domain"
	email := text("tls.acme.email", "an address such as ops@example.org",
		"Where the directory may reach whoever is responsible.",
		func(l *Listener) *string { return &l.TLS.ACME.Email },
		func(s string) (string, error) { return s, certs.CheckEmail(s) })
	email.initial = "no address"
	directory := text("tls.acme.directory", "an https URL",
		"The directory of the certificate authority. Set it for a private one, or to try things with the staging directory of a public one.",
		func(l *Listener) *string { return &l.TLS.ACME.Directory },
		func(s string) (string, error) { return s, certs.CheckDirectory(s) })
	directory.initial = "Let's Encrypt"
	challenge := choice("tls.acme.challenge", words(ChallengeTLS, ChallengeHTTP),
		"How the directory makes sure that a domain leads here. `tls-alpn-01`: port 443 of each domain must lead to this listener. `http-01`: port 80 must lead to a listener without TLS of this router, which answers below `/.well-known/acme-challenge/`.",
		func(l *Listener) *Challenge { return &l.TLS.ACME.Challenge })
	storage := text("tls.acme.storage", "the path of a directory",
		"Directory for accounts, keys and certificates, which must outlive this process. It is made if it is missing, for this user only. Routers that share it obtain each certificate once, and answer each other's challenges. Required with `acme`."+relative,
		func(l *Listener) *string { return &l.TLS.ACME.Storage }, readPath)
	storage.initial = "no directory"
	ca := optionalPath("tls.acme.ca",
		"File with the authorities (PEM) that the directory's own certificate is judged by, for private ones."+relative,
		func(l *Listener) *string { return &l.TLS.ACME.CA })
	ca.initial = "those of the system"
	terms := toggle("tls.acme.accept_terms",
		"Says that you agree to the terms of service of the directory, which it asks of everybody. Required to be true with `acme`.",
		func(l *Listener) *bool { return &l.TLS.ACME.AcceptTerms })
	return []field[Listener]{
		domains,
		when(email, func(l *Listener) bool { return l.TLS.ACME.Email != "" }),
		when(directory, func(l *Listener) bool { return l.TLS.ACME.Directory != "" }),
		when(storage, on),
		when(ca, on),
		when(terms, on),
		when(challenge, on),
	}
}

// optionalPath is the path of a file that may be left out.
func optionalPath[T any](name, doc string, at func(*T) *string) field[T] {
	f := text(name, filePath, doc, at, readPath)
	f.initial = "no file"
	f.omit = func(t *T) bool { return *at(t) == "" }
	return f
}
