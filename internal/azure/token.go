package azure

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxToken is the longest token that is looked at, in bytes. The service's own limits leave room for less: 12 KiB for a URL.
	MaxToken = 12 << 10
	// MaxClientToken is the longest token that SignalR takes from a client, in characters; the SDK refuses to make longer ones (413).
	MaxClientToken = 4096
	// Leeway is by how much clocks may differ: a token is taken that long after it has expired, and before it is valid.
	Leeway = 30 * time.Second
	// DefaultLifetime is the lifetime of tokens that the SDKs make.
	DefaultLifetime = time.Hour
)

// Why a token is not taken. A client is told none of it but [ErrTokenTooLong]: all others are the same 401.
var (
	ErrTokenTooLong   = errors.New("access token is too long")
	ErrTokenMalformed = errors.New("access token is malformed")
	ErrTokenAlgorithm = errors.New("access token is not signed with HS256")
	ErrTokenSignature = errors.New("access token is not signed with a known key")
	ErrTokenExpired   = errors.New("access token has expired")
	ErrTokenNotYet    = errors.New("access token is not valid yet")
	ErrTokenAudience  = errors.New("access token is for something else")
)

// lastSecond is the end of the year 9999; some parsers on the other side know no later time.
const lastSecond = 253402300799

// Mint signs claims with HS256. The header holds nothing else: a key id is not needed by either service. The only error is that of
// no key.
func Mint(key Key, claims *Claims) (string, error) {
	if key.IsZero() {
		return "", errors.New("mint token: no access key")
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, &jwtClaims{claims}).SignedString(key.bytes())
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err) // the library speaks of types only
	}
	return token, nil
}

// Token is an access token that was verified. It never changes and may be used concurrently.
type Token struct {
	issuer    string
	claims    *Claims
	expires   time.Time
	notBefore time.Time // zero if there is none
}

// Issuer returns the name of the issuer whose key has signed the token.
func (t *Token) Issuer() string { return t.issuer }

// Claims returns what the token says. It is shared: do not change it.
func (t *Token) Claims() *Claims { return t.claims }

// Expires returns when the token expires. It is not checked again by itself.
func (t *Token) Expires() time.Time { return t.expires }

// Mint returns a token that says the same for another audience, signed with key. The times are those of t. The error is that of
// [Mint].
func (t *Token) Mint(key Key, audience string) (string, error) {
	c := t.claims.clone()
	c.SetString(ClaimAudience, audience)
	return Mint(key, c)
}

// valid checks the times.
func (t *Token) valid(now time.Time) error {
	switch {
	case !now.Before(t.expires.Add(Leeway)):
		return ErrTokenExpired
	case now.Add(Leeway).Before(t.notBefore):
		return ErrTokenNotYet
	}
	return nil
}

// instant reads a time claim: seconds since 1970, also with a fraction (RFC 7519 §2).
func (c *Claims) instant(name string) (t time.Time, given bool, err error) {
	raw := c.Raw(name)
	if raw == nil {
		return time.Time{}, false, nil
	}
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil || string(raw) == "null" || seconds < 0 || seconds > lastSecond {
		return time.Time{}, false, ErrTokenMalformed
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}

// jwtClaims lets the library encode and decode claims. What it could ask about them is checked elsewhere, so that a cached token
// goes the same way as a new one.
type jwtClaims struct{ *Claims }

func (*jwtClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (*jwtClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (*jwtClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (*jwtClaims) GetIssuer() (string, error)                   { return "", nil }
func (*jwtClaims) GetSubject() (string, error)                  { return "", nil }
func (*jwtClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
