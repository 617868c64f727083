package azure

import (
	"errors"
	"net/url"
	"strings"
)

// TokenParameter is the parameter of the query in which browsers send the token.
const TokenParameter = "access_token"

// What is wrong with the way that a request carries its token.
var (
	ErrNoToken    = errors.New("no access token")
	ErrManyTokens = errors.New("more than one access token")
)

// FindToken returns the token of a request: from its Authorization field, whose other schemes count as no token, or from the
// parameter access_token of its query. Both may carry the same one. The error is [ErrNoToken], [ErrManyTokens] when there are
// several that differ and the upstream might take another than we have seen, or [ErrTokenTooLong].
func FindToken(authorization, rawQuery string) (string, error) {
	found := queryValues(rawQuery, TokenParameter)
	scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
		found = append(found, token)
	}
	one := ""
	for _, token := range found {
		switch {
		case len(token) > MaxToken:
			return "", ErrTokenTooLong
		case token == "" || token == one:
		case one != "":
			return "", ErrManyTokens
		default:
			one = token
		}
	}
	if one == "" {
		return "", ErrNoToken
	}
	return one, nil
}

// ReplaceToken returns rawQuery with token in the place of its access tokens, or without them if token is "". Everything else stays
// as it is, byte for byte. A query that had none gets none: the token was in a header field.
func ReplaceToken(rawQuery, token string) string {
	if rawQuery == "" {
		return ""
	}
	pairs := strings.Split(rawQuery, "&")
	kept := pairs[:0]
	for _, pair := range pairs {
		key, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		if err != nil || lowerASCII(name) != TokenParameter {
			kept = append(kept, pair)
			continue
		}
		if token != "" {
			kept = append(kept, TokenParameter+"="+url.QueryEscape(token))
			token = ""
		}
	}
	return strings.Join(kept, "&")
}
