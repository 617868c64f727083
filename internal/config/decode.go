package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/pointsman/pointsman/internal/azure"
)

// decoder reads one configuration and remembers where each value came from, so
// that later checks can point at it.
type decoder struct {
	*report
	// origins holds the place of every key that was given, by path.
	origins map[string]origin
	// bad holds the paths whose value is unusable; its problem is reported.
	bad map[string]bool
	// speaks holds, by the name of its upstream, what each instance speaks that a
	// variable names, and variables which one that is. named holds those that are
	// not in the file.
	speaks, named map[string]azure.Service
	variables     map[string]string
}

func newDecoder(name string) *decoder {
	return &decoder{
		report:  &report{name: name},
		origins: make(map[string]origin),
		bad:     make(map[string]bool),

		speaks: make(map[string]azure.Service), named: make(map[string]azure.Service),
		variables: make(map[string]string),
	}
}

// reject reports a value that cannot be used.
func (d *decoder) reject(path string, at origin, format string, args ...any) {
	d.bad[path] = true
	d.addf(at, format, args...)
}

// place is the origin of a node of the file that belongs to path.
func (d *decoder) place(n ast.Node, path string) origin {
	tk := n.GetToken()
	value := ""
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			tk = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		tk = n.Key.GetToken()
	case *ast.LiteralNode, *ast.SequenceNode, *ast.NullNode:
	default:
		value = tk.Value
	}
	width := utf8.RuneCountInString(value)
	if tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType {
		width += 2
	}
	return origin{
		source: d.name, line: tk.Position.Line, column: tk.Position.Column,
		width: width, key: path, value: value,
	}
}

// decodeSection reads the mapping n, at path, into t.
func decodeSection[T any](d *decoder, n ast.Node, path string, keys []field[T], t *T) {
	n, ok := d.unwrap(n, path)
	if !ok {
		return
	}
	d.origins[path] = d.place(n, path)
	decodeMapping(d, n, path, "", keys, t)
	if d.bad[path] {
		return // Not a section at all.
	}
	for _, f := range keys {
		if p := join(path, f.name); f.required && !has(d.origins, p) {
			at := d.place(n, p)
			at.value, at.width = "", 0
			d.reject(p, at, "is missing; expected %s", f.expected)
		}
	}
}

// decodeMapping reads one level of keys: those that begin with prefix.
func decodeMapping[T any](d *decoder, n ast.Node, path, prefix string, keys []field[T], t *T) {
	at := join(path, strings.TrimSuffix(prefix, "."))
	entries, ok := d.mapping(n, at)
	if !ok {
		return
	}
	known := segments(keys, prefix)
	seen := make(map[string]int)
	for _, entry := range entries {
		key := entry.Key.GetToken()
		name := key.Value
		here := d.place(entry.Key, join(at, name))
		here.value = ""
		if mk, ok := entry.Key.(*ast.MappingKeyNode); ok {
			d.addf(d.place(mk, at), "the form \"? key\" is not supported; expected key: value")
			continue
		}
		switch key.Type {
		case token.MergeKeyType:
			here.key = at
			d.addf(here, "merge keys are not supported; expected every key in full")
			continue
		case token.AnchorType, token.AliasType, token.TagType:
			continue // Reported with the tokens.
		}
		if line, ok := seen[name]; ok {
			d.addf(here, "is given twice, first on line %d; expected each key once", line)
			continue
		}
		seen[name] = here.line
		if !slices.Contains(known, name) {
			d.addf(here, "is not a known key; %s", hint(name, known, at, keys))
			continue
		}
		if i := slices.IndexFunc(keys, func(f field[T]) bool { return f.name == prefix+name }); i >= 0 {
			decodeField(d, entry.Value, join(at, name), keys[i], t)
			continue
		}
		d.origins[join(at, name)] = here
		decodeMapping(d, entry.Value, path, prefix+name+".", keys, t)
	}
}

// decodeField reads the value n of the key f, at path.
func decodeField[T any](d *decoder, n ast.Node, path string, f field[T], t *T) {
	n, ok := d.unwrap(n, path)
	if !ok {
		return
	}
	d.origins[path] = d.place(n, path)
	if f.decode != nil {
		f.decode(d, n, path, t)
		return
	}
	decodeScalar(d, n, path, f, t)
}

func decodeScalar[T any](d *decoder, n ast.Node, path string, f field[T], t *T) {
	s, ok := d.scalar(n, path, f.expected, f.bare)
	if !ok {
		return
	}
	if f.secret {
		d.hide(path)
	}
	if err := f.set(t, s); err != nil {
		d.reject(path, d.origins[path], "%v; expected %s", err, f.expected)
	}
}

