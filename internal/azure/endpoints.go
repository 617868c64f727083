package azure

import (
	"errors"
	"fmt"
	"slices"
)

// Endpoint is one instance as an application's settings name it.
type Endpoint struct {
	Service Service
	// Name is for people and routing; "" if it has none.
	Name string
	Role Role
	// Connection is where it is and how it is spoken to.
	Connection ConnectionString
	// Source says where it was given, for messages: the name of a variable, a key of a file.
	Source string
}

// String prints an endpoint as the SDKs do: "[name](primary)https://host".
func (e Endpoint) String() string {
	return fmt.Sprintf("[%s](%v)%s", e.Name, e.Role, e.address())
}

// address is what two endpoints have in common that are the same instance.
func (e Endpoint) address() string { return e.Connection.Endpoint.Origin() }

// same is equality as the SDKs have it: the key does not count.
func (e Endpoint) same(f Endpoint) bool {
	return e.Service == f.Service && e.Name == f.Name && e.Role == f.Role && e.Connection.Endpoint == f.Connection.Endpoint &&
		e.Connection.ClientEndpoint == f.Connection.ClientEndpoint && e.Connection.ServerEndpoint == f.Connection.ServerEndpoint
}

// Dropped is an endpoint that [Reduce] has left out, and the one at the same address that stays.
type Dropped struct{ Endpoint, Winner Endpoint }

// String is a sentence for a warning.
func (d Dropped) String() string {
	return fmt.Sprintf("%v from %s is left out: %v from %s has the same address", d.Endpoint, d.Endpoint.Source, d.Winner,
		d.Winner.Source)
}

// What is wrong with a list of endpoints as a whole.
var (
	ErrNoEndpoint = errors.New("no connection string was specified")
	ErrNoPrimary  = errors.New("no primary endpoint defined; at least one needs the role primary, which is the default")
)

// Reduce applies the rules of the SDKs to the endpoints of one service. Identical entries are collapsed in silence. Of those with
// the same address one is kept, the first primary among them or else the first, at the place of the first; the others are returned
// as dropped. The error is [ErrNoEndpoint] or [ErrNoPrimary]; what was kept and dropped is returned with it.
func Reduce(list []Endpoint) (kept []Endpoint, dropped []Dropped, err error) {
	for i, e := range list {
		if slices.ContainsFunc(list[:i], e.same) {
			continue
		}
		at := slices.IndexFunc(kept, func(f Endpoint) bool { return f.address() == e.address() })
		switch {
		case at < 0:
			kept = append(kept, e)
		case kept[at].Role == Secondary && e.Role == Primary:
			for j := range dropped { // they have lost to the new one as well
				if dropped[j].Winner.same(kept[at]) {
					dropped[j].Winner = e
				}
			}
			dropped = append(dropped, Dropped{kept[at], e})
			kept[at] = e
		default:
			dropped = append(dropped, Dropped{e, kept[at]})
		}
	}
	switch {
	case len(kept) == 0:
		err = ErrNoEndpoint
	case !slices.ContainsFunc(kept, func(e Endpoint) bool { return e.Role == Primary }):
		err = ErrNoPrimary
	}
	return kept, dropped, err
}
