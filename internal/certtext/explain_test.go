package certtext

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// selfSigned returns a certificate that its own key has signed.
func selfSigned(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestNames(t *testing.T) {
	for _, row := range []struct {
		name  string
		cert  x509.Certificate
		title string
		names []string
	}{
		{"names", x509.Certificate{DNSNames: []string{"A.test", "b.test"}, Subject: pkix.Name{CommonName: "c"}}, "A.test", []string{"a.test", "b.test"}},
		{"addresses", x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, "192.0.2.1", []string{"192.0.2.1"}},
		{"subject", x509.Certificate{Subject: pkix.Name{CommonName: "c"}}, "CN=c", nil},
		{"nothing", x509.Certificate{}, "no name", nil},
	} {
		if got := Title(&row.cert); got != row.title {
			t.Errorf("%s: title %q, want %q", row.name, got, row.title)
		}
		if got := Names(&row.cert); !slices.Equal(got, row.names) {
			t.Errorf("%s: names %q, want %q", row.name, got, row.names)
		}
	}
}

func TestExplain(t *testing.T) {
	now := time.Now()
	own := selfSigned(t, &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})
	early := selfSigned(t, &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour)})
	for _, row := range []struct {
		name string
		err  error
		want string // of the reason; empty if there is none
	}{
		{"expired", x509.CertificateInvalidError{Cert: own, Reason: x509.Expired}, "(a.test) expired on " + own.NotAfter.UTC().Format(time.RFC3339)},
		{"early", x509.CertificateInvalidError{Cert: early, Reason: x509.Expired}, "(a.test) is not valid before "},
		{"not an authority", x509.CertificateInvalidError{Cert: own, Reason: x509.NotAuthorizedToSign}, ""},
		{"self-signed", x509.UnknownAuthorityError{Cert: own}, "self-signed"},
		{"unknown authority", x509.UnknownAuthorityError{}, "not trusted"},
		{"wrong name", x509.HostnameError{Certificate: own, Host: "b.test"}, "is for a.test, and not for b.test"},
		{"no name", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "b.test"}, "no subject alternative name"},
		{"no TLS", tls.RecordHeaderError{Msg: "first record"}, "does not speak TLS"},
		{"something else", io.ErrUnexpectedEOF, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			cause := fmt.Errorf("read: %w", row.err)
			why := Reason(cause)
			if !strings.Contains(why, row.want) || (why == "") != (row.want == "") {
				t.Errorf("reason %q, want %q", why, row.want)
			}
			err := Explain("host:443", cause)
			if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "tls handshake with host:443: "+why) {
				t.Error(err)
			}
		})
	}
	if Explain("host", nil) != nil || Reason(nil) != "" {
		t.Error("no error is explained")
	}
}
