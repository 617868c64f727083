package config

import (
	"regexp"
	"strings"
	"testing"
)

func TestReferenceIsWritten(t *testing.T) {
	golden(t, "../../docs/configuration.md", Reference())
}

func TestDefaultDump(t *testing.T) {
	c := base()
	golden(t, "testdata/dump.golden", c.YAML())
}

// TestKeysAreDescribed holds the texts of the table to their form.
func TestKeysAreDescribed(t *testing.T) {
	seen := make(map[string]bool)
	form := regexp.MustCompile(`^[a-z0-9_]+(\[\])?(\.[a-z0-9_]+(\[\])?)*$`)
	for _, k := range Keys() {
		if seen[k.Path] || !form.MatchString(k.Path) {
			t.Errorf("key %q is there twice or has a bad form", k.Path)
		}
		seen[k.Path] = true
		if k.Type == "" || k.Default == "" {
			t.Errorf("%s: type %q, default %q", k.Path, k.Type, k.Default)
		}
		if len(k.Doc) < 20 || !strings.HasSuffix(k.Doc, ".") || strings.Contains(k.Doc, "\n") {
			t.Errorf("%s: doc %q is not a sentence on one line", k.Path, k.Doc)
		}
	}
}
