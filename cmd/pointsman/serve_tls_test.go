package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certtest"
)

// quietLog takes what a server of the standard library says of bad handshakes.
var quietLog = log.New(io.Discard, "", 0)

// here are the names of everything on this machine.
var here = certtest.Wish{Names: []string{"127.0.0.1", "router.test"}}

// secureListener is a listener with a certificate; more are further keys of its
// section tls.
func secureListener(cert, key, more string) string {
	return fmt.Sprintf("listen: [{address: \"127.0.0.1:0\", tls: {certificates: [{cert: %q, key: %q}]%s}}]\n", cert, key, more)
}

// TestServeTLS: messages of all sizes pass over TLS on both sides, and the
// router tells about its certificate.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, here)}})
	cert, key := ca.Files(t, here)
	s := serveFile(t, secureListener(cert, key, "")+fmt.Sprintf("upstreams: [{name: east, url: %q, tls: {ca: %q}}]\n", upstream.url(), ca.File(t)))
	if !strings.HasPrefix(s.url, "wss://") {
		t.Fatalf("it listens on %s", s.url)
	}
	s.awaitHealthy()
	c := s.open(&tls.Config{RootCAs: ca.Pool()})
	for _, size := range []int{0, 1, 125, 16 << 10, 1 << 20} {
		if err := echo(c, size); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	certificates := s.status().Certificates
	if len(certificates) != 1 {
		t.Fatalf("%+v", certificates)
	}
	got := certificates[0]
	if got.Listener != "127.0.0.1:0" || strings.Join(got.Names, " ") != "router.test 127.0.0.1" || got.Source != admin.FromFile || got.File != cert || got.Error != "" ||
		time.Until(got.NotAfter) < 89*24*time.Hour {
		t.Errorf("%+v", got)
	}
	if code, page, _ := tryLive(t, "status", "--admin", s.admin); code != exitOK || !strings.Contains(page, "router.test, 127.0.0.1  127.0.0.1:0  file    in 89d23h  -") {
		t.Errorf("exit code %d, %s", code, page)
	}

	// Who does not speak it is told so.
	if _, err := dialTo(t, "ws://"+s.address(), nil); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("without TLS: %v", err)
	}
}

// TestServeFlagsTLS: without a file, TLS on both sides by flags. Nobody vouches
// for the upstream, and the line about it says so.
func TestServeFlagsTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, here)}})
	cert, key := ca.Files(t, here)
	s := newServed(t)
	s.start("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--primary", upstream.url())
	if _, err := leafOf(s.address(), &tls.Config{RootCAs: ca.Pool()}); err != nil {
		t.Error(err)
	}
	s.awaitStatus("the upstream to be judged", func(a *admin.Status) bool {
		return a.Upstreams[0].LastProbe != nil && strings.Contains(a.Upstreams[0].LastProbe.Error, "signed by CN=Test, which is not trusted")
	})
}

// TestServeSwapsCertificates: the files change under live sessions. None ends, and
// new handshakes see the new certificate.
func TestServeSwapsCertificates(t *testing.T) {
	t.Parallel()
	const sessions = 1000
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, nil)
	cert, key := ca.Files(t, here)
	s := serveFile(t, secureListener(cert, key, "")+fmt.Sprintf("upstreams: [{name: east, url: %q}]\n", upstream.url()))
	s.awaitHealthy()
	trust := &tls.Config{RootCAs: ca.Pool()}
	var mu sync.Mutex
	var open []*websocket.Conn
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range sessions / 20 {
				c, err := s.dial(trust)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if t.Failed() {
		return
	}
	before, err := leafOf(s.address(), trust)
	if err != nil {
		t.Fatal(err)
	}
	talk := func() {
		t.Helper()
		for i, c := range open {
			if err := echo(c, 1000); err != nil {
				t.Fatalf("session %d: %v", i, err)
			}
		}
	}
	talk()
	ca.Renew(t, certtest.Wish{Names: here.Names, To: 30 * 24 * time.Hour}, cert, key)
	s.await("the new certificate", func() bool {
		now, err := leafOf(s.address(), trust)
		if err != nil {
			t.Fatal(err) // At no moment a handshake fails.
		}
		return now != before
	})
	talk()
	status := s.status()
	if status.Sessions.Open != sessions || status.Sessions.Ended != 0 {
		t.Errorf("%+v", status.Sessions)
	}
	if left := time.Until(status.Certificates[0].NotAfter); left > 31*24*time.Hour {
		t.Errorf("status tells of a certificate for %v", left)
	}
}

