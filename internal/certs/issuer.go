package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// issuer has certificates signed by the directory. The one that comes with
// certmagic opens ports of its own for challenges, and leaves a goroutine and
// connections behind; this one does not.
type issuer struct {
	options *ACME
	files   *storage
	client  *acmez.Client
	http    *http.Client
}

func newIssuer(a *ACME, files *storage, c *challenges, log *slog.Logger) *issuer {
	i := &issuer{options: a, files: files, http: &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSClientConfig:       &tls.Config{RootCAs: a.roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
			MaxIdleConnsPerHost:   1,
		},
	}}
	solvers := map[string]acmez.Solver{}
	if !a.NoHTTP {
		solvers[acme.ChallengeTypeHTTP01] = solver{c, a, files}
	}
	if !a.NoTLS {
		solvers[acme.ChallengeTypeTLSALPN01] = solver{c, a, files}
	}
	i.client = &acmez.Client{
		Client: &acme.Client{
			Directory:   a.Directory,
			HTTPClient:  i.http,
			UserAgent:   "pointsman",
			PollTimeout: longestAttempt,
			Logger:      log,
		},
		ChallengeSolvers: solvers,
	}
	return i
}

// close lets go of connections to the directory.
func (i *issuer) close() { i.http.CloseIdleConnections() }

// IssuerKey implements [certmagic.Issuer].
func (i *issuer) IssuerKey() string { return i.options.issuerKey() }

// Issue implements [certmagic.Issuer].
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	chains, err := i.order(ctx, csr)
	var problem acme.Problem
	if errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		// The directory has forgotten us; private ones do when they are set up anew.
		if err := i.files.Delete(ctx, i.accountKey()); err != nil {
			return nil, err
		}
		chains, err = i.order(ctx, csr)
	}
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the directory sent no certificate")
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

func (i *issuer) order(ctx context.Context, csr *x509.CertificateRequest) ([]acme.Certificate, error) {
	account, err := i.account(ctx)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	directory, err := i.client.GetDirectory(ctx)
	if err != nil {
		return nil, err
	}
	if directory.RenewalInfo != "" && len(csr.DNSNames) == 1 {
		// A renewal that says so is not held against the directory's limits (RFC 9773).
		if old, err := i.options.stored(ctx, csr.DNSNames[0]); err == nil {
			params.Replaces = old.tls.Leaf
		}
	}
	return i.client.ObtainCertificate(ctx, params)
}

// GetRenewalInfo implements [certmagic.RenewalInfoGetter].
func (i *issuer) GetRenewalInfo(ctx context.Context, cert certmagic.Certificate) (acme.RenewalInfo, error) {
	return i.client.GetRenewalInfo(ctx, cert.Leaf)
}

// accountKey is where the account is stored: one for each directory and address.
func (i *issuer) accountKey() string {
	user := i.options.Email
	if user == "" {
		user = "default"
	}
	return path.Join("acme", certmagic.StorageKeys.Safe(i.IssuerKey()), "accounts", certmagic.StorageKeys.Safe(user))
}

// account returns the account at the directory; it is made if there is none yet.
func (i *issuer) account(ctx context.Context) (acme.Account, error) {
	account, err := i.storedAccount(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return account, err
	}
	lock := "account_" + i.accountKey()
	if err := i.files.Lock(ctx, lock); err != nil {
		return acme.Account{}, err
	}
	defer func() { _ = i.files.Unlock(ctx, lock) }() // What was locked by us can be unlocked.
	account, err = i.storedAccount(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return account, err // Another process was first.
	}
	return i.register(ctx)
}

func (i *issuer) storedAccount(ctx context.Context) (account acme.Account, err error) {
	data, err := i.files.Load(ctx, path.Join(i.accountKey(), "account.json"))
	if err != nil {
		return account, err
	}
	keyPEM, err := i.files.Load(ctx, path.Join(i.accountKey(), "account.key"))
	if err != nil {
		return account, err
	}
	if err := json.Unmarshal(data, &account); err != nil {
		return account, fmt.Errorf("stored account: %w", err)
	}
	account.PrivateKey, err = certmagic.PEMDecodePrivateKey(keyPEM)
	if err != nil {
		return account, fmt.Errorf("key of the stored account: %w", err)
	}
	return account, nil
}

// register makes an account.
func (i *issuer) register(ctx context.Context) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: i.options.Agreed, PrivateKey: key}
	if i.options.Email != "" {
		account.Contact = []string{"mailto:" + i.options.Email}
	}
	account, err = i.client.NewAccount(ctx, account)
	if err != nil {
		return acme.Account{}, fmt.Errorf("account at %s: %w", i.options.Directory, err)
	}
	keyPEM, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	data, err := json.Marshal(account)
	if err != nil {
		return acme.Account{}, err
	}
	// The key first: what says that there is an account comes last.
	if err := i.files.Store(ctx, path.Join(i.accountKey(), "account.key"), keyPEM); err != nil {
		return acme.Account{}, fmt.Errorf("store account: %w", err)
	}
	if err := i.files.Store(ctx, path.Join(i.accountKey(), "account.json"), data); err != nil {
		return acme.Account{}, fmt.Errorf("store account: %w", err)
	}
	return account, nil
}
