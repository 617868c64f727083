package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
)

// YAML returns the configuration as a file that says every key, so that Parse
// of it gives an equal Config. A token is hidden, and so are access keys and
// connection strings; Parse refuses most of what stands in their place. Those
// from files are not there at all, only the names of the files.
// User information and queries of URLs are hidden too; a Config from this
// package has none.
func (c *Config) YAML() string {
	var b strings.Builder
	writeFields(&b, "", configKeys(), c)
	return b.String()
}

// writeFields writes the keys of t, section by section. Keys of one section
// stand together in the table.
func writeFields[T any](w *strings.Builder, indent string, keys []field[T], t *T) {
	var open []string // The sections that the last key stands in.
	for _, f := range keys {
		if f.omit != nil && f.omit(t) {
			continue
		}
		path := strings.Split(f.name, ".")
		within, name := path[:len(path)-1], path[len(path)-1]
		at, same := indent, true
		for i, section := range within {
			if same = same && i < len(open) && open[i] == section; !same {
				fmt.Fprintf(w, "%s%s:\n", at, section)
			}
			at += "  "
		}
		open = within
		if f.write != nil {
			f.write(w, at, t)
			continue
		}
		fmt.Fprintf(w, "%s%s: %s\n", at, name, f.get(t))
	}
}

// Warnings returns what is allowed but probably not meant, one sentence each;
// empty when there is nothing to say.
func (c *Config) Warnings() []string {
	var out []string
	roles := make(map[Role]int)
	for _, u := range c.Upstreams {
		roles[u.Role]++
	}
	if roles[RolePrimary] == 0 {
		out = append(out, "no upstream is primary: every session goes to a secondary")
	}
	if roles[RoleSecondary] == 0 {
		out = append(out, "no upstream is secondary: when no primary is healthy, clients are refused")
	}
	for _, u := range c.Upstreams {
		used := slices.ContainsFunc(c.Routes, func(r Route) bool { return slices.Contains(r.Upstreams, u.Name) })
		if !used {
			out = append(out, fmt.Sprintf("upstream %s is in no route: it is probed but gets no session", u.Name))
		}
	}
	for _, u := range c.Upstreams {
		if warning := u.dialing(nil).Warning(); warning != "" {
			out = append(out, fmt.Sprintf("upstream %s: %s", u.Name, warning))
		}
	}
	out = append(out, c.LeftOut...)
	if c.Health.OnDemand && !slices.ContainsFunc(c.Routes, func(r Route) bool { return r.hosted(c) }) {
		out = append(out, "health.on_demand is for negotiations, and no route answers any: it does nothing")
	}
	for i := range c.Routes {
		out = append(out, c.Routes[i].warnings(fmt.Sprintf("routes[%d]", i))...)
	}
	for _, n := range c.Forwarded.Trusted {
		if n.Bits() == 0 {
			out = append(out, fmt.Sprintf("forwarded.trusted holds %s: every client can say that it is another", n))
		}
	}
	if c.Admin.exposed() && c.Admin.Token == "" {
		out = append(out, fmt.Sprintf("admin listens on %s, beyond loopback, without a token: control is refused there", c.Admin.Address))
	}
	return out
}

// warnings returns what is allowed about a route but probably not meant.
func (r *Route) warnings(path string) []string {
	var out []string
	for i, text := range r.AccessKeys {
		if key, err := azure.ParseKey(string(text)); err == nil && key.Short() {
			out = append(out, fmt.Sprintf("%s: access key %d has fewer than %d bytes: it can be guessed sooner than the signatures that it makes", path, i+1, azure.ShortKey))
		}
	}
	if r.forAzure() && r.Negotiate.Open && r.Negotiate.UserFromQuery {
		out = append(out, path+" negotiates with everybody (open) and takes the user id from the query (user_from_query): whoever reaches it can be any user")
	}
	return out
}

// quote writes a string in YAML's double quotes.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
