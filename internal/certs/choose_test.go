package certs

import (
	"crypto/tls"
	"strings"
	"testing"
)

// TestChoose asks for names, and looks which certificate comes.
func TestChoose(t *testing.T) {
	ca := newAuthority(t, "Test")
	pairs := map[string]Pair{
		"default": ca.pair(t, wish{names: []string{"default.test", "Mixed.Case.test"}, subject: "default"}),
		"wild":    ca.pair(t, wish{names: []string{"*.example.test"}, subject: "wild"}),
		"exact":   ca.pair(t, wish{names: []string{"www.example.test"}, subject: "exact"}),
		"loop":    ca.pair(t, wish{names: []string{"loop.test"}, ips: []string{"127.0.0.1", "::1"}, subject: "loop"}),
		"v6":      ca.pair(t, wish{ips: []string{"2001:db8::1"}, subject: "v6"}),
	}
	all := []Pair{pairs["default"], pairs["wild"], pairs["exact"], pairs["loop"], pairs["v6"]}
	lax := keeper(t, Options{Pairs: all})
	strict := keeper(t, Options{Pairs: all, Strict: true})

	for _, row := range []struct {
		ask    string
		lax    string
		strict string // empty: refused
	}{
		{"default.test", "default", "default"},
		{"mixed.case.test", "default", "default"},
		{"MIXED.case.test", "default", "default"},
		{"www.example.test", "exact", "exact"},
		{"WWW.Example.TEST", "exact", "exact"},
		{"api.example.test", "wild", "wild"},
		{"a.b.example.test", "default", ""},
		{"example.test", "default", ""},
		{".example.test", "default", ""},
		{"nobody.test", "default", ""},
		{"127.0.0.1", "default", ""}, // Without an address to come to, and sent as no name at all.
	} {
		t.Run(row.ask, func(t *testing.T) {
			client := &tls.Config{ServerName: row.ask, InsecureSkipVerify: true}
			o := shake(lax.Config(), client)
			if o.clientErr != nil || o.client.PeerCertificates[0].Subject.CommonName != row.lax {
				t.Errorf("lax: %v, %v; want %s", o.client.PeerCertificates, o.clientErr, row.lax)
			}
			o = shake(strict.Config(), client)
			switch {
			case row.strict == "" && (o.clientErr == nil || !strings.Contains(o.clientErr.Error(), "unrecognized name")):
				t.Errorf("strict: %v; want the alert unrecognized_name", o.clientErr)
			case row.strict != "" && (o.clientErr != nil || o.client.PeerCertificates[0].Subject.CommonName != row.strict):
				t.Errorf("strict: %v, %v; want %s", o.client.PeerCertificates, o.clientErr, row.strict)
			}
		})
	}

	t.Run("address", func(t *testing.T) {
		for _, k := range []*Keeper{lax, strict} {
			o := shakeTCP(t, k.Config(), &tls.Config{ServerName: "127.0.0.1", RootCAs: ca.pool()})
			if o.clientErr != nil || o.client.PeerCertificates[0].Subject.CommonName != "loop" {
				t.Errorf("%v, %v; want loop", o.client.PeerCertificates, o.clientErr)
			}
		}
	})
	t.Run("address as a name", func(t *testing.T) {
		hello := &tls.ClientHelloInfo{ServerName: "2001:DB8::1"}
		if exact, wild := lax.now.Load().find(hello); len(exact) != 1 || len(wild) != 0 || exact[0].tls.Leaf.Subject.CommonName != "v6" {
			t.Errorf("%v, %v; want v6", exact, wild)
		}
	})
}

// TestChooseByKey: two certificates for one name, and clients that understand one
// of them only.
func TestChooseByKey(t *testing.T) {
	ca := newAuthority(t, "Test")
	both := []string{"both.test"}
	k := keeper(t, Options{Pairs: []Pair{
		ca.pair(t, wish{names: both, key: rsaKey(), subject: "rsa"}),
		ca.pair(t, wish{names: both, subject: "ecdsa"}),
		ca.pair(t, wish{names: []string{"ecdsa.test"}, subject: "only"}),
		ca.pair(t, wish{names: []string{"*.test"}, key: rsaKey(), subject: "wild"}),
		ca.pair(t, wish{names: []string{"ed.test"}, key: ed25519Key(t), subject: "ed25519"}),
	}})
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	ecdsaOnly := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, row := range []struct {
		name, ask, want string
		suites          []uint16
	}{
		{"everything", "both.test", "ecdsa", nil},
		{"rsa only", "both.test", "rsa", rsaOnly},
		{"ecdsa only", "both.test", "ecdsa", ecdsaOnly},
		{"default, everything", "x.y.invalid", "ecdsa", nil},
		{"default, rsa only", "x.y.invalid", "rsa", rsaOnly},
		{"wildcard helps out", "ecdsa.test", "wild", rsaOnly},
		{"exact if it can be", "ecdsa.test", "only", nil},
		{"ed25519", "ed.test", "ed25519", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := &tls.Config{ServerName: row.ask, InsecureSkipVerify: true}
			if row.suites != nil {
				client.MaxVersion, client.CipherSuites = tls.VersionTLS12, row.suites
			}
			o := shake(k.Config(), client)
			if o.clientErr != nil || o.client.PeerCertificates[0].Subject.CommonName != row.want {
				t.Errorf("%v, %v; want %s", o.client.PeerCertificates, o.clientErr, row.want)
			}
		})
	}
}

