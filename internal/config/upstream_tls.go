package config

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/pointsman/pointsman/internal/certs"
)

// UpstreamTLS says how TLS is done with an upstream. The zero value trusts what
// the system trusts.
type UpstreamTLS struct {
	// CA is a file of authorities in PEM. Default empty: those of the system.
	CA string
	// ServerName is a host name in lower case, or an IP address. Default empty: the
	// host of the URL.
	ServerName string
	// Cert and Key are the files of this router's own certificate, both or none.
	// Default none.
	Cert, Key string
	// Insecure takes every certificate; not with CA. Default false.
	Insecure bool
}

// Secure reports whether TLS is done with the WebSockets of u.
func (u *Upstream) Secure() bool { return strings.HasPrefix(u.URL, "wss:") }

// encrypted reports whether TLS is done with u at all: with its WebSockets, or
// with its REST API.
func (u *Upstream) encrypted() bool {
	c, _ := u.Connection()
	return u.Secure() || c.ServerBase().Scheme() == "https"
}

// dialing returns the options for connections to u, with TLS.
func (u *Upstream) dialing(logger *slog.Logger) certs.ClientOptions {
	if logger != nil {
		logger = logger.With("upstream", u.Name)
	}
	return certs.ClientOptions{
		CAFile: u.TLS.CA, ServerName: u.TLS.ServerName,
		CertFile: u.TLS.Cert, KeyFile: u.TLS.Key, Insecure: u.TLS.Insecure,
		Logger: logger,
	}
}

// readServerName checks a name that a certificate is for, and returns it in
// lower case.
func readServerName(s string) (string, error) {
	if s == "" {
		return "", errors.New("is empty")
	}
	e, err := newEndpoint(strings.Trim(strings.TrimSuffix(s, "."), "[]"), "0", 0)
	if err != nil {
		return "", errors.New("is neither a host name nor an IP address")
	}
	return e.host, nil
}
