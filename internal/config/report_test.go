package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// tenMistakes holds one mistake of each family; the golden file shows how all
// of them are reported together.
const tenMistakes = `listen: ":8080"
admin: "127.0.0.1:8080"          # the port of listen
upstreams:
  - {name: east, url: "ws://10.0.0.1:9001", wieght: 2}
  - {name: West, url: "tcp://10.0.0.2:9001"}
  - {name: north, url: "ws://admin:hunter2@10.0.0.3:9001", role: secondary}
  - {name: south, url: "ws://10.0.0.1:9001/"}
routes:
  - match: {path: chat}
    upstreams: [east, nroth]
health:
  interval: 5
  timeout: 1s
  timeout: 2s
failback: {hold: 10m}
metrics: {path: /metrics}
log:
  level: verbose
`

func TestReportOfManyMistakes(t *testing.T) {
	_, err := Parse("pointsman.yaml", []byte(tenMistakes), []string{
		"POINTSMAN_HEALTH_RISE=none", "POINTSMAN_HEALTH_INTERVALL=2s", "HOME=/root",
	})
	var problems Errors
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T: %v", err, err)
	}
	var keys []string
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	want := []string{
		"admin", "upstreams[0].wieght", "upstreams[1].name", "upstreams[1].url", "upstreams[2].url", "upstreams[3].url",
		"routes[0].match.path", "health.interval", "health.timeout", "failback.hold", "metrics", "log.level",
		"POINTSMAN_HEALTH_INTERVALL", "POINTSMAN_HEALTH_RISE",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	golden(t, "testdata/mistakes.golden", err.Error()+"\n")
}

// TestEachProblemIsAnError lets callers reach the problems one by one.
func TestEachProblemIsAnError(t *testing.T) {
	_, err := Parse("a.yaml", []byte(two+"router: x\nadmin: y"), nil)
	var p Problem
	if !errors.As(err, &p) || p.Line != 2 || p.Key != "router" || p.Value != "x" {
		t.Errorf("first problem %+v", p)
	}
}

// TestReportIsBounded: a file of noise must not print a megabyte.
func TestReportIsBounded(t *testing.T) {
	file := strings.Repeat("upstreams: "+strings.Repeat("x", 400)+"\n", 2000)
	problems := problemsOf(t, file)
	text := problems.Error()
	if len(problems) != 2000 || len(text) > 100_000 || !strings.HasSuffix(text, "\nand 1900 more problems") {
		t.Errorf("%d problems in %d bytes, ending %q", len(problems), len(text), text[max(0, len(text)-80):])
	}
	long := problemsOf(t, two+"admin: "+strings.Repeat("é", 5000))
	if text := long.Error(); len(text) > 1000 {
		t.Errorf("one problem takes %d bytes", len(text))
	}
}

// TestExcerpt covers lines where characters, bytes and columns differ.
func TestExcerpt(t *testing.T) {
	for _, row := range []struct{ name, file, want string }{
		{"wide characters before", two + `log: {format: "é", access: 1}`,
			"  2 | log: {format: \"é\", access: 1}\n    |                            ^"},
		{"windows line ends", strings.ReplaceAll(two+"admin: off\nrouter: x\n", "\n", "\r\n"),
			"  3 | router: x\n    |         ^"},
		{"old line ends", strings.ReplaceAll(two+"admin: off\nrouter: x\n", "\n", "\r"),
			"  3 | router: x\n    |         ^"},
		{"byte order mark", "\ufeffupstream: 1\n", "  1 | upstream: 1\n    | ^^^^^^^^"},
		{"tab inside", two + "log: {access: true,\tlevel: x}", "  2 | log: {access: true, level: x}\n    |                            ^"},
		{"long line", two + "log: {" + strings.Repeat(" ", 300) + "access: maybe, " + strings.Repeat(" ", 300) + "}",
			"  2 | " + strings.Repeat(" ", 22) + "access: maybe,\n    | " + strings.Repeat(" ", 30) + "^^^^^"},
	} {
		t.Run(row.name, func(t *testing.T) {
			problems := problemsOf(t, row.file)
			if got := problems[len(problems)-1].Excerpt; got != row.want {
				t.Errorf("excerpt:\n%s\nwant:\n%s", got, row.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"listen", "admin", "health", "upstreams", "log"}
	for word, want := range map[string]string{
		"lisetn": "listen", "Listen": "listen", "upstream": "upstreams", "lgo": "log", "logg": "log",
		"heath": "health", "": "", "x": "", "completely": "", "listen-address": "", strings.Repeat("l", 1000): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
