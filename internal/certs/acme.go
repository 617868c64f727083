package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
)

// ACME says which certificates are obtained and renewed (RFC 8555). Each domain
// gets one of its own, with an ECDSA key.
type ACME struct {
	// Domains are the host names, in ASCII. There are no wildcards: the challenges
	// that a server can answer do not allow them.
	Domains []string
	// Email is where the directory may reach whoever is responsible; optional.
	Email string
	// Directory is the https URL of the certificate authority's directory. Empty
	// means that of Let's Encrypt, whose certificates clients trust.
	Directory string
	// RootFile is a PEM file of the authorities that the directory's own
	// certificate is judged by, for private ones. Empty means those of the system.
	// It is read by Apply.
	RootFile string
	// Storage is the directory for accounts, keys and certificates. It is made if
	// it is missing, for this user only. Processes that share it share what is in
	// it, obtain each certificate once, and answer each other's challenges.
	Storage string
	// Agreed says that the terms of service of the directory are agreed to. It
	// has to be true.
	Agreed bool
	// NoHTTP says that nobody asks [Keeper.HTTPChallenge], so that the challenge
	// http-01 is not tried.
	NoHTTP bool
	// NoTLS says that port 443 of the domains does not lead to a listener with
	// [Keeper.Config], so that the challenge tls-alpn-01 is not tried.
	NoTLS bool

	roots *x509.CertPool // of RootFile
}

// check returns every mistake, and reads the roots.
func (a *ACME) check() error {
	var wrong []error
	if len(a.Domains) == 0 {
		wrong = append(wrong, errors.New("ACME: no domain"))
	}
	for _, domain := range a.Domains {
		if err := CheckDomain(domain); err != nil {
			wrong = append(wrong, fmt.Errorf("ACME: domain %q %w", domain, err))
		}
	}
	if a.Email != "" {
		if err := CheckEmail(a.Email); err != nil {
			wrong = append(wrong, fmt.Errorf("ACME: email %q %w", a.Email, err))
		}
	}
	if err := CheckDirectory(a.Directory); err != nil {
		wrong = append(wrong, fmt.Errorf("ACME: directory %q %w", a.Directory, err))
	}
	if a.Storage == "" {
		wrong = append(wrong, errors.New("ACME: no storage: name a directory that outlives this process"))
	}
	if !a.Agreed {
		wrong = append(wrong, errors.New("ACME: the terms of service of the directory have to be agreed to"))
	}
	if a.NoHTTP && a.NoTLS {
		wrong = append(wrong, errors.New("ACME: no challenge is left that can be answered"))
	}
	if a.RootFile != "" {
		roots, err := sums{}.pool(a.RootFile)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("ACME: roots: %w", err))
		}
		a.roots = roots
	}
	return errors.Join(wrong...)
}

// copied returns a with defaults and normal forms.
func (a ACME) copied() ACME {
	domains := make([]string, 0, len(a.Domains))
	for _, domain := range a.Domains {
		if domain = plainName(domain); !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	a.Domains = domains
	if a.Directory == "" {
		a.Directory = certmagic.LetsEncryptProductionCA
	}
	if absolute, err := filepath.Abs(a.Storage); err == nil && a.Storage != "" {
		a.Storage = absolute
	}
	return a
}

func (a *ACME) equal(b *ACME) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.roots, y.roots = nil, nil
	return reflect.DeepEqual(x, y) && a.roots.Equal(b.roots)
}

// issuerKey names the directory in the storage, as other users of the same
// library do.
func (a *ACME) issuerKey() string {
	u, err := url.Parse(a.Directory)
	if err != nil {
		return certmagic.StorageKeys.Safe(a.Directory) // Checked: not reached.
	}
	key := u.Host
	if path := strings.Trim(strings.ReplaceAll(u.Path, "/", "-"), "-"); path != "" {
		key += "-" + path
	}
	return key
}

// errUnusable says that what is stored for a domain is no certificate with its key.
var errUnusable = errors.New("unusable")

// stored returns the certificate for a domain that was obtained before. The error
// is [fs.ErrNotExist] if there is none.
func (a *ACME) stored(ctx context.Context, domain string) (*certificate, error) {
	files := certmagic.FileStorage{Path: a.Storage}
	certPEM, err := files.Load(ctx, certmagic.StorageKeys.SiteCert(a.issuerKey(), domain))
	if err != nil {
		return nil, err
	}
	keyPEM, err := files.Load(ctx, certmagic.StorageKeys.SitePrivateKey(a.issuerKey(), domain))
	if err != nil {
		return nil, err
	}
	c, err := parse(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("stored certificate for %s is %w: %w", domain, errUnusable, err)
	}
	return c, nil
}

// tidy removes what is stored for a domain if it is unusable: a process that dies
// while it stores a renewed certificate leaves a key that does not belong to it,
// and the library would not get over that.
func (a *ACME) tidy(ctx context.Context, files *storage, domain string) error {
	if _, err := a.stored(ctx, domain); !errors.Is(err, errUnusable) {
		return nil
	}
	lock := "issue_cert_" + domain // that of the library
	if err := files.Lock(ctx, lock); err != nil {
		return err
	}
	defer func() { _ = files.Unlock(ctx, lock) }() // What was locked by us can be unlocked.
	if _, err := a.stored(ctx, domain); !errors.Is(err, errUnusable) {
		return nil // Somebody was in the middle of it.
	}
	return files.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(a.issuerKey(), domain))
}
