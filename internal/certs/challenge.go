package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const (
	// challengeProtocol is what a directory asks for when it validates a domain by
	// tls-alpn-01 (RFC 8737, section 3).
	challengeProtocol = acmez.ACMETLS1Protocol
	// challengePath is where a directory looks when it validates a domain by
	// http-01 (RFC 8555, section 8.3).
	challengePath = "/.well-known/acme-challenge/"
	// staleChallenge is the age from which a stored challenge is a leftover.
	staleChallenge = time.Hour
)

// isValidation tells whether a directory looks at a challenge. It must offer
// nothing else (RFC 8737, section 3).
func isValidation(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol
}

// HTTPChallenge returns what a directory wants to read at a path of a host, over
// plain HTTP on port 80; ok is false if it is no path of a challenge that is under
// way. The host may have a port. Answer with the status 200, and any media type.
func (k *Keeper) HTTPChallenge(host, path string) (body []byte, ok bool) {
	token, found := strings.CutPrefix(path, challengePath)
	s := k.now.Load()
	if !found || token == "" || s.acme == nil {
		return nil, false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	c, found := k.challenges.get(s.acme, plainName(host))
	if !found || c.Type != acme.ChallengeTypeHTTP01 || c.Token != token {
		return nil, false
	}
	return []byte(c.KeyAuthorization), true
}

// challenges are those under way, one for a domain at most. They are looked up in
// memory, and then in the storage: another process may have begun them.
type challenges struct {
	mu      sync.Mutex
	pending map[string]acme.Challenge // by domain
}

// get returns the challenge for a domain.
func (c *challenges) get(a *ACME, domain string) (acme.Challenge, bool) {
	c.mu.Lock()
	challenge, found := c.pending[domain]
	c.mu.Unlock()
	if found {
		return challenge, true
	}
	if !slices.Contains(a.Domains, domain) {
		return acme.Challenge{}, false // A stranger's word does not get as far as a path.
	}
	files := certmagic.FileStorage{Path: a.Storage}
	key := a.challengeKey(domain)
	info, err := files.Stat(context.Background(), key)
	if err != nil || time.Since(info.Modified) > staleChallenge {
		return acme.Challenge{}, false
	}
	data, err := files.Load(context.Background(), key)
	if err != nil || json.Unmarshal(data, &challenge) != nil {
		return acme.Challenge{}, false
	}
	return challenge, true
}

// config returns the settings for a directory that looks at the challenge for a
// name, nil if there is none. It has no certificate to show; so none is demanded,
// and none of its connections can be resumed as another.
func (c *challenges) config(a *ACME, name string) *tls.Config {
	challenge, found := c.get(a, plainName(name))
	if !found || challenge.Type != acme.ChallengeTypeTLSALPN01 {
		return nil
	}
	cert, err := acmez.TLSALPN01ChallengeCert(challenge)
	if err != nil {
		return nil
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{*cert},
		NextProtos:             []string{challengeProtocol},
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           suites,
		SessionTicketsDisabled: true,
	}
}

// challengeKey is where a challenge for a domain is stored.
func (a *ACME) challengeKey(domain string) string {
	return path.Join("acme", certmagic.StorageKeys.Safe(a.issuerKey()), "challenge_tokens", certmagic.StorageKeys.Safe(domain)+".json")
}

// solver puts up a challenge and takes it down. It implements [acmez.Solver].
type solver struct {
	challenges *challenges
	options    *ACME
	files      *storage
}

// Present implements [acmez.Solver].
func (s solver) Present(ctx context.Context, challenge acme.Challenge) error {
	data, err := json.Marshal(challenge)
	if err != nil {
		return err
	}
	domain := challenge.Identifier.Value
	if err := s.files.Store(ctx, s.options.challengeKey(domain), data); err != nil {
		return fmt.Errorf("store challenge: %w", err)
	}
	s.challenges.mu.Lock()
	defer s.challenges.mu.Unlock()
	if s.challenges.pending == nil {
		s.challenges.pending = map[string]acme.Challenge{}
	}
	s.challenges.pending[domain] = challenge
	return nil
}

// CleanUp implements [acmez.Solver].
func (s solver) CleanUp(ctx context.Context, challenge acme.Challenge) error {
	domain := challenge.Identifier.Value
	s.challenges.mu.Lock()
	delete(s.challenges.pending, domain)
	s.challenges.mu.Unlock()
	return s.files.Delete(ctx, s.options.challengeKey(domain))
}
