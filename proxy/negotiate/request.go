package negotiate

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// maxQuery is the longest query that is read, in bytes. The services take no longer URL.
const maxQuery = 12 << 10

// Request is what has to be known of an HTTP request. The caller has checked that its head is well formed.
type Request struct {
	// Request is what the router of the set sees. Path is as sent, escaped; Query is without the question mark.
	pool.Request
	// Method is the method, in capitals as it must be.
	Method string
	// Base is scheme, Host field and path prefix by which the client has reached this router, as the client sees them. Answers lead
	// there with [ViaProxy], unless [Options.Public] names another place; and tokens must be for it. Zero if the Host field is no
	// host.
	Base azure.Base
	// Authorization and Origin are the header fields of these names, "" if missing.
	Authorization, Origin string
	// AskedMethod is the field Access-Control-Request-Method of a preflight request.
	AskedMethod string
}

// query is a parsed query. Names are compared without regard to case, as the services do.
type query map[string][]string

// What is wrong with a query as a whole.
var (
	errQueryLong   = errors.New("the query is too long")
	errQueryEscape = errors.New("the query holds a bad escape")
)

func parseQuery(raw string) (query, error) {
	if len(raw) > maxQuery {
		return nil, errQueryLong
	}
	q := make(query)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errQueryEscape
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, errQueryEscape
		}
		name = strings.ToLower(name)
		q[name] = append(q[name], value)
	}
	return q, nil
}

// one returns the value of a parameter that may come once, "" if it does not come.
func (q query) one(name string) (string, error) {
	values := q[strings.ToLower(name)]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", fmt.Errorf("more than one %s", name)
	}
}

// many returns the values of a parameter that may be repeated, without empty ones.
func (q query) many(name string) []string {
	var values []string
	for _, value := range q[strings.ToLower(name)] {
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

// without returns the pairs of raw whose names are none of names (in lower case), as they stand.
func without(raw string, names ...string) string {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		drop := err != nil || pair == ""
		for _, n := range names {
			drop = drop || strings.ToLower(name) == n
		}
		if !drop {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
