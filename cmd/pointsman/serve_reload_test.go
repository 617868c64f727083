package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certtest"
)

// TestReloadUpstreamTLS: settings of TLS towards an upstream change while a
// session runs, which goes on; probes and new sessions go by the new ones.
func TestReloadUpstreamTLS(t *testing.T) {
	t.Parallel()
	ca, other := certtest.New(t, "Test"), certtest.New(t, "Other")
	upstream := newEchoServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Certificate(t, here)}})
	right, wrong := ca.File(t), other.File(t)
	file := func(settings string) string {
		return fmt.Sprintf("listen: \"127.0.0.1:0\"\nreload: {watch: false}\nupstreams: [{name: east, url: %q, tls: {%s}}]\n", upstream.url(), settings)
	}
	s := serveFile(t, file(fmt.Sprintf("ca: %q", right)), "fall: 1")
	s.awaitHealthy()
	session := s.open(nil)
	change := func(settings, why string) {
		t.Helper()
		s.write(file(settings))
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		s.awaitStatus("the new settings: "+settings, func(a *admin.Status) bool {
			u := a.Upstreams[0]
			return u.Healthy == (why == "") && strings.Contains(u.Reason, why)
		})
		if err := echo(session, 1000); err != nil {
			t.Fatalf("%s: %v", settings, err)
		}
		if c, err := s.dial(nil); (err == nil) != (why == "") {
			t.Errorf("%s: a new session: %v", settings, err)
		} else if err == nil {
			if err := echo(c, 1000); err != nil {
				t.Errorf("%s: %v", settings, err)
			}
		}
	}
	change(fmt.Sprintf("ca: %q", wrong), "which is not trusted")
	change(fmt.Sprintf("ca: %q", right), "")
	change(fmt.Sprintf("ca: %q, server_name: stranger.test", right), "and not for stranger.test")
	change(fmt.Sprintf("ca: %q, server_name: router.test", right), "")

	// The same name of the file, and other authorities in it.
	content, err := os.ReadFile(wrong)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(right, content, 0o600); err != nil {
		t.Fatal(err)
	}
	change(fmt.Sprintf("ca: %q, server_name: router.test", right), "which is not trusted")
	change("insecure: true", "")
	if status := s.status(); status.Sessions.Ended != 0 {
		t.Errorf("%+v", status.Sessions)
	}
}

// TestReloadListenerTLS: what clients are shown and asked for changes without a
// restart, and without an end for those who are in; a file that is wrong in one
// place changes nothing in any.
func TestReloadListenerTLS(t *testing.T) {
	t.Parallel()
	ca, clients := certtest.New(t, "Test"), certtest.New(t, "Clients")
	upstream := newEchoServer(t, nil)
	up := fmt.Sprintf("reload: {watch: false}\nupstreams: [{name: east, url: %q}]\n", upstream.url())
	cert, key := ca.Files(t, here)
	second, secondKey := ca.Files(t, here)
	s := serveFile(t, secureListener(cert, key, "")+up)
	s.awaitHealthy()
	trust := &tls.Config{RootCAs: ca.Pool()}
	session := s.open(trust)
	leaf := func() string {
		t.Helper()
		number, err := leafOf(s.address(), trust)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	reload := func(text string) {
		t.Helper()
		s.write(text)
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		if err := echo(session, 1000); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	first := leaf()

	missing := filepath.Join(t.TempDir(), "missing")
	s.write(secureListener(second, secondKey, fmt.Sprintf(", client_ca: %q", missing)) + up)
	if refusal := s.reload(); !strings.Contains(refusal, "key \"listen[0].tls.client_ca\"") || !strings.Contains(refusal, missing+": no such file") {
		t.Errorf("a file that is missing: %q", refusal)
	}
	if leaf() != first {
		t.Error("another certificate after a reload that was refused")
	}

	reload(secureListener(second, secondKey, "") + up)
	if leaf() == first {
		t.Error("the old certificate after the reload")
	}
	reload(secureListener(second, secondKey, ", min_version: 1.3") + up)
	if _, err := leafOf(s.address(), &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 after the reload")
	}
	reload(secureListener(second, secondKey, fmt.Sprintf(", client_ca: %q", clients.File(t))) + up)
	if err := refused(s.address(), trust); err == nil {
		t.Error("a client without a certificate came in after the reload")
	}
	if err := echo(s.open(&tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{clients.Certificate(t, certtest.Wish{})}}), 10); err != nil {
		t.Error(err)
	}

	// That TLS is spoken here at all, and where, only a restart changes.
	reload("listen: \"127.0.0.1:0\"\n" + up)
	if restart := s.status().Reload.NeedsRestart; !slices.Equal(restart, []string{"listen"}) {
		t.Errorf("%q need a restart", restart)
	}
	if err := refused(s.address(), trust); err == nil {
		t.Error("the listener has changed with a reload that it needs a restart for")
	}
	reload(secureListener(second, secondKey, "") + up)
	if restart := s.status().Reload.NeedsRestart; len(restart) > 0 {
		t.Errorf("%q need a restart, and nothing has changed", restart)
	}
	if leaf() == first {
		t.Error("the old certificate")
	}
}

// TestReloadProxyNetworks: who may say for whom it stands changes by a reload.
func TestReloadProxyNetworks(t *testing.T) {
	t.Parallel()
	upstream := newEchoServer(t, nil)
	file := func(networks string) string {
		return fmt.Sprintf("listen: [{address: \"127.0.0.1:0\"%s}]\nreload: {watch: false}\nupstreams: [{name: east, url: %q}]\n", networks, upstream.url())
	}
	s := serveFile(t, file(""))
	s.awaitHealthy()
	// ask opens a connection that begins so, and returns what it is answered.
	ask := func(begin string) string {
		t.Helper()
		conn, err := net.Dial("tcp", s.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(verbPatience))
		_, err = io.WriteString(conn, begin+"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	const header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
	for _, row := range []struct{ networks, with, without string }{
		{"", "HTTP/1.1 400 Bad Request", "HTTP/1.1 101 Switching Protocols"},
		{", proxy_protocol: [127.0.0.0/8]", "HTTP/1.1 101 Switching Protocols", ""},
		{", proxy_protocol: [10.0.0.0/8]", "HTTP/1.1 400 Bad Request", "HTTP/1.1 101 Switching Protocols"},
	} {
		s.write(file(row.networks))
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		if with, without := ask(header), ask(""); with != row.with || without != row.without {
			t.Errorf("%q: with the header %q, without it %q; want %q and %q", row.networks, with, without, row.with, row.without)
		}
	}
	if restart := s.status().Reload.NeedsRestart; len(restart) > 0 {
		t.Errorf("%q need a restart", restart)
	}
}
