package certtext

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Explain returns the error of a TLS handshake with host such that it names the
// host and, if the certificate was not accepted, the reason and what to do. It
// wraps err; nil stays nil.
func Explain(host string, err error) error {
	if err == nil {
		return nil
	}
	if why := Reason(err); why != "" {
		return fmt.Errorf("tls handshake with %s: %s: %w", host, why, err)
	}
	return fmt.Errorf("tls handshake with %s: %w", host, err)
}

// Reason returns what is wrong with the other side of a TLS handshake that ended
// with err, empty if err says it well or is about something else.
func Reason(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		unknown   x509.UnknownAuthorityError
		wrongName x509.HostnameError
		noTLS     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return outOfTime(invalid.Cert, time.Now())
	case errors.As(err, &wrongName):
		if all := Names(wrongName.Certificate); len(all) > 0 {
			return fmt.Sprintf("its certificate is for %s, and not for %s", List(all), wrongName.Host)
		}
		return "its certificate has no subject alternative name"
	case errors.As(err, &unknown):
		return untrusted(unknown.Cert)
	case errors.As(err, &noTLS):
		return "it does not speak TLS on this port"
	}
	return ""
}

func outOfTime(cert *x509.Certificate, now time.Time) string {
	if now.Before(cert.NotBefore) {
		return fmt.Sprintf("its certificate (%s) is not valid before %s", Title(cert), cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("its certificate (%s) expired on %s", Title(cert), cert.NotAfter.UTC().Format(time.RFC3339))
}

func untrusted(cert *x509.Certificate) string {
	switch {
	case cert == nil:
		return "its certificate was signed by an authority that is not trusted"
	case cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil:
		return fmt.Sprintf("its certificate (%s) is self-signed and not trusted; if it is yours, give it as the authority's file", Title(cert))
	}
	return fmt.Sprintf("its certificate (%s) was signed by %s, which is not trusted; if that is yours, give it as the authority's file", Title(cert), cert.Issuer)
}
