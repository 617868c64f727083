package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSwap: new handshakes get the new certificate, and an open connection does
// not notice.
func TestSwap(t *testing.T) {
	ca := newAuthority(t, "Test")
	pair := ca.pair(t, wish{names: []string{"a.test"}})
	k := keeper(t, Options{Pairs: []Pair{pair}})
	client := &tls.Config{ServerName: "a.test", RootCAs: ca.pool()}
	config := k.Config()

	near, far := net.Pipe()
	var echo sync.WaitGroup
	echo.Go(func() {
		defer far.Close()
		conn := tls.Server(far, config)
		_, _ = io.Copy(conn, conn)
	})
	open := tls.Client(near, client)
	defer func() {
		open.Close()
		echo.Wait()
	}()
	talk := func(text string) {
		t.Helper()
		if _, err := open.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(open, got); err != nil || string(got) != text {
			t.Fatalf("%q, %v; want %q", got, err, text)
		}
	}
	talk("before")
	old := open.ConnectionState().PeerCertificates[0].SerialNumber.String()

	cert, key := ca.issue(t, wish{names: []string{"a.test"}})
	pair.write(t, cert, key)
	if got := shake(config, client).leaf(t); got != old {
		t.Error("another certificate before the reload")
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := shake(config, client).leaf(t); got == old {
		t.Error("the old certificate after the reload")
	}
	talk("after")
	if got := open.ConnectionState().PeerCertificates[0].SerialNumber.String(); got != old {
		t.Error("the open connection has changed")
	}

	other := ca.pair(t, wish{names: []string{"b.test"}})
	if err := k.Apply(Options{Pairs: []Pair{other}, Strict: true}); err != nil {
		t.Fatal(err)
	}
	if k.Config() != config {
		t.Error("another pointer after Apply")
	}
	if o := shake(config, client); o.clientErr == nil {
		t.Error("a name that was removed is still served")
	}
	shake(config, &tls.Config{ServerName: "b.test", RootCAs: ca.pool()}).leaf(t)
	talk("after other options")
}

// TestAllOrNothing breaks one file at a time. Neither Reload nor Apply may take on
// anything then, and the error has to name the file.
func TestAllOrNothing(t *testing.T) {
	ca := newAuthority(t, "Test")
	middle := ca.intermediate(t, "Middle")
	good := ca.pair(t, wish{names: []string{"good.test"}})
	goodCert, goodKey := ca.issue(t, wish{names: []string{"good.test"}})
	otherCert, otherKey := ca.issue(t, wish{names: []string{"other.test"}})
	deepCert, deepKey := middle.issue(t, wish{names: []string{"deep.test"}})
	locked := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	second := Pair{CertFile: filepath.Join(t.TempDir(), "second.crt"), KeyFile: filepath.Join(t.TempDir(), "second.key")}
	clientCA := ca.file(t)
	options := Options{Pairs: []Pair{good, second}, ClientCA: clientCA}

	for _, row := range []struct {
		name      string
		cert, key []byte
		ca        []byte
		want      []string // nil: nothing is wrong
	}{
		{"good", otherCert, otherKey, ca.pem, nil},
		{"chain in order", bytes.Join([][]byte{deepCert, middle.pem, ca.pem}, nil), deepKey, ca.pem, nil},
		{"both in one file", append(otherKey[:len(otherKey):len(otherKey)], otherCert...), otherKey, ca.pem, nil},
		{"another key", otherCert, goodKey, ca.pem, []string{second.CertFile, second.KeyFile, "does not match"}},
		{"no PEM", []byte("hello"), otherKey, ca.pem, []string{second.CertFile}},
		{"empty", nil, nil, ca.pem, []string{second.CertFile}},
		{"exchanged", otherKey, otherCert, ca.pem, []string{second.CertFile}},
		{"half a certificate", otherCert[:len(otherCert)/2], otherKey, ca.pem, []string{second.CertFile}},
		{"encrypted key", otherCert, locked, ca.pem, []string{second.KeyFile, "encrypted"}},
		{"chain out of order", bytes.Join([][]byte{deepCert, ca.pem, middle.pem}, nil), deepKey, ca.pem, []string{second.CertFile, "deep.test", "was not issued by number 2"}},
		{"a stranger's chain", append(otherCert[:len(otherCert):len(otherCert)], goodCert...), otherKey, ca.pem, []string{"other.test", "good.test"}},
		{"too large", bytes.Repeat([]byte{'\n'}, largest+1), otherKey, ca.pem, []string{second.CertFile, "more than"}},
		{"no authority", otherCert, otherKey, nil, []string{clientCA, "no certificate in it"}},
		{"bad authority", otherCert, otherKey, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), []string{clientCA, "PEM block 1"}},
		{"two mistakes", otherCert, goodKey, nil, []string{second.CertFile, clientCA}},
	} {
		t.Run(row.name, func(t *testing.T) {
			second.write(t, deepCert, deepKey)
			write(t, clientCA, ca.pem)
			k := keeper(t, options)
			before, was := k.now.Load(), k.Status()

			second.write(t, row.cert, row.key)
			write(t, clientCA, row.ca)
			for what, err := range map[string]error{"Reload": k.Reload(), "Apply": k.Apply(options), "New": newError(options)} {
				if row.want == nil {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					continue
				}
				if err == nil {
					t.Errorf("%s: no error", what)
					continue
				}
				for _, want := range row.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v; want %q in it", what, err, want)
					}
				}
				if strings.Contains(err.Error(), "PRIVATE") && row.name != "encrypted key" {
					t.Errorf("%s: %v; it tells of the key", what, err)
				}
			}
			if row.want == nil {
				return
			}
			if k.now.Load() != before {
				t.Error("something was taken on")
			}
			now := k.Status()
			if now.Err == nil {
				t.Error("no error in the status")
			}
			now.Err, now.ClientCAErr = nil, nil
			for i := range now.Certificates {
				now.Certificates[i].Err = nil
			}
			if diff := cmp.Diff(was, now); diff != "" {
				t.Errorf("status (-before +after):\n%s", diff)
			}
		})
	}
}

