package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// page is docs/refusals.md.
type page struct {
	status map[string]int      // by code of a refusal
	fields map[string][]string // further ones of its answer
	close  map[string]int      // code by reason of a Close frame
	causes map[string]bool
}

var quoted = regexp.MustCompile("`([^`]+)`")

// readPage reads the tables of the page.
func readPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	p := page{make(map[string]int), make(map[string][]string), make(map[string]int), make(map[string]bool)}
	var head string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if !strings.HasPrefix(line, "|") {
			head = ""
			continue
		} else if head == "" {
			head = strings.Join(cells, "|")
			continue
		} else if strings.HasPrefix(cells[0], "---") {
			continue
		}
		word := ""
		if m := quoted.FindStringSubmatch(cells[1]); m != nil {
			word = m[1]
		}
		number, _ := strconv.Atoi(cells[0])
		switch head {
		case "status|code|when|further fields|to turn":
			if _, twice := p.status[word]; twice || word == "" {
				t.Errorf("twice, or without a code: %s", line)
			}
			p.status[word] = number
			if cells[3] != "" && number != 0 {
				p.fields[word] = strings.Split(cells[3], ", ")
			}
		case "code|reason|when|cause|to turn":
			if _, twice := p.close[word]; twice || word == "" {
				t.Errorf("twice, or without a reason: %s", line)
			}
			p.close[word] = number
			p.addCauses(cells[3])
		case "what|what the client sees|cause|to turn":
			p.addCauses(cells[2])
		case "what|what the client sees|to turn":
		default:
			t.Fatalf("a table that this test does not know: %s", head)
		}
	}
	return p
}

func (p page) addCauses(cell string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		p.causes[m[1]] = true
	}
}

// sources calls visit for every node of the code that clients get to do with.
func sources(t *testing.T, visit func(where string, in *ast.FuncDecl, n ast.Node)) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			in, _ := d.(*ast.FuncDecl)
			ast.Inspect(d, func(n ast.Node) bool {
				if n != nil {
					visit(files.Position(n.Pos()).String(), in, n)
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// text returns the value of a string literal.
func text(n ast.Expr) (string, bool) {
	if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, err := strconv.Unquote(l.Value)
		return s, err == nil
	}
	return "", false
}

// named returns the last part of a name, such as Refusal of handshake.Refusal.
func named(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return n.Sel.Name
	}
	return ""
}

// element returns a field of a composite literal: the one with this name, or
// without names the one at this place.
func element(l *ast.CompositeLit, name string, place int) ast.Expr {
	for i, e := range l.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if named(kv.Key) == name {
				return kv.Value
			}
		} else if i == place {
			return e
		}
	}
	return nil
}

// TestRefusalsPage: every refusal in the code stands in the page, with its status,
// and is counted; and nothing else stands there.
func TestRefusalsPage(t *testing.T) {
	p := readPage(t)
	found := map[string]int{codeRelayed: 0}
	add := func(where string, status ast.Expr, code ast.Expr) {
		word, ok := text(code)
		literal, isNumber := status.(*ast.BasicLit)
		if !ok || !isNumber {
			t.Errorf("%s: a refusal whose status and code are not plain to see", where)
			return
		}
		number, _ := strconv.Atoi(literal.Value)
		if before, twice := found[word]; twice && before != number {
			t.Errorf("%s: %s has two statuses", where, word)
		}
		found[word] = number
	}
	sources(t, func(where string, in *ast.FuncDecl, n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			if named(n.Fun) == "refuse" && len(n.Args) >= 3 {
				add(where, n.Args[0], n.Args[1])
			}
		case *ast.CompositeLit:
			if named(n.Type) == "Refusal" && (in == nil || in.Name.Name != "refuse" && in.Name.Name != "again") {
				add(where, element(n, "Status", 0), element(n, "Code", 1))
			}
		}
	})
	if diff := cmp.Diff(found, p.status); diff != "" {
		t.Errorf("docs/refusals.md (-code +page):\n%s", diff)
	}
	counted := newRefusals()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(counted))); diff != "" {
		t.Errorf("what is counted (-code +counted):\n%s", diff)
	}
	word := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for code := range found {
		if !word.MatchString(code) {
			t.Errorf("code %q", code)
		}
	}
}

