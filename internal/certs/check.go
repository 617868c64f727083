package certs

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
)

// Fault is what is wrong with a [Pair], and in which of its files.
type Fault struct {
	// InKey says that the key file is at fault, or does not belong to the
	// certificate; otherwise the certificate file is.
	InKey bool
	// Err names the file and the reason.
	Err error
}

// Error is that of Err.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// CheckPair reads p and tells whether it can be used. The error is a [*Fault].
func CheckPair(p Pair) error {
	_, err := sums{}.pair(p)
	return err
}

// CheckAuthorities reads a PEM file of authorities and tells whether it can be
// used. The error names the file and the reason.
func CheckAuthorities(path string) error {
	_, err := sums{}.pool(path)
	return err
}

// CheckDomain tells whether ACME can obtain a certificate for a domain.
func CheckDomain(domain string) error {
	if strings.Contains(domain, "*") {
		return errors.New("is a wildcard, which only a certificate from a file can have")
	}
	if len(domain) > 253 || !strings.Contains(domain, ".") {
		return errors.New("is not a full host name")
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return errors.New("is not a full host name")
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return errors.New("holds other characters than letters, digits and hyphens, in which other scripts have the form xn--…")
			}
		}
	}
	return nil
}

// CheckEmail tells whether a directory of ACME can be given an address.
func CheckEmail(address string) error {
	if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
		return errors.New("is not a plain address such as ops@example.com")
	}
	return nil
}

// CheckDirectory tells whether location can be that of a directory of ACME.
func CheckDirectory(location string) error {
	if u, err := url.Parse(location); err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("is not an https URL")
	}
	return nil
}

// fault returns an error of a pair as one of its files.
func fault(inKey bool, format string, args ...any) *Fault {
	return &Fault{InKey: inKey, Err: fmt.Errorf(format, args...)}
}
