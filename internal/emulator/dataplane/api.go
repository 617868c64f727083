package dataplane

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pointsman/pointsman/internal/azure"
)

// maxGroup is the longest name of a group, in characters.
const maxGroup = 1024

// A Route is one call of an API.
type Route struct {
	Method string
	// Path is the path with names in braces for what may stand there. {hub} and
	// {group} must be what hubs and groups can be called, anything else must not
	// be empty.
	Path string
	// Versions are the values of api-version that have the call. None means that
	// the call takes no api-version.
	Versions []string
	// Do carries the call out. It answers, or returns why not, which a [Problem]
	// becomes the answer of.
	Do func(http.ResponseWriter, *Call) error
}

// A Call is a request for a route, checked as package dataplane promises.
type Call struct {
	*http.Request
	// Query holds the parameters, which were well-formed.
	Query url.Values
	// At is where the call was sent to; zero if the Host field names no host.
	At azure.Base

	names map[string]string
}

// Name returns what stands for the braces in the path, unescaped.
func (c *Call) Name(braces string) string { return c.names[braces] }

// An API answers the calls of a table. It may be used concurrently.
type API struct {
	service azure.Service
	guard   *Guard
	routes  []route
}

type route struct {
	Route
	segments []string
}

// NewAPI returns the API of a service.
func NewAPI(s azure.Service, g *Guard, table []Route) *API {
	a := &API{service: s, guard: g}
	for _, r := range table {
		a.routes = append(a.routes, route{r, strings.Split(r.Path, "/")})
	}
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.serve(w, r); err != nil {
		problemOf(err).Write(w)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	found, names, methods := a.find(r.Method, path)
	switch {
	case len(methods) == 0:
		return NotFound("NotFound", "There is no such call.")
	case found == nil:
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return &Problem{http.StatusMethodNotAllowed, "MethodNotAllowed", "The call has another method."}
	}
	if _, err := a.guard.Token(r, azure.RESTResource(a.service, path)); err != nil {
		return Refused(err)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return BadRequest("The query is malformed.")
	}
	if err := found.checkVersion(query["api-version"]); err != nil {
		return err
	}
	for name, text := range names {
		if err := checkName(name, text); err != nil {
			return err
		}
	}
	return found.Do(w, &Call{Request: r, Query: query, At: At(r), names: names})
}

// find returns the route for a request, what stands for its braces, and the
// methods of all routes that have the path.
func (a *API) find(method, path string) (found *route, names map[string]string, methods []string) {
	segments := strings.Split(path, "/")
	for i := range a.routes {
		r := &a.routes[i]
		bound, ok := match(r.segments, segments)
		if !ok {
			continue
		}
		methods = append(methods, r.Method)
		if r.Method == method && found == nil {
			found, names = r, bound
		}
	}
	return found, names, methods
}

// match compares segment by segment, so that an escaped slash is no slash. A
// colon in a literal segment may come escaped: some tools do that.
func match(pattern, segments []string) (names map[string]string, ok bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	names = make(map[string]string)
	for i, want := range pattern {
		text, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, false
		}
		if strings.HasPrefix(want, "{") {
			names[strings.Trim(want, "{}")] = text
			continue
		}
		if text != want {
			return nil, false
		}
	}
	return names, true
}

func (r *route) checkVersion(given []string) error {
	if len(r.Versions) == 0 {
		return nil
	}
	if len(given) == 1 && slices.Contains(r.Versions, given[0]) {
		return nil
	}
	p := BadRequest("The query needs one api-version; this call knows %s.", strings.Join(r.Versions, ", "))
	p.Code = "UnsupportedApiVersion"
	return p
}

func checkName(name, text string) error {
	switch name {
	case "hub":
		if azure.CheckHub(text) != nil {
			return BadRequest("Invalid value of 'hub': a letter, then up to 127 letters, digits or any of _`,.[].")
		}
	case "group":
		return CheckGroup(text)
	default:
		if text == "" || !utf8.ValidString(text) {
			return BadRequest("Invalid value of '%s'.", name)
		}
	}
	return nil
}

// CheckGroup checks the name of a group: 1 to 1024 characters that are not all
// blank, valid UTF-8. The error is a [Problem].
func CheckGroup(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxGroup || strings.TrimSpace(name) == "" {
		return BadRequest("Invalid value of 'group': 1 to %d characters, not all of them blank.", maxGroup)
	}
	return nil
}
