package filter

import (
	"fmt"
	"strings"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenString
	tokenInt
	tokenMark // ( ) ,
)

// A token is one part of the text. For a string, text is its value.
type token struct {
	kind tokenKind
	text string
	at   int // byte offset
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "end"
	case tokenString:
		return "string"
	default:
		return fmt.Sprintf("%q", t.text)
	}
}

func (t token) fault(format string, args ...any) error {
	return fmt.Errorf("%w: position %d: %s", ErrSyntax, t.at, fmt.Sprintf(format, args...))
}

func (t token) is(kind tokenKind, text string) bool {
	return t.kind == kind && strings.EqualFold(t.text, text)
}

// scan cuts the text into tokens; the last one is the end.
func scan(text string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(text); {
		c := text[at]
		t := token{at: at}
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			at++
			continue
		case strings.IndexByte("(),", c) >= 0:
			t.kind, t.text = tokenMark, text[at:at+1]
			at++
		case c == '\'':
			end, value, ok := quoted(text, at)
			if !ok {
				return nil, t.fault("the string has no end")
			}
			t.kind, t.text = tokenString, value
			at = end
		case c == '+' || c == '-' || isDigit(c):
			end := at + 1
			for end < len(text) && isDigit(text[end]) {
				end++
			}
			t.kind, t.text = tokenInt, text[at:end]
			at = end
		case isLetter(c):
			end := at + 1
			for end < len(text) && (isLetter(text[end]) || isDigit(text[end])) {
				end++
			}
			t.kind, t.text = tokenWord, text[at:end]
			at = end
		default:
			return nil, t.fault("unexpected character")
		}
		tokens = append(tokens, t)
	}
	return append(tokens, token{kind: tokenEnd, at: len(text)}), nil
}

// quoted reads the string literal that begins at at: two quotes within it stand
// for one.
func quoted(text string, at int) (end int, value string, ok bool) {
	var b strings.Builder
	for i := at + 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return i + 1, b.String(), true
	}
	return 0, "", false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