func newError(o Options) error {
	_, err := New(o)
	return err
}

func TestUnreadable(t *testing.T) {
	ca := newAuthority(t, "Test")
	good := ca.pair(t, wish{names: []string{"a.test"}})
	dir := t.TempDir()
	for _, row := range []struct {
		name string
		o    Options
		want string
	}{
		{"missing certificate", Options{Pairs: []Pair{{filepath.Join(dir, "no.crt"), good.KeyFile}}}, "no.crt"},
		{"missing key", Options{Pairs: []Pair{{good.CertFile, filepath.Join(dir, "no.key")}}}, "no.key"},
		{"directory", Options{Pairs: []Pair{{dir, good.KeyFile}}}, "not a regular file"},
		{"missing authorities", Options{Pairs: []Pair{good}, ClientCA: filepath.Join(dir, "no.ca")}, "no.ca"},
		{"nothing", Options{}, "no certificate"},
		{"no key file", Options{Pairs: []Pair{good, {CertFile: good.CertFile}}}, "certificate 2: no key file"},
		{"no certificate file", Options{Pairs: []Pair{{KeyFile: good.KeyFile}}}, "certificate 1: no file"},
		{"old version", Options{Pairs: []Pair{good}, MinVersion: tls.VersionTLS11}, "TLS 1.1"},
		{"empty protocol", Options{Pairs: []Pair{good}, ALPN: []string{"h2", ""}}, `ALPN protocol ""`},
		{"reserved protocol", Options{Pairs: []Pair{good}, ALPN: []string{"acme-tls/1"}}, "reserved"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := newError(row.o); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v; want %q in it", err, row.want)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	ca := newAuthority(t, "Test Authority")
	first := ca.pair(t, wish{names: []string{"A.test", "*.b.test"}, ips: []string{"192.0.2.1"}, key: rsaKey()})
	second := ca.pair(t, wish{names: []string{"c.test"}, key: ed25519Key(t)})
	k := keeper(t, Options{Pairs: []Pair{first, second}, ClientCA: ca.file(t)})
	s := k.Status()
	if s.Err != nil || s.ClientCA == "" {
		t.Errorf("%+v", s)
	}
	want := []Certificate{
		{Names: []string{"a.test", "*.b.test", "192.0.2.1"}, Issuer: "CN=Test Authority", Key: "RSA 2048", File: first.CertFile},
		{Names: []string{"c.test"}, Issuer: "CN=Test Authority", Key: "Ed25519", File: second.CertFile},
	}
	for i := range want {
		leaf := readLeaf(t, want[i].File)
		want[i].NotBefore, want[i].NotAfter = leaf.NotBefore, leaf.NotAfter
	}
	if diff := cmp.Diff(want, s.Certificates); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}

	if err := os.Remove(second.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err == nil {
		t.Fatal("no error")
	}
	s = k.Status()
	if s.Err == nil || s.Certificates[0].Err != nil || s.Certificates[1].Err == nil {
		t.Errorf("%+v; want an error, and that of the second pair", s)
	}
	cert, key := ca.issue(t, wish{names: []string{"d.test"}})
	second.write(t, cert, key)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if s = k.Status(); s.Err != nil || s.Certificates[1].Err != nil || s.Certificates[1].Names[0] != "d.test" {
		t.Errorf("%+v; want no error any more", s)
	}
}

func readLeaf(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// TestConcurrently reloads, applies and rotates under handshakes, for the race
// detector.
func TestConcurrently(t *testing.T) {
	ca := newAuthority(t, "Test")
	pairs := []Pair{ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"a.test"}})}
	k := keeper(t, Options{Pairs: pairs[:1]})
	running(t, k)
	client := &tls.Config{ServerName: "a.test", RootCAs: ca.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	var work sync.WaitGroup
	work.Go(func() {
		for i := range 50 {
			if err := k.Apply(Options{Pairs: pairs[i%2 : i%2+1]}); err != nil {
				t.Error(err)
			}
			k.rotate()
			if err := k.Reload(); err != nil {
				t.Error(err)
			}
			k.Status()
		}
	})
	for range 2 {
		work.Go(func() {
			for range 25 {
				if o := shake(k.Config(), client); o.clientErr != nil {
					t.Error(o.clientErr)
				}
			}
		})
	}
	work.Wait()
}