// TestVersionsAndSuites: what is spoken, and what is not any more.
func TestVersionsAndSuites(t *testing.T) {
	ca := newAuthority(t, "Test")
	pair := ca.pair(t, wish{names: []string{"a.test"}, key: rsaKey()})
	twelve := keeper(t, Options{Pairs: []Pair{pair}, ALPN: []string{"http/1.1"}})
	thirteen := keeper(t, Options{Pairs: []Pair{pair}, MinVersion: tls.VersionTLS13})
	for _, row := range []struct {
		name     string
		k        *Keeper
		max      uint16
		suites   []uint16
		alpn     []string
		ok       bool
		protocol string
	}{
		{name: "newest", k: twelve, ok: true},
		{name: "1.2", k: twelve, max: tls.VersionTLS12, ok: true},
		{name: "1.1", k: twelve, max: tls.VersionTLS11},
		{name: "1.2 where 1.3 is demanded", k: thirteen, max: tls.VersionTLS12},
		{name: "1.3 where it is demanded", k: thirteen, ok: true},
		{name: "CBC", k: twelve, max: tls.VersionTLS12, suites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		{name: "no forward secrecy", k: twelve, max: tls.VersionTLS12, suites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		{name: "protocol", k: twelve, alpn: []string{"h2", "http/1.1"}, ok: true, protocol: "http/1.1"},
		{name: "no common protocol", k: twelve, alpn: []string{"h2"}},
		{name: "no protocol to choose from", k: thirteen, alpn: []string{"h2"}, ok: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := shake(row.k.Config(), &tls.Config{
				ServerName: "a.test", RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: row.max, CipherSuites: row.suites, NextProtos: row.alpn,
			})
			if (o.clientErr == nil) != row.ok {
				t.Fatalf("error %v; want success %t", o.clientErr, row.ok)
			}
			if row.ok && o.client.NegotiatedProtocol != row.protocol {
				t.Errorf("protocol %q; want %q", o.client.NegotiatedProtocol, row.protocol)
			}
		})
	}
}

func TestSettingsDoNotAllocate(t *testing.T) {
	ca := newAuthority(t, "Test")
	k := keeper(t, Options{Pairs: []Pair{ca.pair(t, wish{names: []string{"*.example.test"}})}, Strict: true})
	hello := &tls.ClientHelloInfo{ServerName: "www.example.test", SupportedProtos: []string{"http/1.1"}}
	if n := testing.AllocsPerRun(100, func() {
		if config, err := k.settings(hello); err != nil || config.SessionTicketsDisabled {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations for each handshake; want none", n)
	}
}

// FuzzChoose: a stranger may ask for anything.
func FuzzChoose(f *testing.F) {
	for _, name := range []string{"", ".", "..", "*", "*.example.test", "www.example.test.", "::1", "1.2.3.4", "fe80::1%eth0", "ÄÖ.test", strings.Repeat("a.", 200)} {
		f.Add(name)
	}
	one := &certificate{}
	s := &state{
		names:    map[string][]*certificate{"www.example.test": {one}},
		wildcard: map[string][]*certificate{".example.test": {one}},
	}
	f.Fuzz(func(t *testing.T, name string) {
		exact, wild := s.find(&tls.ClientHelloInfo{ServerName: name})
		plain := strings.ToLower(strings.TrimSuffix(name, "."))
		label, rest, _ := strings.Cut(plain, ".")
		if got, want := len(exact) > 0, plain == "www.example.test"; got != want {
			t.Errorf("%q: exact %t; want %t", name, got, want)
		}
		if got, want := len(wild) > 0, label != "" && rest == "example.test"; got != want {
			t.Errorf("%q: wildcard %t; want %t", name, got, want)
		}
	})
}
