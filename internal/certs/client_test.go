package certs

import (
	"crypto/tls"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/internal/certtext"
)

// upstream returns the settings of a server with a certificate.
func upstream(t *testing.T, cert tls.Certificate) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// toUpstream returns the settings of a client that wants a.test.
func toUpstream(t *testing.T, o ClientOptions) *tls.Config {
	t.Helper()
	if o.ServerName == "" {
		o.ServerName = "a.test"
	}
	config, err := Client(o)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestExplain meets upstreams that cannot be trusted. The error has to name the
// host and the reason, and the cause has to be found in it.
func TestExplain(t *testing.T) {
	ca, stranger := newAuthority(t, "Test"), newAuthority(t, "Stranger")
	caFile := ca.file(t)
	for _, row := range []struct {
		name   string
		server *tls.Config
		o      ClientOptions
		want   []string // nil: it succeeds
	}{
		{"good", upstream(t, ca.clientOf(t, wish{names: []string{"a.test"}})), ClientOptions{CAFile: caFile}, nil},
		{"good address", upstream(t, ca.clientOf(t, wish{ips: []string{"192.0.2.1"}})), ClientOptions{CAFile: caFile, ServerName: "192.0.2.1"}, nil},
		{"other name asked for", upstream(t, ca.clientOf(t, wish{names: []string{"b.test"}})), ClientOptions{CAFile: caFile, ServerName: "b.test"}, nil},
		{"expired", upstream(t, ca.clientOf(t, wish{names: []string{"a.test"}, from: -2 * day, to: -day})), ClientOptions{CAFile: caFile}, []string{"(a.test) expired on "}},
		{"early", upstream(t, ca.clientOf(t, wish{names: []string{"a.test"}, from: day})), ClientOptions{CAFile: caFile}, []string{"is not valid before "}},
		{"self-signed", upstream(t, nobody.clientOf(t, wish{names: []string{"a.test"}})), ClientOptions{CAFile: caFile}, []string{"self-signed", "(a.test)"}},
		{"self-signed, system's authorities", upstream(t, nobody.clientOf(t, wish{names: []string{"a.test"}})), ClientOptions{}, []string{"self-signed"}},
		{"unknown authority", upstream(t, stranger.clientOf(t, wish{names: []string{"a.test"}})), ClientOptions{CAFile: caFile}, []string{"signed by CN=Stranger, which is not trusted"}},
		{"wrong name", upstream(t, ca.clientOf(t, wish{names: []string{"b.test", "c.test"}})), ClientOptions{CAFile: caFile}, []string{"is for b.test, c.test, and not for a.test"}},
		{"many wrong names", upstream(t, ca.clientOf(t, wish{names: []string{"1.test", "2.test", "3.test", "4.test", "5.test", "6.test", "7.test"}})), ClientOptions{CAFile: caFile}, []string{"5.test and 2 more"}},
		{"no name", upstream(t, ca.clientOf(t, wish{subject: "a.test"})), ClientOptions{CAFile: caFile}, []string{"no subject alternative name"}},
		{"insecure", upstream(t, nobody.clientOf(t, wish{names: []string{"b.test"}, to: -time.Minute})), ClientOptions{Insecure: true}, nil},
		{"old server", &tls.Config{Certificates: []tls.Certificate{ca.client(t)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, ClientOptions{CAFile: caFile}, []string{"version"}},
		{"1.3 demanded", &tls.Config{Certificates: []tls.Certificate{ca.client(t)}, MaxVersion: tls.VersionTLS12}, ClientOptions{CAFile: caFile, MinVersion: tls.VersionTLS13}, []string{"version"}},
		{"no protocol", &tls.Config{Certificates: []tls.Certificate{ca.clientOf(t, wish{names: []string{"a.test"}})}, NextProtos: []string{"mqtt"}}, ClientOptions{CAFile: caFile, ALPN: []string{"http/1.1"}}, []string{"no application protocol"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := shake(row.server, toUpstream(t, row.o))
			err := certtext.Explain("host.test:443", o.clientErr)
			if row.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if !errors.Is(err, o.clientErr) {
				t.Error("the cause is lost")
			}
			for _, want := range append(row.want, "tls handshake with host.test:443: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q in it", err, want)
				}
			}
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		err := certtext.Explain("host.test", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})
		if err == nil || !strings.Contains(err.Error(), "does not speak TLS") {
			t.Error(err)
		}
	})
}

func TestClientOptions(t *testing.T) {
	ca := newAuthority(t, "Test")
	own := ca.pair(t, wish{names: []string{"client.test"}})
	missing := filepath.Join(t.TempDir(), "missing")
	for _, row := range []struct {
		name string
		o    ClientOptions
		want string
	}{
		{"nothing", ClientOptions{}, ""},
		{"everything", ClientOptions{CAFile: ca.file(t), CertFile: own.CertFile, KeyFile: own.KeyFile, MinVersion: tls.VersionTLS13, ALPN: []string{"http/1.1"}}, ""},
		{"no key", ClientOptions{CertFile: own.CertFile}, "both its file and its key file"},
		{"no certificate", ClientOptions{KeyFile: own.KeyFile}, "both its file and its key file"},
		{"missing authorities", ClientOptions{CAFile: missing}, missing},
		{"missing certificate", ClientOptions{CertFile: missing, KeyFile: own.KeyFile}, missing},
		{"key as authority", ClientOptions{CAFile: own.KeyFile}, "no certificate in it"},
		{"old version", ClientOptions{MinVersion: tls.VersionTLS10}, "TLS 1.0"},
		{"contradiction", ClientOptions{CAFile: own.CertFile, Insecure: true}, "no certificate is verified"},
		{"reserved protocol", ClientOptions{ALPN: []string{"acme-tls/1"}}, "reserved"},
	} {
		t.Run(row.name, func(t *testing.T) {
			config, err := Client(row.o)
			switch {
			case row.want == "" && (err != nil || config == nil):
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%v; want %q in it", err, row.want)
			case row.want == "" && (config.MinVersion < tls.VersionTLS12 || config.Renegotiation != tls.RenegotiateNever || config.InsecureSkipVerify):
				t.Errorf("%+v", config)
			}
		})
	}
	if (ClientOptions{}).Warning() != "" || !strings.Contains((ClientOptions{Insecure: true}).Warning(), "NOT VERIFIED") {
		t.Error("warning")
	}
}

// TestClientResumes: the second handshake is a short one, also by a clone.
func TestClientResumes(t *testing.T) {
	ca := newAuthority(t, "Test")
	server := upstream(t, ca.clientOf(t, wish{names: []string{"a.test"}}))
	config := toUpstream(t, ClientOptions{CAFile: ca.file(t)})
	for i, c := range []*tls.Config{config, config, config.Clone()} {
		o := shake(server, c)
		if o.clientErr != nil || o.client.DidResume != (i > 0) {
			t.Errorf("handshake %d: resumed %t, %v", i+1, o.client.DidResume, o.clientErr)
		}
	}
}

// TestClientCertificateChanges: an upstream that wants a certificate sees the one
// that is in the files, or the last that was good.
func TestClientCertificateChanges(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testClientCertificateChanges(t, version) })
		})
	}
}