// TestServeNames: which certificate is shown for which name, and who gets none.
func TestServeNames(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, nil)
	first, firstKey := ca.Files(t, here)
	second, secondKey := ca.Files(t, certtest.Wish{Names: []string{"*.other.test"}})
	for _, strict := range []bool{false, true} {
		text := fmt.Sprintf("listen:\n- address: 127.0.0.1:0\n  tls:\n    certificates:\n    - {cert: %q, key: %q}\n    - {cert: %q, key: %q}\n    strict_sni: %t\nupstreams: [{name: east, url: %q}]\n",
			first, firstKey, second, secondKey, strict, upstream.url())
		s := serveFile(t, text)
		s.awaitHealthy()
		for _, name := range []string{"router.test", "a.other.test", "127.0.0.1"} {
			if _, err := leafOf(s.address(), &tls.Config{RootCAs: ca.Pool(), ServerName: name}); err != nil {
				t.Errorf("strict %t, %s: %v", strict, name, err)
			}
		}
		_, err := leafOf(s.address(), &tls.Config{RootCAs: ca.Pool(), ServerName: "stranger.test"})
		var wrong x509.HostnameError
		if strict != strings.Contains(fmt.Sprint(err), "unrecognized name") || strict == errors.As(err, &wrong) {
			t.Errorf("strict %t, a stranger's name: %v", strict, err)
		}
		if err := echo(s.open(&tls.Config{RootCAs: ca.Pool(), ServerName: "x.other.test"}), 10); err != nil {
			t.Error(err)
		}
	}
}

// TestServeVersions: an old version is refused, and the others work.
func TestServeVersions(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, nil)
	cert, key := ca.Files(t, here)
	up := fmt.Sprintf("upstreams: [{name: east, url: %q}]\n", upstream.url())
	for _, row := range []struct {
		more     string
		accepted map[uint16]bool
	}{
		{"", map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true}},
		{", min_version: 1.3", map[uint16]bool{tls.VersionTLS12: false, tls.VersionTLS13: true}},
	} {
		s := serveFile(t, secureListener(cert, key, row.more)+up)
		for version, want := range row.accepted {
			_, err := leafOf(s.address(), &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: version})
			if (err == nil) != want {
				t.Errorf("%q, %s: %v", row.more, tls.VersionName(version), err)
			}
		}
	}
}

// TestServeMutualTLS: on both sides those come in who have a certificate that is
// trusted.
func TestServeMutualTLS(t *testing.T) {
	t.Parallel()
	ca, clients, strangers := certtest.New(t, "Test"), certtest.New(t, "Clients"), certtest.New(t, "Strangers")
	upstream := newEchoServer(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Certificate(t, here)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(),
	})
	cert, key := ca.Files(t, here)
	own, ownKey := clients.Files(t, certtest.Wish{Names: []string{"router.test"}})
	strange, strangeKey := strangers.Files(t, certtest.Wish{Names: []string{"router.test"}})
	caFile := ca.File(t)
	file := func(own string) string {
		return secureListener(cert, key, fmt.Sprintf(", client_ca: %q", clients.File(t))) +
			fmt.Sprintf("upstreams: [{name: east, url: %q, tls: {ca: %q%s}}]\n", upstream.url(), caFile, own)
	}
	s := serveFile(t, file(fmt.Sprintf(", cert: %q, key: %q", own, ownKey)))
	s.awaitHealthy()
	with := func(pair ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: ca.Pool(), Certificates: pair} }
	if err := echo(s.open(with(clients.Certificate(t, certtest.Wish{}))), 1000); err != nil {
		t.Error(err)
	}
	for name, config := range map[string]*tls.Config{
		"no certificate": with(), "a stranger's": with(strangers.Certificate(t, certtest.Wish{})),
		"an expired one": with(clients.Certificate(t, certtest.Wish{From: -2 * time.Hour, To: -time.Hour})),
	} {
		if err := refused(s.address(), config); err == nil {
			t.Errorf("with %s a client came in", name)
		}
	}
	for name, own := range map[string]string{"no certificate": "", "a stranger's": fmt.Sprintf(", cert: %q, key: %q", strange, strangeKey)} {
		s := serveFile(t, file(own))
		s.awaitStatus("an upstream that refuses us with "+name+" to be down", func(a *admin.Status) bool {
			p := a.Upstreams[0].LastProbe
			return p != nil && strings.Contains(p.Error, "remote error: tls: ")
		})
	}
}

