package filter

import (
	"errors"
	"strings"
	"testing"
)

var (
	ann    = Subject{ConnectionID: "c1", UserID: "user-ab-de", Protocol: "json.webpubsub.azure.v1", Groups: []string{"group1", "east-2"}}
	nobody = Subject{ConnectionID: "c2"} // no user, no subprotocol, no group
)

func TestMatches(t *testing.T) {
	tests := []struct {
		text        string
		ann, nobody bool
	}{
		{"", true, true},
		{"  ", true, true},
		{"true", true, true},
		{"FALSE", false, false},
		{"userId eq 'user-ab-de'", true, false},
		{"'user-ab-de' eq USERID", true, false},
		{"userId eq 'USER-ab-de'", false, false},
		{"userId ne 'x'", true, true},
		{"userId eq null", false, true},
		{"null ne userId", true, false},
		{"null eq null", true, true},
		{"userId gt 'a'", true, false},
		{"userId le 'a'", false, false},
		{"length(userId) gt 5", true, false},
		{"length(userId) eq null", false, true},
		{"not (length(userId) gt 5)", false, true},
		{"length(userId) gt 0 and length(userId) lt 3 or length(userId) gt 7 and length(userId) lt 11", true, false},
		{"true or true and false", true, true},
		{"(true or true) and false", false, false},
		{"not false and false", false, false},
		{"not not true", true, true},
		{"'group1' in groups", true, false},
		{"'group1' in (groups)", true, false},
		{"'Group1' in groups", false, false},
		{"userId in groups", false, false},
		{"null in groups", false, false},
		{"length(groups) ge 2", true, false},
		{"length(groups) eq 0", false, true},
		{"userId in ('a', 'user-ab-de')", true, false},
		{"userId in (null)", false, true},
		{"length(userId) in (1,10)", true, false},
		{"true in (false, true)", true, true},
		{"userId eq 'user-ab-de' and connectionId ne 'c1'", false, false},
		{"userId eq 'user-ab-de' and (not ('group9' in groups))", true, false},
		{"startswith(userId,'user')", true, false},
		{"endswith(userId,'de')", true, false},
		{"not endswith(userId, 'milk')", true, true},
		{"contains(userId,'-ab-')", true, false},
		{"contains(null,'-ab-')", false, false},
		{"indexof(userId,'-ab-') ge 0", true, false},
		{"indexof(userId,'zz') eq -1", true, false},
		{"substring(userId,5,2) eq 'ab'", true, false},
		{"substring(userId,5) eq 'ab-de'", true, false},
		{"substring(userId,99) eq ''", true, false},
		{"substring(userId,-1,4) eq 'user'", true, false},
		{"substring(userId,0,2147483647) eq 'user-ab-de'", true, false},
		{"substring('a',1,2147483647) eq ''", true, true},
		{"substring('abc',1,-5) eq ''", true, true},
		{"toupper(userId) eq 'USER-AB-DE'", true, false},
		{"tolower('ÄB') eq 'äb'", true, true},
		{"trim('  x ') eq 'x'", true, true},
		{"concat(userId,'!') eq 'user-ab-de!'", true, false},
		{"concat(connectionId,concat('-','x')) eq 'c1-x'", true, false},
		{"connectionId eq 'it''s'", false, false},
		{"'it''s' eq concat('it','''s')", true, true},
		{"length('a😀') eq 3", true, true}, // in UTF-16 code units
		{"indexof('😀b','b') eq +2", true, true},
		{"protocol eq 'json.webpubsub.azure.v1'", true, false},
		{"true eq (1 lt 2)", true, true},
		{"startswith(userId,'user') eq false", false, true},
	}
	for _, tt := range tests {
		f, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := f.Matches(ann); got != tt.ann {
			t.Errorf("%s: %v for ann", tt.text, got)
		}
		if got := f.Matches(nobody); got != tt.nobody {
			t.Errorf("%s: %v for nobody", tt.text, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]string{
		"userId":                           "is a string",
		"1":                                "is an int",
		"null":                             "is null",
		"groups":                           "is a collection",
		"userId eq":                        "unexpected end",
		"userId eq 'x":                     "no end",
		"userId eq 'x' and":                "unexpected end",
		"userId eq 'x' userId":             `unexpected "userId"`,
		"userId eq 1":                      "a string cannot be compared with an int",
		"groups eq 'x'":                    "collection cannot be compared",
		"true gt false":                    "cannot compare bools",
		"1 in groups":                      "cannot be in a collection",
		"userId in ('a',1)":                "cannot be compared",
		"userId in 'a'":                    "needs groups or a list",
		strings.Repeat("1 in (", 90) + "1": "where \")\"",
		"concat('x',concat('y','z')) eq concat('x','" + strings.Repeat("y", 9) + "'": "where \")\"",
		"userId in ()":                   "unexpected",
		"userId and true":                "needs a bool",
		"not length(userId) gt 5":        "parentheses",
		"startswith(userId)":             "such arguments",
		"startswith(userId,1)":           "such arguments",
		"length(1)":                      "such arguments",
		"length(null) gt":                "unexpected end",
		"shout(userId)":                  `unknown name "shout"`,
		"hub eq 'x'":                     `unknown name "hub"`,
		"userId eq 99999999999":          "not an int",
		"userId eq -":                    "not an int",
		"userId eq \"x\"":                "unexpected character",
		"(true":                          `end where ")"`,
		")":                              "unexpected",
		strings.Repeat("not ", 200):      "nested deeper",
		strings.Repeat("(", 200):         "nested deeper",
		strings.Repeat("true or ", 2000): "more than 1000 parts",
		strings.Repeat(" ", MaxLength+1): "at most",
	}
	for text, want := range tests {
		_, err := Parse(text)
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want an error with %q", text, err, want)
		}
	}
}

// A literal may be a name that has no place in a log.
func TestErrorsHideLiterals(t *testing.T) {
	_, err := Parse("userId eq 'secret' 'secret'")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// FuzzParse: no text makes parsing or matching panic, and the result does not
// depend on blanks around it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"userId in ('a','b') and not ('g' in groups)", "substring(userId,-9,9) eq concat('''','x')",
		"length(groups) gt 1 or indexof(userId,null) eq null", "((((true))))", "not",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		b, errB := Parse(" " + text + "\t")
		if len(text) < MaxLength-2 && (err == nil) != (errB == nil) {
			t.Fatalf("%q: %v, with blanks: %v", text, err, errB)
		}
		if err != nil || errB != nil {
			return
		}
		for _, s := range []Subject{ann, nobody} {
			if a.Matches(s) != b.Matches(s) {
				t.Errorf("%q depends on blanks", text)
			}
		}
	})
}
