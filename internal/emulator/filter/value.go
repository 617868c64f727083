package filter

import (
	"strings"
	"unicode/utf16"
)

// A kind is the type of an expression, known while parsing.
type kind int

const (
	kindNull kind = iota // the literal null: comparable with everything
	kindString
	kindInt
	kindBool
	kindGroups // the collection
)

func (k kind) String() string {
	return [...]string{"null", "a string", "an int", "a bool", "a collection"}[k]
}

// A value is what an expression yields for one connection. A string or int may
// be null at run time, because the user id may be.
type value struct {
	null bool
	s    string
	n    int
	b    bool
	set  []string
}

var nullValue = value{null: true}

// An expression is a typed piece of a filter.
type expression struct {
	kind kind
	eval func(*Subject) value
}

func constant(k kind, v value) expression {
	return expression{k, func(*Subject) value { return v }}
}

// compare orders two values of one kind: negative, zero or positive.
func compare(k kind, a, b value) int {
	switch k {
	case kindString:
		return strings.Compare(a.s, b.s)
	case kindInt:
		return a.n - b.n
	default:
		if a.b == b.b {
			return 0
		}
		if a.b {
			return 1
		}
		return -1
	}
}

// comparison builds "a op b" for operands whose kinds fit each other. With a
// null on either side only eq and ne can be true.
func comparison(op string, k kind, a, b expression) expression {
	fits := map[string]func(int) bool{
		"eq": func(c int) bool { return c == 0 },
		"ne": func(c int) bool { return c != 0 },
		"gt": func(c int) bool { return c > 0 },
		"ge": func(c int) bool { return c >= 0 },
		"lt": func(c int) bool { return c < 0 },
		"le": func(c int) bool { return c <= 0 },
	}[op]
	return expression{kindBool, func(s *Subject) value {
		x, y := a.eval(s), b.eval(s)
		if x.null || y.null {
			same := x.null && y.null
			return value{b: op == "eq" && same || op == "ne" && !same}
		}
		return value{b: fits(compare(k, x, y))}
	}}
}

// units are the UTF-16 code units in which the service counts positions.
func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func length(s string) int { return len(units(s)) }

// indexOf returns the position of part in s in code units, or -1.
func indexOf(s, part string) int {
	at := strings.Index(s, part)
	if at < 0 {
		return -1
	}
	return length(s[:at])
}

// substring clips what lies outside of s; a negative length means up to the end.
func substring(s string, start, n int) string {
	u := units(s)
	start = min(max(start, 0), len(u))
	end := len(u)
	if n >= 0 && n < end-start {
		end = start + n
	}
	return string(utf16.Decode(u[start:end]))
}
