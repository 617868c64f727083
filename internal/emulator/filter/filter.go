package filter

import (
	"errors"
	"fmt"
)

const (
	// MaxLength is the longest filter in bytes. The service documents about a
	// hundred clauses; this has room for them.
	MaxLength = 16 << 10

	maxParts = 1000 // tokens
	maxDepth = 100  // parentheses, function calls and nots within each other
)

// ErrSyntax is wrapped by every error of [Parse].
var ErrSyntax = errors.New("invalid filter")

// A Subject is the connection that a filter is asked about.
type Subject struct {
	ConnectionID string
	UserID       string   // "" is null
	Protocol     string   // the subprotocol; "" is null
	Groups       []string // the groups that the connection is in
}

// A Filter is a parsed filter. The zero value matches everything.
type Filter struct{ root expression }

// Parse reads a filter. An empty text is the filter that matches everything.
// Errors wrap [ErrSyntax] and say where and why, without repeating string
// literals of the text.
func Parse(text string) (Filter, error) {
	if len(text) > MaxLength {
		return Filter{}, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrSyntax, len(text), MaxLength)
	}
	tokens, err := scan(text)
	if err != nil {
		return Filter{}, err
	}
	if len(tokens) == 1 { // the end
		return Filter{}, nil
	}
	if len(tokens) > maxParts {
		return Filter{}, fmt.Errorf("%w: more than %d parts", ErrSyntax, maxParts)
	}
	p := parser{tokens: tokens}
	root, err := p.or()
	if err != nil {
		return Filter{}, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return Filter{}, t.fault("unexpected %s", t)
	}
	if root.kind != kindBool {
		return Filter{}, fmt.Errorf("%w: the whole is %s, a bool is wanted", ErrSyntax, root.kind)
	}
	return Filter{root}, nil
}

// Matches reports whether the filter is true for the connection.
func (f Filter) Matches(s Subject) bool {
	if f.root.eval == nil {
		return true
	}
	return f.root.eval(&s).b
}
