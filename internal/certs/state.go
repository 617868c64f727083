package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/certtext"
)

// state is what handshakes look at: certificates and settings that belong
// together. It is never changed; only its config gets new ticket keys.
type state struct {
	names    map[string][]*certificate // exact names, lower-case
	wildcard map[string][]*certificate // by what follows the asterisk
	ips      map[netip.Addr][]*certificate
	fallback []*certificate // for clients that ask for something else; empty if they are refused
	acme     *ACME          // nil without

	config  *tls.Config
	refusal *tls.Config
}

// newState makes a state of certificates, the most preferred one first, of which
// fallback is the one for clients that ask for something else.
func newState(o *Options, certificates []*certificate, fallback *certificate, clientCAs *x509.CertPool) *state {
	s := &state{
		names:    map[string][]*certificate{},
		wildcard: map[string][]*certificate{},
		ips:      map[netip.Addr][]*certificate{},
		acme:     o.ACME,
	}
	for _, c := range certificates {
		s.enter(c)
	}
	if fallback != nil && !o.Strict {
		s.fallback = alike(certificates, fallback)
	}
	s.config = &tls.Config{
		GetCertificate:              func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.choose(hello), nil },
		NextProtos:                  o.ALPN,
		MinVersion:                  o.MinVersion,
		CipherSuites:                suites,
		DynamicRecordSizingDisabled: true,
	}
	if clientCAs != nil {
		s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, clientCAs
	}
	// No certificate and no error is what crypto/tls answers with the alert
	// unrecognized_name. Tickets would get a client past it.
	s.refusal = &tls.Config{
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		MinVersion:             o.MinVersion,
		CipherSuites:           suites,
		SessionTicketsDisabled: true,
	}
	return s
}

// enter adds a certificate under all its names.
func (s *state) enter(c *certificate) {
	for _, name := range c.tls.Leaf.DNSNames {
		name = strings.ToLower(name)
		if rest, found := strings.CutPrefix(name, "*"); found {
			s.wildcard[rest] = append(s.wildcard[rest], c)
		} else {
			s.names[name] = append(s.names[name], c)
		}
	}
	for _, ip := range c.tls.Leaf.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			addr = addr.Unmap()
			s.ips[addr] = append(s.ips[addr], c)
		}
	}
}

// alike returns c and those that are for the same names: the same identity with
// other keys.
func alike(certificates []*certificate, c *certificate) []*certificate {
	all := []*certificate{c}
	want := slices.Sorted(slices.Values(certtext.Names(c.tls.Leaf)))
	for _, other := range certificates {
		if other != c && slices.Equal(want, slices.Sorted(slices.Values(certtext.Names(other.tls.Leaf)))) {
			all = append(all, other)
		}
	}
	prefer(all)
	return all
}

// prefer puts those first that cost the server less: an RSA signature takes it
// many times the work of the others. The order is kept otherwise.
func prefer(certificates []*certificate) {
	slices.SortStableFunc(certificates, func(a, b *certificate) int {
		return boolCompare(a.tls.Leaf.PublicKeyAlgorithm == x509.RSA, b.tls.Leaf.PublicKeyAlgorithm == x509.RSA)
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// settings returns the settings for a client.
func (s *state) settings(hello *tls.ClientHelloInfo) *tls.Config {
	if len(s.fallback) == 0 {
		exact, wild := s.find(hello)
		if len(exact)+len(wild) == 0 {
			return s.refusal
		}
	}
	return s.config
}

// choose returns the certificate for a client, nil if there is none: of those
// with the name itself, then those with a wildcard for it, then the fallback, the
// first that the client understands. If it understands none, crypto/tls says so,
// and needs one to do that.
func (s *state) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	exact, wild := s.find(hello)
	for _, candidates := range [...][]*certificate{exact, wild} {
		for _, c := range candidates {
			if hello.SupportsCertificate(c.tls) == nil {
				return c.tls
			}
		}
	}
	if len(exact) > 0 {
		return exact[0].tls
	}
	if len(wild) > 0 {
		return wild[0].tls
	}
	nameless := *hello
	nameless.ServerName = "" // What does not match it would count as not supported.
	for _, c := range s.fallback {
		if nameless.SupportsCertificate(c.tls) == nil {
			return c.tls
		}
	}
	if len(s.fallback) > 0 {
		return s.fallback[0].tls
	}
	return nil
}

// find returns the certificates for what a client asks for. One that asks for no
// name asks for the address that it came to (RFC 6066 has no addresses in SNI,
// but some clients put them there).
func (s *state) find(hello *tls.ClientHelloInfo) (exact, wild []*certificate) {
	name := plainName(hello.ServerName)
	if name == "" {
		return s.ips[localIP(hello.Conn)], nil
	}
	if last := name[len(name)-1]; last >= '0' && last <= '9' || strings.IndexByte(name, ':') >= 0 { // no host name
		if ip, err := netip.ParseAddr(name); err == nil {
			return s.ips[ip.Unmap()], nil
		}
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		wild = s.wildcard[name[dot:]]
	}
	return s.names[name], wild
}

// plainName returns a host name in the form in which they are compared here.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func localIP(conn net.Conn) netip.Addr {
	if conn == nil {
		return netip.Addr{}
	}
	if addr, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		return addr.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
