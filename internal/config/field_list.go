package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// sections is a list of sections with the given keys.
func sections[T, E any](name, expected, doc string, keys func() []field[E], fresh func() E, at func(*T) *[]E) field[T] {
	return field[T]{
		name: name, expected: expected, doc: doc, initial: "required",
		items: describe(keys(), fresh(), name+"[].", false),
		decode: func(d *decoder, n ast.Node, path string, t *T) {
			items, ok := d.list(n, path, expected)
			if !ok {
				return
			}
			*at(t) = make([]E, len(items))
			for i, item := range items {
				e := fresh()
				decodeSection(d, item, fmt.Sprintf("%s[%d]", path, i), keys(), &e)
				(*at(t))[i] = e
			}
		},
		write: func(w *strings.Builder, indent string, t *T) {
			fmt.Fprintf(w, "%s%s:\n", indent, lastName(name))
			for _, e := range *at(t) {
				var b strings.Builder
				writeFields(&b, indent+"    ", keys(), &e)
				w.WriteString(indent + "  - ")
				w.WriteString(strings.TrimPrefix(b.String(), indent+"    "))
			}
		},
	}
}

// list is a list of scalars; read checks one, show is its inverse, and element
// completes "expected ..." of one. An empty list is not written.
func list[T, E any](name, expected, element, doc string, read func(string) (E, error), show func(E) string, at func(*T) *[]E) field[T] {
	return listOf(name, expected, element, doc, read, show, at, false)
}

// listOf is list; secret says that reports must not show its scalars.
func listOf[T, E any](name, expected, element, doc string, read func(string) (E, error), show func(E) string, at func(*T) *[]E, secret bool) field[T] {
	return field[T]{
		name: name, expected: expected, doc: doc, initial: "no entry",
		omit: func(t *T) bool { return len(*at(t)) == 0 },
		decode: func(d *decoder, n ast.Node, path string, t *T) {
			if _, plain := n.(ast.ScalarNode); plain && secret && n.Type() != ast.NullType {
				d.hide(path)
				d.reject(path, d.origins[path], "is a plain value; expected %s", expected)
				return
			}
			items, ok := d.list(n, path, expected)
			if !ok {
				return
			}
			*at(t) = make([]E, len(items))
			for i, item := range items {
				itemPath := fmt.Sprintf("%s[%d]", path, i)
				s, ok := d.scalar(item, itemPath, element, false)
				if !ok {
					continue
				}
				if secret {
					d.hide(itemPath)
				}
				e, err := read(s)
				if err != nil {
					d.reject(itemPath, d.origins[itemPath], "%v; expected %s", err, element)
				}
				(*at(t))[i] = e
			}
		},
		write: func(w *strings.Builder, indent string, t *T) {
			var quoted []string
			for _, e := range *at(t) {
				quoted = append(quoted, quote(show(e)))
			}
			fmt.Fprintf(w, "%s%s: [%s]\n", indent, lastName(name), strings.Join(quoted, ", "))
		},
	}
}

// asIs is for lists whose elements are kept as they are written, and shown so.
func asIs(s string) string { return s }

// lastName is the name of a key within its section.
func lastName(key string) string { return key[1+strings.LastIndexByte(key, '.'):] }

// when leaves f out of dumps, and all that belongs to it, unless used.
func when[T any](f field[T], used func(*T) bool) field[T] {
	omit := f.omit
	f.omit = func(t *T) bool { return !used(t) || omit != nil && omit(t) }
	return f
}
