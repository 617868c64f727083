package proxy

import (
	"net/url"
	"strings"

	"github.com/pointsman/pointsman/pool"
)

// parameter returns the first value of a parameter of a raw query.
func parameter(query, name string) (string, bool) { return pool.QueryValue(query, name) }

// withoutParameter returns a raw query without a parameter; all else stays byte
// for byte.
func withoutParameter(query, name string) string {
	return eachParameter(query, name, func() string { return "" })
}

// replaceParameter returns a raw query with another value for a parameter.
func replaceParameter(query, name, value string) string {
	return eachParameter(query, name, func() string { return name + "=" + url.QueryEscape(value) })
}

// eachParameter puts what with returns in the place of the pairs of that name, or
// leaves them out.
func eachParameter(query, name string, with func() string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil && plain == name {
			if pair = with(); pair == "" {
				continue
			}
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}
