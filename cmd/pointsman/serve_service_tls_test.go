package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certtest"
)

// newRESTServer stands for the REST API of an instance, with TLS. It is healthy
// and takes every message, of those with a certificate of clients if that is not
// nil.
func newRESTServer(t *testing.T, certificate tls.Certificate, clients *x509.CertPool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/health" {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	s.Config.ErrorLog = quietLog
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestServeRESTCallsSpeakTLSAsProbesDo: whatever the place where clients connect
// is like, an instance that its probes find healthy gets the calls.
func TestServeRESTCallsSpeakTLSAsProbesDo(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	caFile := ca.File(t)
	cert, key := ca.Files(t, certtest.Wish{Names: []string{"router.test"}})
	const plain = ";ClientEndpoint=http://127.0.0.1:1"
	for _, row := range []struct {
		name, clients string // PORT is that of the REST API
		wish          certtest.Wish
		mutual        bool
		tls           string
	}{
		{"the same place", "", here, false, "ca: " + caFile},
		{"clients without TLS", plain, here, false, "ca: " + caFile},
		{"clients without TLS, insecure", plain, certtest.Wish{Names: here.Names, SelfSigned: true}, false, "insecure: true"},
		{"clients without TLS, mutual", plain, here, true, "ca: " + caFile + ", cert: " + cert + ", key: " + key},
		{"clients without TLS, another name", plain, certtest.Wish{Names: []string{"rest.test"}}, false, "ca: " + caFile + ", server_name: rest.test"},
		{"the name of the clients' place", ";ClientEndpoint=https://localhost:PORT", certtest.Wish{Names: []string{"localhost"}}, false, "ca: " + caFile + ", server_name: localhost"},
		{"another place without a name", ";ClientEndpoint=https://localhost:PORT", here, false, "ca: " + caFile},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var clients *x509.CertPool
			if row.mutual {
				clients = ca.Pool()
			}
			rest := newRESTServer(t, ca.Certificate(t, row.wish), clients)
			at, err := url.Parse(rest.URL)
			if err != nil {
				t.Fatal(err)
			}
			s := serveFile(t, fmt.Sprintf("listen: \"127.0.0.1:0\"\nlog: {level: debug}\nupstreams: [{name: east, connection_string: %q, tls: {%s}}]\nroutes: [{protocol: webpubsub, access_keys: [%q]}]\n",
				"Endpoint="+rest.URL+";AccessKey="+instanceKey+strings.Replace(row.clients, "PORT", at.Port(), 1), row.tls, routerKey))
			s.awaitHealthy()
			if got := s.send(routerKey); got != http.StatusAccepted {
				t.Errorf("a message gets %d, want %d", got, http.StatusAccepted)
			}
			s.client.CloseIdleConnections() // which the end of the router would wait for
		})
	}
}

// TestReloadChangesTheAuthoritiesOfRESTCalls: neither probes nor calls go on
// trusting what is no longer in the file, and both trust again what is back. The
// breaker stays closed, so that the calls are made.
func TestReloadChangesTheAuthoritiesOfRESTCalls(t *testing.T) {
	t.Parallel()
	ca, other := certtest.New(t, "Test"), certtest.New(t, "Other")
	rest := newRESTServer(t, ca.Certificate(t, here), nil)
	file := filepath.Join(t.TempDir(), "ca.crt")
	trust := func(a *certtest.Authority) {
		t.Helper()
		content, err := os.ReadFile(a.File(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(ca)
	s := serveFile(t, fmt.Sprintf("listen: \"127.0.0.1:0\"\nlog: {level: debug}\nreload: {watch: false}\nupstreams: [{name: east, connection_string: %q, tls: {ca: %q}}]\nroutes: [{protocol: webpubsub, access_keys: [%q]}]\n",
		"Endpoint="+rest.URL+";AccessKey="+instanceKey+";ClientEndpoint=http://127.0.0.1:1", file, routerKey), "fall: 1000")
	s.awaitHealthy()
	for _, step := range []struct {
		authority *certtest.Authority
		probe     string
		status    int
	}{{other, "not trusted", http.StatusBadGateway}, {ca, "", http.StatusAccepted}} {
		trust(step.authority)
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		s.awaitStatus("a probe with the authorities that are in the file now", func(a *admin.Status) bool {
			p := a.Upstreams[0].LastProbe
			return p != nil && (step.probe == "") == (p.Error == "") && strings.Contains(p.Error, step.probe)
		})
		if got := s.send(routerKey); got != step.status {
			t.Errorf("a message gets %d, want %d", got, step.status)
		}
	}
	s.client.CloseIdleConnections() // which the end of the router would wait for
}
