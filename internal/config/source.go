package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The YAML parser recurses and copies without bounds of its
// own: 16,000 "[" in a row cost it a second and gigabytes. These let a file with
// a thousand upstreams pass and keep any other within a fraction of a second.
const (
	maxFile   = 1 << 20
	maxTokens = 30_000
	// maxNesting bounds open brackets, and the marks ("-", "?", "&", "!") of one
	// line, each of which may nest.
	maxNesting = 32
)

// readFile reads a file of at most maxFile bytes. It returns one byte more from
// a larger one, for tree to refuse.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // It says "open", the path and the cause.
	}
	defer func() { _ = f.Close() }() // Only read: closing cannot lose anything.
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// tree parses the file's text. It reports what is wrong with the text as a
// whole and returns nil when there is nothing to decode.
func (d *decoder) tree(data []byte) ast.Node {
	whole := origin{source: d.name}
	if len(data) > maxFile {
		d.addf(whole, "the file is larger than 1MiB; expected a configuration file")
		return nil
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		d.addf(whole, "the file is UTF-16 text; expected UTF-8")
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	d.setLines(text)
	d.secrets = keysIn(text)
	if !d.plainText() {
		return nil
	}
	// The lexer counts columns wrongly behind a tab. No value may hold one, so
	// nothing else changes.
	tokens := lexer.Tokenize(strings.ReplaceAll(text, "\t", " "))
	if !d.bounded(tokens) {
		return nil
	}
	file, err := parse(tokens)
	if err != nil {
		d.syntax(err)
		return nil
	}
	return d.document(file)
}

// plainText reports the first character that no text file has, or else every
// line that is indented with tabs, which YAML does not allow.
func (d *decoder) plainText() bool {
	for i, line := range d.lines {
		for at, c := range line {
			broken := false
			if c == utf8.RuneError {
				_, n := utf8.DecodeRuneInString(line[at:])
				broken = n == 1
			}
			if !broken && (!unicode.IsControl(c) || c == '\t' || c == '\u0085') && c != '\ufeff' {
				continue
			}
			what := "holds a character that no text file has"
			if broken {
				what = "is not UTF-8"
			}
			d.addf(origin{source: d.name, line: i + 1, column: 1 + utf8.RuneCountInString(line[:at])},
				"the text %s; expected a YAML text file", what)
			return false
		}
	}
	for i, line := range d.lines {
		content := strings.TrimLeft(line, " \t")
		tab := strings.IndexByte(line[:len(line)-len(content)], '\t')
		if tab >= 0 && content != "" && content[0] != '#' {
			d.addf(origin{source: d.name, line: i + 1, column: tab + 1},
				"the line is indented with a tab; expected spaces")
		}
	}
	return len(d.found) == 0
}

// bounded refuses what the parser could not take in bounded time, and reports
// the YAML features that are not supported.
func (d *decoder) bounded(tokens token.Tokens) bool {
	count, depth, marks, line := 0, 0, 0, 0
	for _, tk := range tokens {
		if tk.Type == token.CommentType {
			continue
		}
		count++
		if tk.Position.Line != line {
			line, marks = tk.Position.Line, 0
		}
		at := origin{source: d.name, line: tk.Position.Line, column: tk.Position.Column}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			marks++
		case token.AnchorType:
			marks++
			d.addf(at, "anchors are not supported; expected every value in full")
		case token.AliasType:
			marks++
			d.addf(at, "aliases are not supported; expected every value in full")
		case token.TagType:
			marks++
			d.addf(at, "tags are not supported; expected a plain value")
		}
		if depth > maxNesting || marks > maxNesting {
			d.addf(at, "the text is nested too deeply; expected at most %d levels", maxNesting)
			return false
		}
		if count > maxTokens {
			d.addf(at, "the file has more than %d words and signs; expected a configuration file", maxTokens)
			return false
		}
	}
	return true
}

// parse builds the tree. Duplicate keys are left to the decoder, which reports
// all of them.
func parse(tokens token.Tokens) (file *ast.File, err error) {
	// The text may come from anywhere, and a reload must not end the process
	// over a mistake in the parser.
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errUnreadable
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

var errUnreadable = errors.New("the parser cannot read it")

// syntax reports the parser's error, at its token.
func (d *decoder) syntax(err error) {
	at := origin{source: d.name}
	message := err.Error()
	var located yaml.Error
	if errors.As(err, &located) {
		message = located.GetMessage()
		if tk := located.GetToken(); tk != nil && tk.Position != nil {
			at.line, at.column = tk.Position.Line, tk.Position.Column
		}
	}
	d.addf(at, "the text is not YAML: %s; expected valid YAML", redact(message))
}

// document returns the body of the only document.
func (d *decoder) document(file *ast.File) ast.Node {
	var body ast.Node
	documents := 0
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() == ast.DirectiveType {
			d.addf(d.place(doc.Body, ""), "directives are not supported; expected keys only")
			continue
		}
		documents++
		if documents == 1 {
			body = doc.Body
			continue
		}
		at := origin{source: d.name}
		if doc.Start != nil {
			at.line, at.column, at.width = doc.Start.Position.Line, doc.Start.Position.Column, 3
		}
		d.addf(at, "a second document begins; expected one document in the file")
		break
	}
	if body == nil && len(d.found) == 0 {
		d.addf(origin{source: d.name}, "the file is empty; expected at least upstreams")
	}
	if body == nil || body.Type() == ast.CommentType {
		return nil
	}
	d.secrets = append(d.secrets, secretsIn(body)...)
	if _, ok := body.(*ast.MappingNode); !ok {
		at := d.place(body, "")
		at.value = ""
		d.addf(at, "the file is not a section of keys; expected keys such as %q", "upstreams:")
		return nil
	}
	return body
}
