package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sources of problems other than a file.
const (
	sourceEnvironment = "environment"
	sourceFlags       = "command line"
)

// Bounds of a report: a file of pure noise must not print a megabyte.
const (
	maxProblems = 100
	maxValue    = 80
	maxExcerpt  = 120
	// maxLine is the longest line, in bytes, that is read for an excerpt.
	maxLine = 16 << 10
)

// Problem is one mistake. Its texts show no secrets.
type Problem struct {
	// Source is the name of the file, "environment" or "command line".
	Source string
	// Line and Column count from 1, Column in characters. Both are 0 when the
	// problem has no place in a file.
	Line, Column int
	// Key is the whole key ("health.interval", "upstreams[0].url"), the name of
	// the environment variable, or the flag. Empty when the text as a whole is
	// wrong.
	Key string
	// Value is what was given, shortened; empty when nothing was.
	Value string
	// Message says what is wrong and what was expected.
	Message string
	// Excerpt is the line of the file, and below it a marker under the place.
	// Empty when there is no line to show or it has more than 16 KiB, and after
	// the first 100 problems.
	Excerpt string
}

// Error returns `source:line:column: key "k": value "v": message`, without the
// parts that are empty, and the excerpt below it.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		word := "key"
		switch p.Source {
		case sourceEnvironment:
			word = "variable"
		case sourceFlags:
			word = "flag"
		}
		fmt.Fprintf(&b, "%s %q: ", word, p.Key)
	}
	if p.Value != "" {
		fmt.Fprintf(&b, "value %q: ", p.Value)
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteByte('\n')
		b.WriteString(p.Excerpt)
	}
	return b.String()
}

// Errors is every problem of one configuration, sorted: the file's by line,
// then the environment's, then the command line's. It is never empty when
// returned as an error.
type Errors []Problem

// Error returns the text of each problem in turn, of at most 100.
func (e Errors) Error() string {
	var b strings.Builder
	for i, p := range e {
		if i == maxProblems {
			fmt.Fprintf(&b, "\nand %d more problems", len(e)-maxProblems)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Unwrap returns the problems, for errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, p := range e {
		out[i] = p
	}
	return out
}

// origin is where a key or value was given.
type origin struct {
	source       string
	line, column int
	// width is the length of the marker in characters; 0 means 1.
	width int
	// key is what the operator wrote: the path, the variable or the flag.
	key   string
	value string
}

// report collects the problems of one configuration.
type report struct {
	// name and lines are the file; both empty without one.
	name  string
	lines []string
	// widths holds the length of each line in characters.
	widths []int
	// secrets are texts that no excerpt may show.
	secrets []string
	found   []finding
}

// finding is a problem whose excerpt is yet to be made.
type finding struct {
	problem Problem
	at      origin
}

// setLines makes the text known that excerpts come from.
func (r *report) setLines(text string) {
	r.lines = strings.Split(text, "\n")
	r.widths = make([]int, len(r.lines))
	for i, line := range r.lines {
		r.widths[i] = utf8.RuneCountInString(line)
	}
}

// addf adds a problem. Arguments must never be input that is not yet checked:
// messages are not redacted.
func (r *report) addf(at origin, format string, args ...any) {
	if at.source == r.name && at.line > 0 && at.line <= len(r.lines) {
		// What is missing at the end of a line has its place right behind it.
		at.column = min(at.column, 1+r.widths[at.line-1])
	}
	r.found = append(r.found, finding{at: at, problem: Problem{
		Source:  at.source,
		Line:    at.line,
		Column:  at.column,
		Key:     shorten(redact(at.key)),
		Value:   shorten(redact(at.value)),
		Message: fmt.Sprintf(format, args...),
	}})
}

// err returns the collected problems in order, or nil. Excerpts
// are made only here, for those that Errors.Error prints: a long line with ten
// thousand mistakes would else be read ten thousand times.
func (r *report) err() error {
	if len(r.found) == 0 {
		return nil
	}
	rank := func(p Problem) int {
		return slices.Index([]string{sourceEnvironment, sourceFlags}, p.Source)
	}
	slices.SortStableFunc(r.found, func(a, b finding) int {
		return cmp.Or(
			cmp.Compare(rank(a.problem), rank(b.problem)),
			cmp.Compare(a.problem.Line, b.problem.Line),
			cmp.Compare(a.problem.Column, b.problem.Column),
		)
	})
	out := make(Errors, len(r.found))
	for i, f := range r.found {
		out[i] = f.problem
		if i < maxProblems && f.at.source == r.name && f.at.line > 0 && f.at.line <= len(r.lines) && len(r.lines[f.at.line-1]) <= maxLine {
			out[i].Excerpt = r.excerpt(f.at)
		}
	}
	return out
}

// excerpt returns the line of at with a marker under its place.
func (r *report) excerpt(at origin) string {
	line := r.lines[at.line-1]
	offset, column := len(line), 1
	for i := range line {
		if column == at.column {
			offset = i
			break
		}
		column++
	}
	text, offset := redactAt(line, offset, r.secrets)
	column = utf8.RuneCountInString(text[:offset])
	runes := []rune(text)
	for i, c := range runes {
		if !unicode.IsPrint(c) {
			runes[i] = ' ' // A tab would move the marker.
		}
	}
	// A long line is shown from shortly before its mistake.
	if len(runes) > maxExcerpt {
		skip := max(0, min(column-maxExcerpt/4, len(runes)-maxExcerpt))
		runes = runes[skip : skip+maxExcerpt]
		column -= skip
	}
	number := strconv.Itoa(at.line)
	width := max(1, min(at.width, len(runes)-column))
	return fmt.Sprintf("  %s | %s\n  %s | %s%s",
		number, strings.TrimRight(string(runes), " "),
		strings.Repeat(" ", len(number)), strings.Repeat(" ", column), strings.Repeat("^", width))
}

// shorten keeps the beginning of a long text.
func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxValue {
		return text
	}
	return string([]rune(text)[:maxValue]) + "..."
}
