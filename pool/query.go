package pool

import (
	"net/url"
	"strings"
)

// Query returns the [Router] that lets clients name their upstream: in the query parameter with that name, which is matched exactly, and
// so is the upstream's name. Without the parameter, or when the one that it names is unknown or not a candidate, otherwise decides.
func Query(parameter string, otherwise Router) Router {
	return func(r Request, candidates []*Upstream) *Upstream {
		if name, ok := QueryValue(r.Query, parameter); ok {
			for _, u := range candidates {
				if u.name == name {
					return u
				}
			}
		}
		return otherwise(r, candidates)
	}
}

// QueryValue returns the first value of a parameter in a query as it was sent, and whether there is one that is not empty. Both are
// unescaped; what cannot be is no match.
func QueryValue(query, parameter string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if plain, ok := unescaped(name); !ok || plain != parameter {
			continue
		}
		value, ok := unescaped(value)
		return value, ok && value != ""
	}
	return "", false
}

// unescaped allocates only if there is something to unescape.
func unescaped(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	plain, err := url.QueryUnescape(s)
	return plain, err == nil
}
