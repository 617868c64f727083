package negotiate

import (
	"net/http"
	"slices"
)

// corsHeaders are the header fields that the clients send across origins.
const corsHeaders = "authorization, content-type, x-requested-with, x-signalr-user-agent"

// anyOrigin in a list of origins admits every one.
const anyOrigin = "*"

// crossOrigin answers what concerns origins alone: a preflight request, and one from an origin that is not admitted. Browsers send
// credentials with a negotiation, so the answer must name their very origin.
func (n *Negotiator) crossOrigin(r Request, methods string) (Answer, bool) {
	admitted := n.admits(r.Origin)
	switch {
	case r.Origin != "" && len(n.o.Origins) > 0 && !admitted:
		return text(http.StatusForbidden, "Origin not allowed", [2]string{"Vary", "Origin"}), true
	case r.Method == http.MethodOptions && admitted && r.AskedMethod != "":
		return Answer{Status: http.StatusNoContent, Fields: [][2]string{
			{"Access-Control-Allow-Origin", r.Origin}, {"Access-Control-Allow-Credentials", "true"},
			{"Access-Control-Allow-Methods", methods}, {"Access-Control-Allow-Headers", corsHeaders},
			{"Access-Control-Max-Age", "600"}, {"Vary", "Origin"},
		}}, true
	}
	return Answer{}, false
}

// admits reports whether origin is one that answers may be read from.
func (n *Negotiator) admits(origin string) bool {
	if n.o.Admits != nil && len(n.o.Origins) > 0 {
		return origin != "" && n.o.Admits(origin)
	}
	return origin != "" && (slices.Contains(n.o.Origins, origin) || slices.Contains(n.o.Origins, anyOrigin))
}

// readable lets a page of an admitted origin read the answer.
func (n *Negotiator) readable(r Request, a Answer) Answer {
	if len(n.o.Origins) == 0 {
		return a
	}
	if n.admits(r.Origin) {
		a.Fields = append(a.Fields, [2]string{"Access-Control-Allow-Origin", r.Origin},
			[2]string{"Access-Control-Allow-Credentials", "true"})
	}
	a.Fields = append(a.Fields, [2]string{"Vary", "Origin"})
	return a
}