// TestRefusalsFields: the fields of each answer are those that the page names.
func TestRefusalsFields(t *testing.T) {
	p := readPage(t)
	usual := []string{"Connection", "Content-Length", "Content-Type"}
	for _, r := range slices.Concat(handshake.Refusals(), own) {
		if r.Code == "too_many_handshakes" {
			r = busy(0)
		}
		wire := &peer{in: bufio.NewReader(bytes.NewReader(refusalOf(r).AppendAnswer(nil, nil)))}
		a, err := wire.readAnswer(http.MethodGet)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for name := range a.Header {
			if !slices.Contains(usual, name) {
				got = append(got, name)
			}
		}
		var want []string
		for _, name := range p.fields[r.Code] {
			want = append(want, http.CanonicalHeaderKey(name))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, and %q in the page", r.Code, got, want)
		}
		if !a.Close || a.StatusCode != r.Status {
			t.Errorf("%s: %+v", r.Code, a.Response)
		}
		if want := fmt.Sprintf(`{"status":%d,"error":%q,"code":%q}`+"\n", r.Status, r.Reason, r.Code); a.body != want {
			t.Errorf("%s: body %q, want %q", r.Code, a.body, want)
		}
	}
}

// TestClosesPage: every reason that the router has for a Close frame stands in the
// page, with its code, and every cause of an end; and nothing else.
func TestClosesPage(t *testing.T) {
	codes := map[string]int{
		"CodeGoingAway": 1001, "CodeProtocolError": 1002, "CodePolicy": 1008, "CodeTooBig": 1009, "CodeServiceRestart": 1012,
	}
	found := make(map[string]int)
	add := func(where string, code ast.Expr, reason ast.Expr, unsaid int) {
		word, ok := text(reason)
		if !ok || word == "" {
			return // it comes from elsewhere
		}
		number := unsaid
		if code != nil {
			number = codes[named(code)]
		}
		if before, twice := found[word]; number == 0 || twice && before != number {
			t.Errorf("%s: %q has no code that is plain to see, or two", where, word)
		}
		found[word] = number
	}
	const unsaid = 1012 // of a drain
	sources(t, func(where string, _ *ast.FuncDecl, n ast.Node) {
		switch n := n.(type) {
		case *ast.CompositeLit:
			switch named(n.Type) {
			case "Violation":
				add(where, element(n, "Code", 0), element(n, "Reason", 1), 0)
			case "Plan":
				add(where, element(n, "Code", -1), element(n, "Reason", -1), unsaid)
			}
		case *ast.CallExpr:
			for i, a := range n.Args[:max(0, len(n.Args)-1)] {
				if _, ok := codes[named(a)]; ok {
					add(where, a, n.Args[i+1], 0)
				}
			}
		case *ast.AssignStmt:
			if named(n.Lhs[0]) == "Reason" {
				add(where, nil, n.Rhs[0], unsaid)
			}
		case *ast.ValueSpec:
			if strings.HasSuffix(n.Names[0].Name, "Reason") && len(n.Values) > 0 {
				add(where, nil, n.Values[0], unsaid)
			}
		}
	})
	p := readPage(t)
	if diff := cmp.Diff(found, p.close); diff != "" {
		t.Errorf("docs/refusals.md (-code +page):\n%s", diff)
	}
	causes := make(map[string]bool)
	for c := relay.Cause(1); c.String() != relay.Cause(255).String(); c++ {
		if c >= maxCauses {
			t.Fatalf("%d causes are too many to be counted", c)
		}
		causes[c.String()] = true
	}
	if diff := cmp.Diff(causes, p.causes); diff != "" {
		t.Errorf("causes in docs/refusals.md (-code +page):\n%s", diff)
	}
}
