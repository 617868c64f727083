package fanout

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pointsman/pointsman/internal/azure"
)

const (
	maxPath  = 8 << 10 // bytes
	maxGroup = 1024    // characters
	maxName  = 1024    // characters of a user, a connection, a stream
)

// Call is a request that was found in the [Table].
type Call struct {
	Row
	// Path is the escaped path as it was sent.
	RawPath string
	// Hub, Group, User and ConnectionID are what stands in the path, unescaped; "" where the row has none.
	Hub, Group, User, ConnectionID string
}

// MatchError says why a request is no call. [Refuse] makes the answer.
type MatchError struct {
	Status int      // 404 unknown path, 405 unknown method, 400 a bad name in the path
	Allow  []string // with 405
	Target string   // with 400: what is at fault, such as "hub"
	text   string
}

// Error tells what is wrong without quoting the path.
func (e *MatchError) Error() string { return e.text }

// Match finds a request in the table of a service. path is escaped and without the query. The error is a [*MatchError]. A path
// whose names cannot be told apart from other paths by every server in the same way (escaped NUL, ".." and the like) is refused.
func Match(s azure.Service, method, path string) (Call, error) {
	if len(path) > maxPath {
		return Call{}, &MatchError{Status: http.StatusRequestURITooLong, text: "the path is too long"}
	}
	if !clean(path) {
		return Call{}, &MatchError{Status: http.StatusBadRequest, Target: "path", text: "the path holds a character that must be escaped"}
	}
	segments, err := unescaped(path)
	if err != nil {
		return Call{}, &MatchError{Status: http.StatusBadRequest, Target: "path", text: err.Error()}
	}
	var allow []string
	for _, p := range patterns[s] {
		if !p.fits(segments) {
			continue
		}
		if p.row.Method != method {
			allow = append(allow, p.row.Method)
			continue
		}
		return p.call(path, segments)
	}
	if allow != nil {
		return Call{}, &MatchError{Status: http.StatusMethodNotAllowed, Allow: allow, text: "the method is not known here"}
	}
	return Call{}, &MatchError{Status: http.StatusNotFound, text: "there is no such call"}
}

// pattern is a row with its path taken apart.
type pattern struct {
	row   Row
	parts []string
}

// patterns are those of all rows. No two rows with the same method fit the same path.
var patterns = map[azure.Service][]pattern{
	azure.WebPubSub: compile(azure.WebPubSub),
	azure.SignalR:   compile(azure.SignalR),
}

func compile(s azure.Service) []pattern {
	var all []pattern
	for _, row := range Table(s) {
		all = append(all, pattern{row, strings.Split(row.Path[1:], "/")})
	}
	return all
}

// variable returns the name of a part that stands for any segment.
func variable(part string) (name string, ok bool) {
	name, ok = strings.CutPrefix(part, "{")
	return strings.TrimSuffix(name, "}"), ok
}

func (p pattern) fits(segments []string) bool {
	if len(p.parts) != len(segments) {
		return false
	}
	for i, part := range p.parts {
		if _, ok := variable(part); !ok && part != segments[i] {
			return false
		}
	}
	return true
}

// call makes a call of a path that fits.
func (p pattern) call(path string, segments []string) (Call, error) {
	c := Call{Row: p.row, RawPath: path}
	for i, part := range p.parts {
		name, ok := variable(part)
		if !ok {
			continue
		}
		if err := checkName(name, segments[i]); err != nil {
			return Call{}, err
		}
		switch name {
		case "hub":
			c.Hub = segments[i]
		case "group":
			c.Group = segments[i]
		case "user":
			c.User = segments[i]
		case "connection":
			c.ConnectionID = segments[i]
		}
	}
	return c, nil
}

// clean reports whether a piece of a request's target can be written into another request as it is.
func clean(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' })
}

// unescaped splits a path and unescapes its segments.
func unescaped(path string) ([]string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("the path does not begin with a slash")
	}
	segments := strings.Split(path[1:], "/")
	for i, escaped := range segments {
		segment, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, errors.New("the path holds a bad escape")
		}
		if !utf8.ValidString(segment) || strings.ContainsFunc(segment, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return nil, errors.New("the path holds a control character or is not UTF-8")
		}
		if segment == "." || segment == ".." {
			return nil, errors.New("the path holds a segment of dots")
		}
		segments[i] = segment
	}
	return segments, nil
}

// permissions are what there is to grant.
var permissions = []string{"sendToGroup", "joinLeaveGroup"}

// checkName checks what stands in the path for a name of the pattern.
func checkName(name, value string) error {
	bad := func(format string, args ...any) error {
		return &MatchError{Status: http.StatusBadRequest, Target: name, text: fmt.Sprintf(format, args...)}
	}
	switch name {
	case "hub":
		if azure.CheckHub(value) != nil {
			return bad("invalid value of 'hub'")
		}
	case "group":
		if strings.TrimSpace(value) == "" || utf8.RuneCountInString(value) > maxGroup {
			return bad("the name of a group is not 1 to %d characters, not all blank", maxGroup)
		}
	case "permission":
		if !slices.Contains(permissions, value) {
			return bad("the permission is not one of %s", strings.Join(permissions, ", "))
		}
	default:
		if value == "" || utf8.RuneCountInString(value) > maxName {
			return bad("the %s is not 1 to %d characters", name, maxName)
		}
	}
	return nil
}
