package config

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/pointsman/pointsman/proxy"
)

func routers() []option[Router] {
	return words(RouterPriority, RouterWeighted, RouterLeastSessions, RouterHash, RouterQuery)
}

const routersDoc = "`priority`, or `weighted`, which is the same: primaries before secondaries, then by weight and, where there is `max_sessions`, by what is free of it. `least-sessions`: primaries before secondaries, then the fewest open sessions for the weight; better when sessions differ much in length. `hash`: primaries before secondaries, and each client stays with the same one while that is healthy; see `hash` of a route. `query`: the one that the client names, otherwise as `priority`; see `query` of a route."

// routerKeys are the settings of routers.
func routerKeys() []field[Route] {
	by := choice("hash.by", words(HashByClient, HashByUser, HashByHeader, HashByQuery),
		"What keeps a client where it is, with `router: hash`. `client`: its address. `user`: the user id in its token, with one of the Azure protocols. `header` and `query`: the header field or parameter of its handshake with this `name`; a client without it goes where `priority` says.",
		func(r *Route) *HashBy { return &r.Hash.By })
	name := text("hash.name", "the name of a header field or of a parameter",
		"Name of the header field, in any case of letters, or of the parameter. Only with `hash.by` being `header` or `query`.",
		func(r *Route) *string { return &r.Hash.Name }, readWord)
	name.initial = "no name"
	name.omit = func(r *Route) bool { return r.Hash.Name == "" }
	parameter := text("query.name", "the name of a parameter",
		"Parameter of a client's query that holds the name of an upstream, with `router: query`. One that is unknown or not healthy counts as none.",
		func(r *Route) *string { return &r.Query.Name }, readWord)
	strict := toggle("query.strict",
		"Refuses clients without the parameter, with 400 and `Invalid request`.",
		func(r *Route) *bool { return &r.Query.Strict })
	hashed := func(r *Route) bool { return r.Router == RouterHash }
	asked := func(r *Route) bool { return r.Router == RouterQuery }
	return []field[Route]{when(by, hashed), when(name, hashed), when(parameter, asked), when(strict, asked)}
}

// readWord checks a name that stands in the head of a request.
func readWord(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("is empty")
	case len(s) > 256:
		return "", errors.New("is too long")
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }):
		return "", errors.New("holds a blank or a character that cannot be printed")
	}
	return s, nil
}

// headerField reports whether s can be the name of a header field (RFC 9110
// section 5.1).
func headerField(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// httpKeys say what becomes of other requests than WebSocket handshakes.
func httpKeys() []field[Route] {
	pass := choice("http", []option[bool]{{"refuse", false}, {"pass", true}},
		"What becomes of requests that are no WebSocket handshakes. `refuse`: they get 426. `pass`: they go to an upstream as sessions do; for what WebSocket applications fall back to, such as server-sent events and long polling, and for their ordinary requests.",
		func(r *Route) *bool { return &r.HTTP.Pass })
	affinity := choice("pass.affinity", []option[proxy.HTTPAffinity]{
		{"id", proxy.AffinityByID}, {"cookie", proxy.AffinityByCookie}, {"none", proxy.WithoutAffinity},
	},
		"How the requests of one client find the same upstream, with `http: pass`. `id`: by the connection token of SignalR or the session of Engine.IO. `cookie`: by a signed cookie. `none`: they do not.",
		func(r *Route) *proxy.HTTPAffinity { return &r.HTTP.Affinity })
	cookie := text("pass.cookie", "letters, digits, - and _",
		"Name of the cookie, with `pass.affinity: cookie`.",
		func(r *Route) *string { return &r.HTTP.Cookie }, readCookie)
	answer := duration("pass.answer_timeout", shortest, day, "",
		"How long an upstream may take to begin its answer. Longer than the longest poll.",
		func(r *Route) *time.Duration { return &r.HTTP.AnswerTimeout })
	idle := duration("pass.idle_timeout", shortest, day, "",
		"How long a client's connection waits for its next request.",
		func(r *Route) *time.Duration { return &r.HTTP.IdleTimeout })
	body := duration("pass.body_timeout", shortest, day, "",
		"How long a client may send nothing within the body of a request.",
		func(r *Route) *time.Duration { return &r.HTTP.BodyTimeout })
	keys := []field[Route]{pass}
	for _, f := range []field[Route]{affinity, cookie, answer, idle, body} {
		keys = append(keys, when(f, func(r *Route) bool { return r.HTTP.Pass }))
	}
	return keys
}

func readCookie(s string) (string, error) {
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(c rune) bool { return !legal(c) }) {
		return "", errors.New("is not the name of a cookie")
	}
	return s, nil
}
