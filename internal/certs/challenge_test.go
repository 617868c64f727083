package certs

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOtherChallenge: if one cannot be answered, the other helps out.
func TestOtherChallenge(t *testing.T) {
	d := newDirectory(t)
	var log journal
	k := keeper(t, Options{ACME: d.options(t.TempDir(), "www.example.test"), Logger: log.logger()})
	doors(t, d, k)
	d.mu.Lock()
	d.httpAddr = "127.0.0.1:1" // Nobody is there.
	d.mu.Unlock()
	running(t, k)
	log.await(t, obtained, 1)
	if _, order := d.ordered(); order.kind != "tls-alpn-01" {
		t.Errorf("%+v", order)
	}
}

// TestAnotherProcessAnswers: two processes share a storage, and the directory comes
// to the one that did not ask.
func TestAnotherProcessAnswers(t *testing.T) {
	for _, kind := range []string{"tls-alpn-01", "http-01"} {
		t.Run(kind, func(t *testing.T) {
			d := newDirectory(t)
			a := d.options(t.TempDir(), "www.example.test")
			a.NoHTTP, a.NoTLS = kind != "http-01", kind != "tls-alpn-01"
			var log journal
			asks, answers := keeper(t, Options{ACME: a, Logger: log.logger()}), keeper(t, Options{ACME: a, Logger: log.logger()})
			doors(t, d, answers)
			stop := running(t, asks)
			log.await(t, obtained, 1)
			stop()
			running(t, answers)
			log.await(t, obtained, 2)
			if n, _ := d.ordered(); n != 1 {
				t.Errorf("%d orders; want one for both", n)
			}
		})
	}
}

// TestStaleChallenge: a leftover of a process that died is no challenge.
func TestStaleChallenge(t *testing.T) {
	a := &ACME{Domains: []string{"www.example.test"}, Directory: "https://ca.test/dir", Storage: t.TempDir()}
	path := filepath.Join(a.Storage, filepath.FromSlash(a.challengeKey("www.example.test")))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte(`{"type":"http-01","token":"abc","keyAuthorization":"abc.def","identifier":{"type":"dns","value":"www.example.test"}}`))
	var c challenges
	if got, ok := c.get(a, "www.example.test"); !ok || got.KeyAuthorization != "abc.def" {
		t.Errorf("%+v, %t", got, ok)
	}
	write(t, filepath.Join(filepath.Dir(path), "other.example.test.json"), mustRead(t, path))
	if got, ok := c.get(a, "other.example.test"); ok {
		t.Errorf("%+v, for a domain that is none of ours", got)
	}
	old := time.Now().Add(-staleChallenge - time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got, ok := c.get(a, "www.example.test"); ok {
		t.Errorf("%+v", got)
	}
}

// FuzzHTTPChallenge: what strangers ask for leads to no other file, and to no
// other answer than the one that is waited for.
func FuzzHTTPChallenge(f *testing.F) {
	dir := f.TempDir()
	a := &ACME{Domains: []string{"www.example.test"}, Directory: "https://ca.test/dir", Storage: dir}
	k := &Keeper{}
	k.now.Store(&state{acme: a})
	path := filepath.Join(dir, filepath.FromSlash(a.challengeKey("www.example.test")))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"type":"http-01","token":"abc","keyAuthorization":"abc.def"}`), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add("www.example.test", challengePath+"abc")
	f.Add("WWW.example.test.:80", challengePath+"abc")
	f.Add("www.example.test", challengePath)
	f.Add("www.example.test", challengePath+"../abc")
	f.Add("../challenge_tokens/www.example.test", challengePath+"abc")
	f.Add("[::1]:80", challengePath+"abc")
	f.Fuzz(func(t *testing.T, host, path string) {
		body, ok := k.HTTPChallenge(host, path)
		name := host
		if plain, _, err := net.SplitHostPort(host); err == nil {
			name = plain
		}
		want := plainName(name) == "www.example.test" && path == challengePath+"abc"
		if ok != want || ok != (string(body) == "abc.def") {
			t.Errorf("%q, %q: %q, %t; want %t", host, path, body, ok, want)
		}
	})
}
