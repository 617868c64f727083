package certs

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestACMEOptions(t *testing.T) {
	good := ACME{Domains: []string{"www.example.test"}, Directory: "https://ca.test/dir", Storage: t.TempDir(), Agreed: true}
	for _, row := range []struct {
		name   string
		change func(a *ACME)
		want   string
	}{
		{"good", func(*ACME) {}, ""},
		{"default directory", func(a *ACME) { a.Directory = "" }, ""},
		{"no domain", func(a *ACME) { a.Domains = nil }, "no domain"},
		{"wildcard", func(a *ACME) { a.Domains = []string{"*.example.test"} }, `"*.example.test" is a wildcard`},
		{"label", func(a *ACME) { a.Domains = []string{"localhost"} }, "full host name"},
		{"empty label", func(a *ACME) { a.Domains = []string{"a..test"} }, "full host name"},
		{"path", func(a *ACME) { a.Domains = []string{"a.test/../../x"} }, "a.test/../../x"},
		{"not ASCII", func(a *ACME) { a.Domains = []string{"bücher.test"} }, "xn--"},
		{"long", func(a *ACME) { a.Domains = []string{strings.Repeat("a", 64) + ".test"} }, "full host name"},
		{"email", func(a *ACME) { a.Email = "ops" }, `"ops"`},
		{"named email", func(a *ACME) { a.Email = "Ops <ops@example.com>" }, "ops@example.com"},
		{"plain directory", func(a *ACME) { a.Directory = "http://ca.test/dir" }, "https"},
		{"no storage", func(a *ACME) { a.Storage = "" }, "no storage"},
		{"not agreed", func(a *ACME) { a.Agreed = false }, "agreed"},
		{"no challenge", func(a *ACME) { a.NoHTTP, a.NoTLS = true, true }, "no challenge"},
		{"roots", func(a *ACME) { a.RootFile = "/does/not/exist" }, "/does/not/exist"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := good
			row.change(&a)
			err := newError(Options{ACME: &a})
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v; want %q in it", err, row.want)
			}
		})
	}
	a := good
	a.Directory = ""
	if a = a.copied(); a.issuerKey() != "acme-v02.api.letsencrypt.org-directory" {
		t.Error(a.issuerKey())
	}
	if _, err := good.stored(t.Context(), "www.example.test"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestAgain(t *testing.T) {
	var last time.Duration
	for failed := range 10 {
		wait := again(failed)
		if wait < last || wait < time.Minute || wait > 3*time.Hour {
			t.Errorf("after %d: %v", failed, wait)
		}
		last = wait
	}
	if last != 3*time.Hour {
		t.Errorf("in the end: %v", last)
	}
}
