package proxy

import (
	"errors"
	"fmt"

	"github.com/pointsman/pointsman/pool"
)

func (a *Affinity) check(service bool) error {
	switch {
	case a.By > AffinityByUser:
		return fmt.Errorf("affinity %d is not known", a.By)
	case (a.By == AffinityByHeader || a.By == AffinityByQuery) && a.Name == "":
		return errors.New("affinity: the name of the header field or parameter is missing")
	case a.By == AffinityByUser && !service:
		return errors.New("affinity: there are no users without a service, whose tokens name them")
	}
	return nil
}

// affinity is what the router is told to keep c by; "" if there is nothing.
func (c *clientConn) affinity(query string) string {
	switch a := &c.route.Affinity; a.By {
	case AffinityByClient:
		if client := c.address(); client.IsValid() {
			return client.WithZone("").String()
		}
	case AffinityByHeader:
		return field(&c.request, a.Name)
	case AffinityByQuery:
		value, _ := pool.QueryValue(query, a.Name)
		return value
	case AffinityByUser:
		return c.ticket.user()
	}
	return ""
}

// hasRequired reports whether a query has what the route's router goes by.
func (r *Route) hasRequired(query []byte) bool {
	if r.RequireQuery == "" {
		return true
	}
	_, ok := pool.QueryValue(string(query), r.RequireQuery)
	return ok
}