// hide makes reports show nothing of the value at path.
func (d *decoder) hide(path string) {
	at := d.origins[path]
	at.value, at.width = redacted, len(redacted)
	d.origins[path] = at
}

// scalar returns the text of a scalar node, or reports what n is instead. A
// bare scalar may not be quoted.
func (d *decoder) scalar(n ast.Node, path, expected string, bare bool) (string, bool) {
	n, ok := d.unwrap(n, path)
	if !ok {
		return "", false
	}
	at := d.place(n, path)
	d.origins[path] = at
	switch n := n.(type) {
	case *ast.NullNode:
		d.reject(path, at, "has no value; expected %s", expected)
	case *ast.MappingNode, *ast.MappingValueNode:
		at.value, at.width = "", 0
		d.reject(path, at, "is a section; expected %s", expected)
	case *ast.SequenceNode:
		d.reject(path, at, "is a list; expected %s", expected)
	case *ast.LiteralNode:
		at.value = n.Value.Value
		d.origins[path] = at
		return n.Value.Value, true
	case *ast.StringNode:
		if quoted := n.Token.Type != token.StringType; quoted && bare {
			d.reject(path, at, "is text in quotes; expected %s", expected)
			return "", false
		}
		return n.Value, true
	default:
		return n.GetToken().Value, true
	}
	return "", false
}

// mapping returns the entries of a mapping, or reports what n is instead.
func (d *decoder) mapping(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	n, ok := d.unwrap(n, path)
	if !ok {
		return nil, false
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode:
		d.reject(path, d.place(n, path), "has no value; expected a section of keys")
	case *ast.SequenceNode:
		d.reject(path, d.place(n, path), "is a list; expected a section of keys")
	default:
		d.reject(path, d.place(n, path), "is a plain value; expected a section of keys")
	}
	return nil, false
}

// list returns the items of a list with at least one, or reports what n is
// instead.
func (d *decoder) list(n ast.Node, path, expected string) ([]ast.Node, bool) {
	n, ok := d.unwrap(n, path)
	if !ok {
		return nil, false
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		if len(n.Values) > 0 {
			return n.Values, true
		}
		d.reject(path, d.place(n, path), "is an empty list; expected %s", expected)
	case *ast.NullNode:
		d.reject(path, d.place(n, path), "has no value; expected %s", expected)
	case *ast.MappingNode, *ast.MappingValueNode:
		at := d.place(n, path)
		at.value, at.width = "", 0
		d.reject(path, at, "is a section; expected %s", expected)
	default:
		d.reject(path, d.place(n, path), "is a plain value; expected %s", expected)
	}
	return nil, false
}

// unwrap returns the node behind anchors and tags. It returns false for an
// alias, which is never followed. All three were reported with the tokens.
func (d *decoder) unwrap(n ast.Node, path string) (ast.Node, bool) {
	for {
		switch wrapper := n.(type) {
		case *ast.AnchorNode:
			n = wrapper.Value
		case *ast.TagNode:
			n = wrapper.Value
		case *ast.AliasNode, nil:
			d.bad[path] = true
			return nil, false
		default:
			return n, true
		}
	}
}

// segments returns the names that may follow prefix, in table order.
func segments[T any](keys []field[T], prefix string) []string {
	var out []string
	for _, f := range keys {
		rest, ok := strings.CutPrefix(f.name, prefix)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// hint helps with an unknown key: a near one of the same section, the section
// that has one of this name, or all known ones.
func hint[T any](name string, known []string, at string, keys []field[T]) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	for _, f := range keys {
		if i := strings.LastIndexByte(f.name, '.'); i >= 0 && f.name[i+1:] == name {
			return fmt.Sprintf("did you mean %q?", f.name)
		}
	}
	where := "at the top level"
	if at != "" {
		where = "in " + at
	}
	return fmt.Sprintf("expected %s %s", oneOf(slices.Sorted(slices.Values(known))), where)
}

// join appends a name to a path.
func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

func has(m map[string]origin, key string) bool {
	_, ok := m[key]
	return ok
}

// forget drops what is known about path and everything below it.
func (d *decoder) forget(path string) {
	below := func(p string) bool {
		rest, ok := strings.CutPrefix(p, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	maps.DeleteFunc(d.origins, func(p string, _ origin) bool { return below(p) })
	maps.DeleteFunc(d.bad, func(p string, _ bool) bool { return below(p) })
}
