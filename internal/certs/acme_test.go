package certs

import (
	"context"
	"crypto/tls"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
)

// doors opens ports on this machine through which a Keeper can be looked at, and
// tells the directory of them.
func doors(t *testing.T, d *directory, k *Keeper) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var visits sync.WaitGroup
	visits.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			visits.Go(func() {
				defer conn.Close()
				secure := tls.Server(conn, k.Config())
				if secure.Handshake() == nil && secure.ConnectionState().NegotiatedProtocol != challengeProtocol {
					t.Error("a directory was taken for a client")
				}
			})
		}
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := k.HTTPChallenge(r.Host, r.URL.Path)
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() {
		ln.Close()
		web.Close()
		visits.Wait()
	})
	d.mu.Lock()
	d.tlsAddr, d.httpAddr = ln.Addr().String(), strings.TrimPrefix(web.URL, "http://")
	d.mu.Unlock()
}

const obtained = `msg="certificate obtained"`

// TestObtain gets a certificate with each challenge, and finds it again after a
// restart.
func TestObtain(t *testing.T) {
	for _, row := range []struct {
		kind   string
		mutual bool
	}{{"tls-alpn-01", false}, {"tls-alpn-01", true}, {"http-01", true}} {
		name := row.kind
		if row.mutual {
			name += " with client certificates"
		}
		t.Run(name, func(t *testing.T) {
			d, clients := newDirectory(t), newAuthority(t, "Clients")
			a := d.options(filepath.Join(t.TempDir(), "acme"), "WWW.example.test.", "www.example.test")
			a.NoHTTP, a.NoTLS = row.kind != "http-01", row.kind != "tls-alpn-01"
			var log journal
			o := Options{ACME: a, Strict: true, Logger: log.logger(), ALPN: []string{"http/1.1"}}
			config := &tls.Config{ServerName: "www.example.test", RootCAs: d.ca.pool()}
			if row.mutual {
				o.ClientCA = clients.file(t)
				config.Certificates = []tls.Certificate{clients.client(t)}
			}
			k := keeper(t, o)
			doors(t, d, k)
			if o := shake(k.Config(), config); o.clientErr == nil || !strings.Contains(o.clientErr.Error(), "unrecognized name") {
				t.Errorf("before: %v; want the alert unrecognized_name", o.clientErr)
			}
			before := goleak.IgnoreCurrent()
			stop := running(t, k)
			log.await(t, obtained, 1)
			stop()
			goleak.VerifyNone(t, before)

			serial := shake(k.Config(), config).leaf(t)
			if n, order := d.ordered(); n != 1 || order.kind != row.kind {
				t.Errorf("%d orders, %+v; want 1", n, order)
			}
			s := k.Status().Certificates
			if len(s) != 1 || !s[0].ACME || s[0].Err != nil || s[0].Names[0] != "www.example.test" || s[0].Issuer != "CN=ACME" || s[0].Key != "ECDSA P-256" || s[0].File != "" {
				t.Errorf("status: %+v", s)
			}
			if _, ok := k.HTTPChallenge("www.example.test", challengePath+d.orders[0].token); ok {
				t.Error("the challenge is still there")
			}
			private(t, a.Storage, &log)

			again := keeper(t, o)
			if got := shake(again.Config(), config).leaf(t); got != serial {
				t.Error("another certificate after a restart")
			}
			if err := again.attempt(t.Context(), again.options.ACME, "www.example.test"); err != nil {
				t.Error(err)
			}
			if n, _ := d.ordered(); n != 1 {
				t.Errorf("%d orders after a restart; want 1", n)
			}
		})
	}
}

// private checks that nobody else can read what is in the storage, and that no key
// of it is in the log, which has everything down to level Debug.
func private(t *testing.T, storage string, log *journal) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(storage, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
			for _, secret := range secrets(t, path) {
				if log.count(secret) > 0 {
					t.Errorf("the key of %s is in the log", path)
				}
			}
		}
		return nil
	})
	if err != nil || keys != 2 {
		t.Errorf("%d keys, %v; want those of the account and of the certificate", keys, err)
	}
	if log.count("level=DEBUG") == 0 || log.count("level=ERROR") > 0 || log.count("level=WARN") > 0 {
		t.Errorf("log: %s", log.String())
	}
}

