package azure

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// DefaultCached is how many verified tokens a [Verifier] remembers unless told otherwise.
	DefaultCached = 4096
	// maxCachedToken is the length up to which a token is worth to be remembered. It bounds the memory of the cache: what a token
	// says is shorter than the token.
	maxCachedToken = 4 << 10

	maxIssuerKeys = 4
)

// Issuer is one whose keys may have signed a token: a route of this router, or an upstream.
type Issuer struct {
	// Name is what [Token.Issuer] returns; unique among the issuers of a verifier.
	Name string
	// Keys are the keys, 1 to 4; two is what rotation needs. Their order does not matter.
	Keys []Key
	// Bases are the endpoints that its tokens may be for. None means whatever endpoint the request was sent to, as the request has
	// it.
	Bases []Base
}

// Issuer returns the issuer that the owners of a connection string are, whose tokens are for its Endpoint.
func (c ConnectionString) Issuer(name string) Issuer {
	return Issuer{Name: name, Keys: []Key{c.Key}, Bases: []Base{c.Endpoint}}
}

// VerifierOptions configures a [Verifier].
type VerifierOptions struct {
	// Issuers are tried in this order; one at least.
	Issuers []Issuer
	// Cached is how many verified tokens are remembered until they expire. 0 means [DefaultCached], below 0 none.
	Cached int
}

// Verifier verifies access tokens. It remembers those that it has taken by their SHA-256, so that no token is kept in clear. All methods
// may be called concurrently.
type Verifier struct {
	issuers []Issuer
	parser  *jwt.Parser
	cache   *lru.Cache[[sha256.Size]byte, *signed] // nil without a cache
}

// signed is what was found out about a token once: it does not depend on the time, nor on the request.
type signed struct {
	tokens    []*Token // the same token, once for each issuer that may have signed it
	bases     [][]Base // of the issuers
	audiences []string
}

// NewVerifier makes a verifier. It reports all mistakes in o together and starts nothing.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Issuers) == 0 {
		bad("no issuers")
	}
	names := make(map[string]bool)
	v := &Verifier{parser: jwt.NewParser(jwt.WithStrictDecoding())}
	for _, i := range o.Issuers {
		if names[i.Name] {
			bad("issuer %q is given twice", i.Name)
		}
		names[i.Name] = true
		if n := len(i.Keys); n < 1 || n > maxIssuerKeys {
			bad("issuer %q has %d keys, not 1 to %d", i.Name, n, maxIssuerKeys)
		}
		if slices.ContainsFunc(i.Keys, Key.IsZero) {
			bad("issuer %q has an empty key", i.Name)
		}
		if slices.ContainsFunc(i.Bases, Base.IsZero) {
			bad("issuer %q has an empty base", i.Name)
		}
		i.Keys, i.Bases = slices.Clone(i.Keys), slices.Clone(i.Bases)
		v.issuers = append(v.issuers, i)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("token verifier: %w", err)
	}
	if o.Cached >= 0 {
		size := o.Cached
		if size == 0 {
			size = DefaultCached
		}
		cache, err := lru.New[[sha256.Size]byte, *signed](size)
		if err != nil {
			return nil, fmt.Errorf("token verifier: %w", err)
		}
		v.cache = cache
	}
	return v, nil
}

// Verify verifies a token for resource. at is where the request was sent to: its scheme and Host field, as the client sees them; it
// counts for issuers without bases. Checked are the length, HS256, the signature with each key of each issuer, exp (which must be
// there) and nbf within [Leeway], and the audience (one of several is enough, see [Resource.Accepts]).
//
// The error is one of ErrToken…; none of them tells what the token says.
func (v *Verifier) Verify(token string, at Base, resource Resource) (*Token, error) {
	if len(token) > MaxToken {
		return nil, ErrTokenTooLong
	}
	sum := sha256.Sum256([]byte(token))
	s, known := v.recall(sum)
	if !known {
		var err error
		if s, err = v.inspect(token); err != nil {
			return nil, err
		}
	}
	if err := s.tokens[0].valid(time.Now()); err != nil {
		if known && err == ErrTokenExpired {
			v.cache.Remove(sum)
		}
		return nil, err
	}
	for i, t := range s.tokens {
		bases := s.bases[i]
		if len(bases) == 0 && !at.IsZero() {
			bases = []Base{at}
		}
		for _, base := range bases {
			if slices.ContainsFunc(s.audiences, func(a string) bool { return resource.Accepts(a, base) }) {
				if !known && v.cache != nil && len(token) <= maxCachedToken { // who is not let in takes no place
					v.cache.Add(sum, s)
				}
				return t, nil
			}
		}
	}
	return nil, ErrTokenAudience
}

// Cached returns how many tokens are remembered, those included that have expired and were not asked about since.
func (v *Verifier) Cached() int {
	if v.cache == nil {
		return 0
	}
	return v.cache.Len()
}

// recall returns what was found out about a token that is remembered.
func (v *Verifier) recall(sum [sha256.Size]byte) (*signed, bool) {
	if v.cache == nil {
		return nil, false
	}
	return v.cache.Get(sum)
}

// inspect reads a token and finds out who has signed it.
func (v *Verifier) inspect(token string) (*signed, error) {
	claims := new(Claims)
	parsed, parts, err := v.parser.ParseUnverified(token, &jwtClaims{claims})
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable): // an alg that the library has never heard of, or none
		return nil, ErrTokenAlgorithm
	case err != nil:
		return nil, ErrTokenMalformed // the cause may quote the token
	case parsed.Method != jwt.SigningMethodHS256:
		return nil, ErrTokenAlgorithm
	}
	if _, critical := parsed.Header["crit"]; critical {
		return nil, ErrTokenMalformed // RFC 7515 §4.1.11: what is not understood must be refused
	}
	by := v.signers(parts[0]+"."+parts[1], parsed.Signature)
	if len(by) == 0 {
		return nil, ErrTokenSignature
	}
	expires, given, err := claims.instant(ClaimExpires)
	if err != nil || !given {
		return nil, ErrTokenMalformed
	}
	notBefore, _, err := claims.instant(ClaimNotBefore)
	if err != nil {
		return nil, ErrTokenMalformed
	}
	s := &signed{audiences: claims.Strings(ClaimAudience)}
	for _, i := range by {
		s.tokens = append(s.tokens, &Token{issuer: i.Name, claims: claims, expires: expires, notBefore: notBefore})
		s.bases = append(s.bases, i.Bases)
	}
	return s, nil
}

// signers returns the issuers with a key that gives this signature. The library compares in constant time.
func (v *Verifier) signers(text string, signature []byte) []Issuer {
	var by []Issuer
	for _, i := range v.issuers {
		for _, key := range i.Keys {
			if jwt.SigningMethodHS256.Verify(text, signature, key.bytes()) == nil {
				by = append(by, i)
				break
			}
		}
	}
	return by
}
