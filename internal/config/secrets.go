package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

const (
	// shortestSecret is the least that is hidden wherever it stands: shorter words
	// are no secrets worth the name, and would make holes in every excerpt.
	shortestSecret = 6
	// mostSecrets bounds the search for them in excerpts.
	mostSecrets = 64
)

// secretsIn finds the values of keys that sound secret, and of all keys of the
// section admin, where a misspelt token may stand. Excerpts show one line of
// the file, and a value may begin on another than its key.
func secretsIn(root ast.Node) []string {
	var out []string
	each(root, func(key string, value ast.Node) {
		switch {
		case secretFile.MatchString(key + ":"):
		case secretWord.MatchString(key + ":"):
			out = append(out, leavesOf(value)...)
		case key == "admin":
			each(value, func(key string, value ast.Node) {
				if key != "address" && !secretFile.MatchString(key+":") {
					out = append(out, leavesOf(value)...)
				}
			})
		}
	})
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	out = slices.Compact(out)
	return out[:min(len(out), mostSecrets)]
}

// keysIn finds the words of private keys in PEM, whatever they stand in. The text
// may be no YAML: a key that is pasted seldom has the right indentation.
func keysIn(text string) []string {
	var out []string
	for {
		m := privateKey.FindStringIndex(text)
		if m == nil {
			return out
		}
		text = text[m[1]:]
		body, _, _ := strings.Cut(text, "-----END")
		for word := range strings.FieldsSeq(body) {
			if len(out) == mostSecrets {
				return out
			}
			if len(word) >= shortestSecret {
				out = append(out, word)
			}
		}
	}
}

// each calls f for every key below n.
func each(n ast.Node, f func(key string, value ast.Node)) {
	ast.Walk(visitor(func(n ast.Node) {
		if entry, ok := n.(*ast.MappingValueNode); ok {
			f(entry.Key.GetToken().Value, entry.Value)
		}
	}), n)
}

// leavesOf returns the words of all scalars below n: as they are meant, and as
// they are written.
func leavesOf(n ast.Node) []string {
	var out []string
	add := func(text string) {
		for _, word := range strings.Fields(text) {
			if word = strings.Trim(word, "\"',"); len(word) >= shortestSecret {
				out = append(out, word)
			}
		}
	}
	ast.Walk(visitor(func(n ast.Node) {
		scalar, ok := n.(ast.ScalarNode)
		if !ok {
			return
		}
		tk := scalar.GetToken()
		if literal, ok := n.(*ast.LiteralNode); ok {
			tk = literal.Value.Token
		}
		add(tk.Value)
		add(tk.Origin)
	}), n)
	return out
}

// visitor calls itself for every node.
type visitor func(ast.Node)

// Visit implements [ast.Visitor].
func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}
