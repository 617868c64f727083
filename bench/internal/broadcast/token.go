package broadcast

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// lifetime is that of a token, as the SDKs make them.
const lifetime = time.Hour

// audience is what a token must be for: the URL of the call at a host, without the query.
func audience(host string) string { return "http://" + host + Path }

// Sign makes the token of a call to host (IPv4 address and port), as the SDKs do: for an hour, in whole seconds.
func Sign(key, host string, now time.Time) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": audience(host), "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}).SignedString([]byte(key))
	if err != nil {
		return "", fmt.Errorf("sign token for %s: %w", host, err)
	}
	return token, nil
}

// Verify is an error unless token is one for the call at host, signed with key.
func Verify(token, key, host string) error {
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(key), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithAudience(audience(host)), jwt.WithExpirationRequired())
	return err
}
