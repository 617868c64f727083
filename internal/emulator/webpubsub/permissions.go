package webpubsub

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// A permission is one of the two things that clients may be allowed to do.
type permission string

const (
	joinLeaveGroup permission = "joinLeaveGroup"
	sendToGroup    permission = "sendToGroup"
)

const rolePrefix = "webpubsub."

// maxGrants bounds what one connection can be granted.
const maxGrants = 1000

var errManyGrants = errors.New("as many permissions as one connection can have")

// grants is what a connection may do with one permission.
type grants struct {
	all      bool // any group
	groups   map[string]struct{}
	patterns []string
}

// permissions are those of one connection. The zero value allows nothing. All
// methods may be called concurrently.
type permissions struct {
	mu sync.Mutex
	of map[permission]*grants
}

// addRoles adds what the roles of a token or of an app server's answer say.
// Roles that are not known mean nothing.
func (p *permissions) addRoles(roles []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, role := range roles {
		name, ok := strings.CutPrefix(role, rolePrefix)
		if !ok {
			continue
		}
		for _, which := range []permission{joinLeaveGroup, sendToGroup} {
			g := p.grantsLocked(which)
			if g.full() {
				continue
			}
			if name == string(which) {
				g.all = true
			} else if pattern, ok := strings.CutPrefix(name, string(which)+"s."); ok {
				g.patterns = append(g.patterns, pattern)
			} else if group, ok := strings.CutPrefix(name, string(which)+"."); ok {
				g.groups[group] = struct{}{}
			}
		}
	}
}

// grant allows it for a group, or for all if that is "".
func (p *permissions) grant(which permission, group string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.grantsLocked(which)
	switch {
	case group == "":
		g.all = true
	case g.full():
		return errManyGrants
	default:
		g.groups[group] = struct{}{}
	}
	return nil
}

// revoke takes back what was granted for a group, or for all if that is "". A
// permission for all still covers each group.
func (p *permissions) revoke(which permission, group string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.grantsLocked(which)
	if group == "" {
		g.all = false
		return
	}
	delete(g.groups, group)
}

// allows reports whether it is allowed for a group, or for all if that is "".
func (p *permissions) allows(which permission, group string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.grantsLocked(which)
	if g.all {
		return true
	}
	if group == "" {
		return false
	}
	_, ok := g.groups[group]
	return ok || slices.ContainsFunc(g.patterns, func(pattern string) bool { return matches(pattern, group) })
}

func (p *permissions) grantsLocked(which permission) *grants {
	if p.of == nil {
		p.of = make(map[permission]*grants)
	}
	if p.of[which] == nil {
		p.of[which] = &grants{groups: make(map[string]struct{})}
	}
	return p.of[which]
}

func (g *grants) full() bool { return len(g.groups)+len(g.patterns) >= maxGrants }

// matches compares a group with a pattern: "*" is any run of characters without
// a dot, "**" any run at all, "?" one character that is no dot. It fills one
// row of a table per piece of the pattern, so no pattern takes long.
func matches(pattern, group string) bool {
	text := []rune(group)
	// at[i] tells whether the pieces so far match text[:i].
	at := make([]bool, len(text)+1)
	at[0] = true
	for rest := []rune(pattern); len(rest) > 0; {
		piece := rest[0]
		rest = rest[1:]
		next := make([]bool, len(text)+1)
		if piece == '*' {
			across := len(rest) > 0 && rest[0] == '*'
			if across {
				rest = rest[1:]
			}
			for i := range next {
				next[i] = at[i] || i > 0 && next[i-1] && (across || text[i-1] != '.')
			}
		} else {
			for i, c := range text {
				next[i+1] = at[i] && (c == piece || piece == '?' && c != '.')
			}
		}
		at = next
	}
	return at[len(text)]
}
