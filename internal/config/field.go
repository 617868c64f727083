package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// field is one key: how it is written, read, shown and explained. T is the
// struct that holds its value. A scalar has set and get; a list has decode and
// write.
type field[T any] struct {
	// name is the key below T, with dots: "health.interval".
	name string
	// expected completes "expected ...".
	expected string
	// doc is the entry of the reference.
	doc string
	// initial is the default as the reference shows it, where that is more than
	// the value in the default struct.
	initial string
	// required scalars must be in the file.
	required bool
	// bare scalars are not written in quotes.
	bare bool
	// secret scalars are never shown.
	secret bool
	// short is the key, if any, that a scalar is the short form of.
	short string
	// long is the key whose variable, if any, also sets this one.
	long string
	// omit says when the key is left out of a dump. Nil is never.
	omit func(t *T) bool
	// restart says whether the key has changed, where a change takes effect only
	// in a new process.
	restart func(a, b *T) bool

	// set reads the text of a scalar. Its error says what is wrong with it.
	set func(t *T, text string) error
	// get returns a scalar as YAML.
	get func(t *T) string

	// decode reads a list, or a scalar that may also be a list.
	decode func(d *decoder, n ast.Node, path string, t *T)
	// write writes the key and its list as YAML.
	write func(w *strings.Builder, indent string, t *T)
	// items are the keys of the sections in a list.
	items []Key
}

// text is a string; read checks it and returns the form that is kept.
func text[T any](name, expected, doc string, at func(*T) *string, read func(string) (string, error)) field[T] {
	return field[T]{
		name: name, expected: expected, doc: doc,
		set: func(t *T, s string) error {
			v, err := read(s)
			if err == nil {
				*at(t) = v
			}
			return err
		},
		get: func(t *T) string { return quote(*at(t)) },
	}
}

// duration is a Go duration from low to high. zero, when not empty, says what 0
// means where that is allowed below low.
func duration[T any](name string, low, high time.Duration, zero, doc string, at func(*T) *time.Duration) field[T] {
	expected := fmt.Sprintf("a duration from %s to %s", formatDuration(low), formatDuration(high))
	if zero != "" {
		expected += fmt.Sprintf(", or 0s (%s)", zero)
	}
	return field[T]{
		name: name, expected: expected, doc: doc,
		set: func(t *T, s string) error {
			d, err := parseDuration(s)
			if err != nil {
				return err
			}
			if d != 0 || zero == "" {
				if err := within(d, low, high); err != nil {
					return err
				}
			}
			*at(t) = d
			return nil
		},
		get: func(t *T) string { return formatDuration(*at(t)) },
	}
}

// integer is a whole number from low to high. zero, when not empty, says what 0
// means.
func integer[T any](name string, low, high int, zero, doc string, at func(*T) *int) field[T] {
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	if zero != "" {
		expected += fmt.Sprintf(", 0 is %s", zero)
	}
	return field[T]{
		name: name, expected: expected, doc: doc, bare: true,
		set: func(t *T, s string) error {
			n, err := strconv.Atoi(s)
			if errors.Is(err, strconv.ErrRange) {
				return errors.New("is out of range")
			}
			if err != nil {
				return errors.New("is not a whole number")
			}
			if err := within(n, low, high); err != nil {
				return err
			}
			*at(t) = n
			return nil
		},
		get: func(t *T) string { return strconv.Itoa(*at(t)) },
	}
}

// share is a number from 0 to 1.
func share[T any](name, doc string, at func(*T) *float64) field[T] {
	return field[T]{
		name: name, expected: "a number from 0 to 1", doc: doc, bare: true,
		set: func(t *T, s string) error {
			f, err := strconv.ParseFloat(s, 64)
			switch {
			case err != nil || math.IsNaN(f):
				return errors.New("is not a number")
			case f < 0:
				return errors.New("is too small")
			case f > 1:
				return errors.New("is too large")
			}
			*at(t) = f + 0 // Turns -0 into 0.
			return nil
		},
		get: func(t *T) string { return strconv.FormatFloat(*at(t), 'g', -1, 64) },
	}
}

// size is a ByteSize from low to high. zero, when not empty, says what 0 means
// where that is allowed below low.
func size[T any](name string, low, high ByteSize, zero, doc string, at func(*T) *ByteSize) field[T] {
	expected := fmt.Sprintf("a size from %s to %s, in bytes or with KiB, MiB or GiB", low, high)
	if zero != "" {
		expected += fmt.Sprintf(", or 0 (%s)", zero)
	}
	return field[T]{
		name: name, doc: doc, expected: expected,
		set: func(t *T, s string) error {
			n, err := parseSize(s)
			if err != nil {
				return err
			}
			if n != 0 || zero == "" {
				if err := within(n, low, high); err != nil {
					return err
				}
			}
			*at(t) = n
			return nil
		},
		get: func(t *T) string { return at(t).String() },
	}
}

// toggle is true or false.
func toggle[T any](name, doc string, at func(*T) *bool) field[T] {
	return field[T]{
		name: name, expected: "true or false", doc: doc, bare: true,
		set: func(t *T, s string) error {
			if s != "true" && s != "false" {
				return errors.New("is not a boolean")
			}
			*at(t) = s == "true"
			return nil
		},
		get: func(t *T) string { return strconv.FormatBool(*at(t)) },
	}
}

// option is one value of a choice and its word in the file.
type option[V comparable] struct {
	word  string
	value V
}

// words makes the options of a type whose values are their own words.
func words[V ~string](values ...V) []option[V] {
	var out []option[V]
	for _, v := range values {
		out = append(out, option[V]{string(v), v})
	}
	return out
}

// choice is one of a few words.
func choice[T any, V comparable](name string, options []option[V], doc string, at func(*T) *V) field[T] {
	var known []string
	for _, o := range options {
		known = append(known, o.word)
	}
	return field[T]{
		name: name, expected: oneOf(known), doc: doc,
		set: func(t *T, s string) error {
			i := slices.Index(known, s)
			if i < 0 {
				if near := nearest(s, known); near != "" {
					return fmt.Errorf("is unknown, did you mean %q", near)
				}
				return errors.New("is unknown")
			}
			*at(t) = options[i].value
			return nil
		},
		get: func(t *T) string {
			i := slices.IndexFunc(options, func(o option[V]) bool { return o.value == *at(t) })
			if i < 0 {
				return ""
			}
			return known[i]
		},
	}
}

// within says how v misses the range from low to high.
func within[V int | time.Duration | ByteSize](v, low, high V) error {
	switch {
	case v < low:
		return errors.New("is too small")
	case v > high:
		return errors.New("is too large")
	}
	return nil
}

// oneOf joins words to "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
