package certtext

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
)

// Title names a certificate in a sentence: its first host name, else its first
// address, else its subject.
func Title(cert *x509.Certificate) string {
	switch {
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	case len(cert.IPAddresses) > 0:
		return cert.IPAddresses[0].String()
	}
	return cmp.Or(cert.Subject.String(), "no name")
}

// Names returns what a certificate is for: host names in lower case, and
// addresses, in its own order.
func Names(cert *x509.Certificate) []string {
	all := make([]string, 0, len(cert.DNSNames)+len(cert.IPAddresses))
	for _, name := range cert.DNSNames {
		all = append(all, strings.ToLower(name))
	}
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// List returns names as a sentence has them: five, and how many more there are.
func List(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