// TestRenew replaces a certificate that is about to end, or that the directory
// wants to be replaced.
func TestRenew(t *testing.T) {
	for name, ari := range map[string]bool{"time": false, "directory": true} {
		t.Run(name, func(t *testing.T) {
			d := newDirectory(t)
			d.ari = ari
			d.life = func(n int) wish {
				if n == 0 && !ari {
					return wish{from: -80 * day, to: 10 * day}
				}
				return wish{}
			}
			a := d.options(filepath.Join(t.TempDir(), "acme"), "www.example.test")
			a.NoHTTP = true
			var log journal
			k := keeper(t, Options{ACME: a, Logger: log.logger()})
			k.pace.renew = time.Millisecond
			doors(t, d, k)
			stop := running(t, k)
			log.await(t, obtained, 2)
			stop()
			n, order := d.ordered()
			if n != 2 || (order.replaces != "") != ari {
				t.Errorf("%d orders, %+v; want 2, the second as a replacement: %t", n, order, ari)
			}
			o := shake(k.Config(), &tls.Config{ServerName: "www.example.test", RootCAs: d.ca.pool()})
			if left := time.Until(readAll(t, o).NotAfter); left < 80*day {
				t.Errorf("%v left", left)
			}
			private(t, a.Storage, onlyNotes(&log))
		})
	}
}

// onlyNotes is the log without the warning that belongs to the test.
func onlyNotes(log *journal) *journal {
	var rest journal
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, "certificate ends soon") {
			_, _ = rest.Write([]byte(line))
		}
	}
	return &rest
}

func readAll(t *testing.T, o outcome) Certificate {
	t.Helper()
	o.leaf(t)
	return (&certificate{tls: &tls.Certificate{Leaf: o.client.PeerCertificates[0]}}).status()
}

// TestOneDomainFails: it does not keep the others from their certificates, the
// status says why, and the pair stands in.
func TestOneDomainFails(t *testing.T) {
	d, ca := newDirectory(t), newAuthority(t, "Test")
	a := d.options(t.TempDir(), "bad.example.test", "good.example.test")
	a.NoHTTP = true
	var log journal
	k := keeper(t, Options{Pairs: []Pair{ca.pair(t, wish{names: []string{"*.example.test"}})}, ACME: a, Logger: log.logger()})
	doors(t, d, k)
	d.mu.Lock()
	d.distrusts = "bad.example.test"
	d.mu.Unlock()
	stop := running(t, k)
	log.await(t, obtained, 1)
	stop()
	if n := log.count(`level=WARN msg="certificate not obtained" domain=bad.example.test`); n != 1 {
		t.Errorf("told %d times; want once\n%s", n, log.String())
	}
	s := k.Status()
	if s.Err != nil || len(s.Certificates) != 3 {
		t.Fatalf("%+v", s)
	}
	if bad := s.Certificates[1]; bad.Err == nil || !strings.Contains(bad.Err.Error(), "key authorization") || bad.Names[0] != "bad.example.test" || !bad.NotAfter.IsZero() {
		t.Errorf("%+v", bad)
	}
	if good := s.Certificates[2]; good.Err != nil || good.NotAfter.IsZero() {
		t.Errorf("%+v", good)
	}
	for name, roots := range map[string]*authority{"bad.example.test": ca, "good.example.test": d.ca} {
		shake(k.Config(), &tls.Config{ServerName: name, RootCAs: roots.pool()}).leaf(t)
	}
}

// TestApplyACME changes the domains while it runs, and gives ACME up.
func TestApplyACME(t *testing.T) {
	d, ca := newDirectory(t), newAuthority(t, "Test")
	storage := t.TempDir()
	options := func(domains ...string) Options {
		a := d.options(storage, domains...)
		a.NoHTTP = true
		return Options{Pairs: []Pair{ca.pair(t, wish{names: []string{"default.test"}})}, ACME: a, Strict: true}
	}
	var log journal
	first := options("a.example.test")
	first.Logger = log.logger()
	k := keeper(t, first)
	doors(t, d, k)
	running(t, k)
	log.await(t, obtained, 1)
	served := func(name string) bool {
		return shake(k.Config(), &tls.Config{ServerName: name, RootCAs: d.ca.pool()}).clientErr == nil
	}
	if err := k.Apply(options("a.example.test", "b.example.test")); err != nil {
		t.Fatal(err)
	}
	if !served("a.example.test") {
		t.Error("a is gone")
	}
	log.await(t, obtained, 2)
	if !served("a.example.test") || !served("b.example.test") {
		t.Error("a or b is missing")
	}
	if err := k.Apply(options("b.example.test")); err != nil {
		t.Fatal(err)
	}
	if served("a.example.test") || !served("b.example.test") {
		t.Error("a is there, or b is missing")
	}
	bad := options("c.example.test")
	bad.ACME.Agreed = false
	if err := k.Apply(bad); err == nil {
		t.Error("no error")
	}
	if !served("b.example.test") {
		t.Error("b is gone after options that were refused")
	}
	none := options()
	none.ACME = nil
	if err := k.Apply(none); err != nil {
		t.Fatal(err)
	}
	if served("b.example.test") || len(k.Status().Certificates) != 1 {
		t.Error("b is still there without ACME")
	}
	if err := k.Apply(options("a.example.test", "b.example.test")); err != nil {
		t.Fatal(err)
	}
	if !served("a.example.test") || !served("b.example.test") {
		t.Error("what was stored is not in use")
	}
	if n, _ := d.ordered(); n != 2 {
		t.Errorf("%d orders; want 2", n)
	}
}

