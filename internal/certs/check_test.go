package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckPair says for each way to be wrong which file is at fault.
func TestCheckPair(t *testing.T) {
	ca := newAuthority(t, "Test")
	good, other := ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"b.test"}})
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		write(t, path, []byte(content))
		return path
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	missing := filepath.Join(dir, "missing")
	for _, row := range []struct {
		name  string
		pair  Pair
		inKey bool
		want  string
	}{
		{"good", good, false, ""},
		{"both in one file", Pair{file("both", read(good.CertFile)+read(good.KeyFile)), filepath.Join(dir, "both")}, false, ""},
		{"certificate is missing", Pair{missing, good.KeyFile}, false, missing},
		{"key is missing", Pair{good.CertFile, missing}, true, missing},
		{"certificate is a directory", Pair{dir, good.KeyFile}, false, "not a regular file"},
		{"certificate is text", Pair{file("text", "hello"), good.KeyFile}, false, "PEM"},
		{"certificate is broken", Pair{file("broken", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"), good.KeyFile}, false, "x509"},
		{"key is text", Pair{good.CertFile, file("key", "hello")}, true, "PEM"},
		{"key is encrypted", Pair{good.CertFile, file("enc", "-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----\n")}, true, "encrypted"},
		{"key of another", Pair{good.CertFile, other.KeyFile}, true, "does not match"},
		{"the wrong way round", Pair{good.KeyFile, good.CertFile}, false, "PEM"},
		{"chain out of order", Pair{file("chain", read(good.CertFile)+read(other.CertFile)), good.KeyFile}, false, "was not issued by"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := CheckPair(row.pair)
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var fault *Fault
			if !errors.As(err, &fault) || fault.InKey != row.inKey || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%+v; want %q, in the key: %t", err, row.want, row.inKey)
			}
		})
	}
}

func TestCheckAuthorities(t *testing.T) {
	ca := newAuthority(t, "Test")
	if err := CheckAuthorities(ca.file(t)); err != nil {
		t.Error(err)
	}
	key := ca.pair(t, wish{}).KeyFile
	if err := CheckAuthorities(key); err == nil || !strings.Contains(err.Error(), key+": no certificate in it") {
		t.Error(err)
	}
}

// TestPrepare changes nothing until it is committed.
func TestPrepare(t *testing.T) {
	ca := newAuthority(t, "Test")
	first, second := ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"b.test"}})
	k := keeper(t, Options{Pairs: []Pair{first}})
	shown := func() string { return k.Status().Certificates[0].Names[0] }
	if _, err := k.Prepare(Options{Pairs: []Pair{second, {CertFile: "missing", KeyFile: "missing"}}}); err == nil {
		t.Error("a missing file was accepted")
	}
	commit, err := k.Prepare(Options{Pairs: []Pair{second}})
	if err != nil || shown() != "a.test" {
		t.Fatalf("%v, %s", err, shown())
	}
	if commit(); shown() != "b.test" {
		t.Error(shown())
	}
}