// TestServeACME: without a directory that answers there is no certificate yet.
// Status says so and why, the listener beside it works, and so does one that has
// a certificate in a file, too.
func TestServeACME(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, nil)
	cert, key := ca.Files(t, here)
	acme := fmt.Sprintf("acme: {domains: [chat.example.org], directory: \"https://127.0.0.1:1/dir\", storage: %q, accept_terms: true", t.TempDir())
	s := serveFile(t, fmt.Sprintf("listen:\n- address: 127.0.0.1:0\n  tls: {%s}}\n- address: 127.0.0.1:0\n- address: 127.0.0.1:0\n  tls: {certificates: [{cert: %q, key: %q}], %s, challenge: http-01}}\nupstreams: [{name: east, url: %q}]\n",
		acme, cert, key, acme, upstream.url()))
	status := s.awaitStatus("the trouble with the directory", func(a *admin.Status) bool {
		return len(a.Certificates) == 3 && strings.Contains(a.Certificates[0].Error, "127.0.0.1:1")
	})
	for i, want := range []admin.Certificate{
		{Listener: "127.0.0.1:0", Names: []string{"chat.example.org"}, Source: admin.FromACME},
		{Listener: "127.0.0.1:0", Names: []string{"router.test", "127.0.0.1"}, Source: admin.FromFile, File: cert},
		{Listener: "127.0.0.1:0", Names: []string{"chat.example.org"}, Source: admin.FromACME},
	} {
		got := status.Certificates[i]
		if got.Listener != want.Listener || strings.Join(got.Names, " ") != strings.Join(want.Names, " ") || got.Source != want.Source || got.File != want.File ||
			got.NotAfter.IsZero() != (want.File == "") {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	trust := &tls.Config{RootCAs: ca.Pool(), ServerName: "router.test"}
	if _, err := leafOf(status.Listeners[2], trust); err != nil {
		t.Error(err)
	}
	if _, err := leafOf(status.Listeners[0], trust); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a listener without a certificate: %v", err)
	}
	if c, err := dialTo(t, "ws://"+status.Listeners[1], nil); err != nil {
		t.Error(err)
	} else if err := echo(c, 100); err != nil {
		t.Error(err)
	}
}

// TestServeProtocols: HTTP/2 is offered by choice, and a reload changes it.
func TestServeProtocols(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	upstream := newEchoServer(t, nil)
	cert, key := ca.Files(t, here)
	file := func(more string) string {
		return strings.Replace(secureListener(cert, key, ""), "tls:", more+"tls:", 1) +
			fmt.Sprintf("reload: {watch: false}\nupstreams: [{name: east, url: %q}]\n", upstream.url())
	}
	s := serveFile(t, file(""))
	for _, row := range []struct{ more, want string }{{"", "http/1.1"}, {"http2: true, ", "h2"}, {"http2: false, ", "http/1.1"}} {
		s.write(file(row.more))
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		conn, err := tls.Dial("tcp", s.address(), &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != row.want {
			t.Errorf("%q: %s, want %s", row.more, got, row.want)
		}
		conn.Close()
	}
}