// TestOtherDirectory: what the old one signed is in use until the new one has.
func TestOtherDirectory(t *testing.T) {
	first, second := newDirectory(t), newDirectory(t)
	storage := t.TempDir()
	var log journal
	options := func(d *directory) Options {
		a := d.options(storage, "www.example.test")
		a.NoHTTP = true
		return Options{ACME: a, Logger: log.logger()}
	}
	k := keeper(t, options(first))
	doors(t, first, k)
	doors(t, second, k)
	stop := running(t, k)
	log.await(t, obtained, 1)
	stop()
	signedBy := func(d *directory) bool {
		return shake(k.Config(), &tls.Config{ServerName: "www.example.test", RootCAs: d.ca.pool()}).clientErr == nil
	}
	if err := k.Apply(options(second)); err != nil {
		t.Fatal(err)
	}
	if !signedBy(first) {
		t.Error("nothing is in use while the new directory is asked")
	}
	running(t, k)
	log.await(t, obtained, 2)
	if !signedBy(second) {
		t.Error("what the new directory signed is not in use")
	}

	late, err := parse(first.ca.issue(t, wish{names: []string{"late.test"}}))
	if err != nil {
		t.Fatal(err)
	}
	k.use("late.test", late) // Its domain was removed while it was obtained.
	if len(k.Status().Certificates) != 1 || k.obtained["late.test"] != nil {
		t.Error("a certificate for a domain that nobody wants is in use")
	}
}

// TestForgottenAccount: a directory that was set up anew gets a new account.
func TestForgottenAccount(t *testing.T) {
	d := newDirectory(t)
	storage := t.TempDir()
	var log journal
	obtain := func(domain string, times int) {
		t.Helper()
		a := d.options(storage, domain)
		a.NoTLS = true
		k := keeper(t, Options{ACME: a, Logger: log.logger()})
		doors(t, d, k)
		stop := running(t, k)
		log.await(t, obtained, times)
		stop()
	}
	obtain("a.example.test", 1)
	obtain("b.example.test", 2)
	d.mu.Lock()
	if len(d.accounts) != 1 {
		t.Errorf("%d accounts; want 1", len(d.accounts))
	}
	clear(d.accounts)
	d.mu.Unlock()
	obtain("c.example.test", 3)
	if len(d.accounts) != 1 {
		t.Errorf("%d accounts; want 1", len(d.accounts))
	}
}

// TestTornStorage: a process has died between the certificate and its key.
func TestTornStorage(t *testing.T) {
	d := newDirectory(t)
	a := d.options(filepath.Join(t.TempDir(), "acme"), "www.example.test")
	a.NoTLS = true
	var log journal
	k := keeper(t, Options{ACME: a, Logger: log.logger()})
	doors(t, d, k)
	stop := running(t, k)
	log.await(t, obtained, 1)
	stop()
	_, key := d.ca.issue(t, wish{})
	write(t, filepath.Join(a.Storage, filepath.FromSlash(certmagic.StorageKeys.SitePrivateKey(a.issuerKey(), "www.example.test"))), key)
	again := keeper(t, Options{ACME: a, Logger: log.logger()})
	if s := again.Status().Certificates[0]; !s.NotAfter.IsZero() {
		t.Errorf("in use: %+v", s)
	}
	running(t, again)
	log.await(t, obtained, 2)
	shake(again.Config(), &tls.Config{ServerName: "www.example.test", RootCAs: d.ca.pool()}).leaf(t)
}

// TestRunEndsDuringAnAttempt: the directory does not answer, and nobody waits for it.
func TestRunEndsDuringAnAttempt(t *testing.T) {
	d := newDirectory(t)
	asked, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.gate = func(r *http.Request) bool {
		if r.URL.Path != "/orders" {
			return true
		}
		once.Do(func() { close(asked) })
		<-done
		return false
	}
	defer close(done)
	var log journal
	k := keeper(t, Options{ACME: d.options(t.TempDir(), "www.example.test"), Logger: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.Run(ctx)
	}()
	<-asked
	if err := k.Apply(Options{ACME: d.options(t.TempDir(), "other.example.test")}); err != nil { // That ends the attempt, too.
		t.Error(err)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second): // The client's own time-outs are longer.
		t.Error("Run has not returned")
	}
	if log.count("level=WARN") > 0 {
		t.Errorf("log: %s", log.String())
	}
}