func testClientCertificateChanges(t *testing.T, version uint16) {
	ca, clients := newAuthority(t, "Test"), newAuthority(t, "Clients")
	server := upstream(t, ca.clientOf(t, wish{names: []string{"a.test"}}))
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool()
	server.MaxVersion = version
	own := clients.pair(t, wish{names: []string{"first.test"}})
	var log journal
	config := toUpstream(t, ClientOptions{CAFile: ca.file(t), CertFile: own.CertFile, KeyFile: own.KeyFile, Logger: log.logger()})
	last := ""
	expect := func(name string, warnings int) {
		t.Helper()
		o := shake(server, config)
		if o.client.DidResume != (name == last) { // to the upstream a resumed session is one of the same client
			t.Errorf("%s after %q: resumed %t", name, last, o.client.DidResume)
		}
		last = name
		if o.serverErr != nil || o.server.PeerCertificates[0].DNSNames[0] != name {
			t.Errorf("%v, %v; want %s", o.server.PeerCertificates, o.serverErr, name)
		}
		if n := log.count("WARN"); n != warnings {
			t.Errorf("%d warnings; want %d\n%s", n, warnings, log.String())
		}
	}
	expect("first.test", 0)

	cert, key := clients.issue(t, wish{names: []string{"second.test"}})
	write(t, own.CertFile, cert)
	expect("first.test", 0) // It was looked at a moment ago.
	time.Sleep(lookAgain)
	expect("first.test", 0) // The key is not there yet.
	write(t, own.KeyFile, key)
	time.Sleep(lookAgain)
	expect("second.test", 0)
	write(t, own.CertFile, append([]byte("# The same one.\n"), cert...))
	time.Sleep(lookAgain)
	expect("second.test", 0)
	time.Sleep(sessionsLast)
	last = "" // as if it were another one
	expect("second.test", 0)

	write(t, own.KeyFile, nil)
	for _, warnings := range []int{0, 1, 1, 1} {
		time.Sleep(lookAgain)
		expect("second.test", warnings)
	}
	write(t, own.KeyFile, key)
	time.Sleep(lookAgain)
	expect("second.test", 1)

	cert, key = clients.issue(t, wish{names: []string{"third.test"}, from: -80 * day, to: 10 * day})
	own.write(t, cert, key)
	time.Sleep(lookAgain)
	expect("third.test", 2)
	if log.count("client certificate ends soon") != 1 {
		t.Error(log.String())
	}
	for _, secret := range secrets(t, own.KeyFile) {
		if log.count(secret) > 0 {
			t.Errorf("the log has key material: %s", log.String())
		}
	}
}
