package config

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/internal/certs"
	"github.com/pointsman/pointsman/internal/certtest"
)

// tlsFiles are the files that tests name by the words in braces.
type tlsFiles struct{ cert, key, otherCert, otherKey, ca, text, dir, missing string }

func newTLSFiles(t *testing.T) *tlsFiles {
	t.Helper()
	ca := certtest.New(t, "Test")
	f := &tlsFiles{ca: ca.File(t), dir: t.TempDir()}
	f.cert, f.key = ca.Files(t, certtest.Wish{Names: []string{"a.test"}})
	f.otherCert, f.otherKey = ca.Files(t, certtest.Wish{Names: []string{"b.test"}})
	f.text, f.missing = filepath.Join(f.dir, "text"), filepath.Join(f.dir, "missing")
	if err := os.WriteFile(f.text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// in fills the names of the files into a text.
func (f *tlsFiles) in(text string) string {
	return strings.NewReplacer("{cert}", f.cert, "{key}", f.key, "{cert2}", f.otherCert, "{key2}", f.otherKey,
		"{ca}", f.ca, "{text}", f.text, "{dir}", f.dir, "{missing}", f.missing).Replace(text)
}

const (
	// secured is a listener with a certificate, whose section tls goes on.
	secured = two + "listen:\n- address: \":443\"\n  tls:\n    certificates:\n    - cert: {cert}\n      key: {key}\n"
	// obtained is one with ACME, whose section goes on.
	obtained = two + "listen:\n- address: \":443\"\n  tls:\n    acme:\n      storage: {dir}\n      accept_terms: true\n      domains: [chat.example.org]\n"
	// trusting is an upstream whose section tls goes on.
	trusting = "upstreams:\n- name: east\n  url: wss://10.0.0.1:9001\n  tls:\n"
)

// TestParseTLS says for each file how its meaning differs from that of two alone.
func TestParseTLS(t *testing.T) {
	files := newTLSFiles(t)
	on := func(c *Config) *TLS {
		c.Listen = at(":443")
		return &c.Listen[0].TLS
	}
	pair := Certificate{files.cert, files.key}
	for _, row := range []struct {
		name, file string
		differs    func(*Config)
	}{
		{"a certificate", secured, func(c *Config) { on(c).Certificates = []Certificate{pair} }},
		{"all of it", secured + "    - {cert: {cert2}, key: {key2}}\n    strict_sni: true\n    min_version: 1.3\n    client_ca: {ca}\n", func(c *Config) {
			*on(c) = TLS{[]Certificate{pair, {files.otherCert, files.otherKey}}, ACME{Challenge: ChallengeTLS}, true, TLS13, files.ca}
		}},
		{"version in quotes", secured + "    min_version: \"1.2\"\n", func(c *Config) { on(c).Certificates = []Certificate{pair} }},
		{"ACME", obtained, func(c *Config) {
			on(c).ACME = ACME{Domains: []string{"chat.example.org"}, Storage: files.dir, AcceptTerms: true, Challenge: ChallengeTLS}
		}},
		{"all of ACME, storage to be made", strings.Replace(obtained, "{dir}", "{missing}", 1) + "      email: ops@example.org\n      directory: https://ca.test/dir\n      ca: {ca}\n", func(c *Config) {
			on(c).ACME = ACME{[]string{"chat.example.org"}, "ops@example.org", "https://ca.test/dir", files.missing, files.ca, true, ChallengeTLS}
		}},
		{"domains in another form", strings.Replace(obtained, "[chat.example.org]", "[Chat.Example.org., b.example.org]", 1), func(c *Config) {
			on(c).ACME = ACME{Domains: []string{"chat.example.org", "b.example.org"}, Storage: files.dir, AcceptTerms: true, Challenge: ChallengeTLS}
		}},
		{"ACME by HTTP", two + "listen:\n- address: \":80\"\n- address: \":443\"\n  tls: {acme: {domains: [a.test], storage: {dir}, accept_terms: true, challenge: http-01}}\n", func(c *Config) {
			c.Listen = at(":80", ":443")
			c.Listen[1].TLS.ACME = ACME{Domains: []string{"a.test"}, Storage: files.dir, AcceptTerms: true, Challenge: ChallengeHTTP}
		}},
		{"HTTP/2", secured + "  http2: true\n", func(c *Config) {
			on(c).Certificates = []Certificate{pair}
			c.Listen[0].HTTP2 = true
		}},
		{"one of two", two + "listen: [{address: \":80\"}, {address: \":443\", tls: {certificates: [{cert: {cert}, key: {key}}]}}]", func(c *Config) {
			c.Listen = at(":80", ":443")
			c.Listen[1].TLS.Certificates = []Certificate{pair}
		}},
		{"upstream", trusting + "    ca: {ca}\n    server_name: Chat.Example.\n    cert: {cert}\n    key: {key}\n", func(c *Config) {
			c.Upstreams = []Upstream{{Name: "east", URL: "wss://10.0.0.1:9001", Role: RolePrimary, Weight: 1, TLS: UpstreamTLS{CA: files.ca, ServerName: "chat.example", Cert: files.cert, Key: files.key}}}
			c.Routes[0].Upstreams = []string{"east"}
		}},
		{"upstream without verification", trusting + "    insecure: true\n    server_name: \"[::1]\"\n", func(c *Config) {
			c.Upstreams = []Upstream{{Name: "east", URL: "wss://10.0.0.1:9001", Role: RolePrimary, Weight: 1, TLS: UpstreamTLS{ServerName: "::1", Insecure: true}}}
			c.Routes[0].Upstreams = []string{"east"}
		}},
		{"upstream with defaults", trusting + "    insecure: false\n", func(c *Config) {
			c.Upstreams = []Upstream{{Name: "east", URL: "wss://10.0.0.1:9001", Role: RolePrimary, Weight: 1}}
			c.Routes[0].Upstreams = []string{"east"}
		}},
	} {
		t.Run(row.name, func(t *testing.T) { means(t, files.in(row.file), row.differs) })
	}
}

func TestTLSMistakes(t *testing.T) {
	files := newTLSFiles(t)
	without := func(file, what string) string { return strings.Replace(file, what, "", 1) }
	for _, row := range []struct {
		name         string
		file         string
		line, column int
		key          string
		says         string
	}{
		{"certificate is missing", strings.Replace(secured, "{cert}", "{missing}", 1), 6, 13, "listen[0].tls.certificates[0].cert", files.missing + ": no such file"},
		{"certificate is text", strings.Replace(secured, "{cert}", "{text}", 1), 6, 13, "listen[0].tls.certificates[0].cert", "PEM"},
		{"certificate is a key", strings.Replace(secured, "{cert}", "{key}", 1), 6, 13, "listen[0].tls.certificates[0].cert", "private key"},
		{"key is missing", strings.Replace(secured, "{key}", "{missing}", 1), 7, 12, "listen[0].tls.certificates[0].key", files.missing},
		{"key of another", strings.Replace(secured, "{key}", "{key2}", 1), 7, 12, "listen[0].tls.certificates[0].key", "private key does not match"},
		{"key is a directory", strings.Replace(secured, "{key}", "{dir}", 1), 7, 12, "listen[0].tls.certificates[0].key", "not a regular file"},
		{"key not given", without(secured, "      key: {key}\n"), 6, 7, "listen[0].tls.certificates[0].key", "is missing"},
		{"certificate not given", strings.Replace(secured, "cert: {cert}\n      ", "", 1), 6, 7, "listen[0].tls.certificates[0].cert", "is missing"},
		{"second certificate is missing", secured + "    - cert: {missing}\n      key: {key2}\n", 8, 13, "listen[0].tls.certificates[1].cert", "no such file"},
		{"certificate empty", strings.Replace(secured, "{cert}", `""`, 1), 6, 13, "listen[0].tls.certificates[0].cert", "is empty"},
		{"certificates a section", two + "listen:\n- address: :1\n  tls:\n    certificates: {cert: a}\n", 5, 19, "listen[0].tls.certificates", "section"},
		{"a certificate is a word", two + "listen:\n- address: :1\n  tls:\n    certificates: [a]\n", 5, 20, "listen[0].tls.certificates[0]", "plain value"},
		{"no certificates", two + "listen:\n- address: :1\n  tls:\n    certificates: []\n", 5, 19, "listen[0].tls.certificates", "empty list"},
		{"empty section", two + "listen:\n- address: :1\n  tls: {}\n", 4, 3, "listen[0].tls", "neither certificates nor acme"},
		{"section with nothing to show", two + "listen:\n- address: :1\n  tls:\n    client_ca: {ca}\n", 4, 3, "listen[0].tls", "neither certificates nor acme"},
		{"section a word", two + "listen:\n- address: :1\n  tls: true\n", 4, 8, "listen[0].tls", "plain value"},
		{"unknown key", secured + "    min_versoin: 1.3\n", 8, 5, "listen[0].tls.min_versoin", `did you mean "min_version"`},
		{"unknown key of a certificate", secured + "      pass: x\n", 8, 7, "listen[0].tls.certificates[0].pass", "cert or key"},
		{"version too old", secured + "    min_version: 1.1\n", 8, 18, "listen[0].tls.min_version", "1.2 or 1.3"},
		{"authorities are missing", secured + "    client_ca: {missing}\n", 8, 16, "listen[0].tls.client_ca", "no such file"},
		{"authorities are none", secured + "    client_ca: {key}\n", 8, 16, "listen[0].tls.client_ca", "no certificate in it"},

		{"ACME without domains", without(obtained, "      domains: [chat.example.org]\n"), 5, 5, "listen[0].tls.acme.domains", "is missing"},
		{"ACME without storage", without(obtained, "      storage: {dir}\n"), 5, 5, "listen[0].tls.acme.storage", "is missing"},
		{"ACME without consent", without(obtained, "      accept_terms: true\n"), 5, 5, "listen[0].tls.acme.accept_terms", "terms of service"},
		{"ACME with refusal", strings.Replace(obtained, "true", "false", 1), 7, 21, "listen[0].tls.acme.accept_terms", "terms of service"},
		{"ACME storage is a file", strings.Replace(obtained, "{dir}", "{text}", 1), 6, 16, "listen[0].tls.acme.storage", "not a directory"},
		{"ACME wildcard", strings.Replace(obtained, "[chat", "[\"*.a.test\", chat", 1), 8, 17, "listen[0].tls.acme.domains[0]", "wildcard"},
		{"ACME domain no name", strings.Replace(obtained, "[chat", "[a_b.test, chat", 1), 8, 17, "listen[0].tls.acme.domains[0]", "letters, digits and hyphens"},
		{"ACME email", obtained + "      email: ops\n", 9, 14, "listen[0].tls.acme.email", "not a plain address"},
		{"ACME directory", obtained + "      directory: http://ca.test\n", 9, 18, "listen[0].tls.acme.directory", "not an https URL"},
		{"ACME by HTTP without a plain listener", obtained + "      challenge: http-01\n", 9, 18, "listen[0].tls.acme.challenge", "every listener speaks TLS"},
		{"ACME by DNS", obtained + "      challenge: dns-01\n", 9, 18, "listen[0].tls.acme.challenge", "tls-alpn-01 or http-01"},
		{"HTTP/2 without TLS", two + "listen:\n- address: :1\n  http2: true\n", 4, 10, "listen[0].http2", "without tls"},
		{"ACME authorities", obtained + "      ca: {text}\n", 9, 11, "listen[0].tls.acme.ca", "no certificate in it"},

		{"TLS settings without TLS", strings.Replace(trusting, "wss", "ws", 1) + "    ca: {ca}\n", 4, 3, "upstreams[0].tls", "begins with wss://"},
		{"upstream authorities are missing", trusting + "    ca: {missing}\n", 5, 9, "upstreams[0].tls.ca", files.missing},
		{"upstream authorities are none", trusting + "    ca: {text}\n", 5, 9, "upstreams[0].tls.ca", "no certificate in it"},
		{"client certificate without key", trusting + "    cert: {cert}\n", 5, 11, "upstreams[0].tls.cert", "without key"},
		{"client key without certificate", trusting + "    key: {key}\n", 5, 10, "upstreams[0].tls.key", "without cert"},
		{"client key of another", trusting + "    cert: {cert}\n    key: {key2}\n", 6, 10, "upstreams[0].tls.key", "does not match"},
		{"client certificate is missing", trusting + "    cert: {missing}\n    key: {key}\n", 5, 11, "upstreams[0].tls.cert", files.missing},
		{"insecure with authorities", trusting + "    ca: {ca}\n    insecure: true\n", 6, 15, "upstreams[0].tls.insecure", "on line 5 has no use"},
		{"server name with a port", trusting + "    server_name: \"a.test:443\"\n", 5, 18, "upstreams[0].tls.server_name", "neither a host name"},
		{"server name empty", trusting + "    server_name: \"\"\n", 5, 18, "upstreams[0].tls.server_name", "empty"},
		{"unknown key of an upstream's TLS", trusting + "    verify: false\n", 5, 5, "upstreams[0].tls.verify", "insecure"},
	} {
		t.Run(row.name, func(t *testing.T) {
			onlyProblem(t, files.in(row.file), row.line, row.column, row.key, row.says)
		})
	}
}

// TestAllTLSMistakesAtOnce: one broken file does not hide the next.
func TestAllTLSMistakesAtOnce(t *testing.T) {
	files := newTLSFiles(t)
	problems := problemsOf(t, files.in(strings.Replace(secured, "{key}", "{key2}", 1)+
		"    - {cert: {missing}, key: {key}}\n    client_ca: {text}\n    acme: {email: x}\n"))
	var keys []string
	for _, p := range problems {
		keys = append(keys, strings.TrimPrefix(p.Key, "listen[0].tls."))
	}
	want := []string{"certificates[0].key", "certificates[1].cert", "client_ca", "acme.domains", "acme.storage", "acme.accept_terms", "acme.email"}
	if !slices.Equal(keys, want) {
		t.Errorf("%q, want %q\n%v", keys, want, problems)
	}
}

// TestKeeping: what the file says reaches the keeper of the certificates.
func TestKeeping(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	pairs := []certs.Pair{{CertFile: "a", KeyFile: "b"}, {CertFile: "c", KeyFile: "d"}}
	for _, row := range []struct {
		name string
		of   Listener
		want certs.Options
	}{
		{"a certificate", Listener{TLS: TLS{Certificates: []Certificate{{"a", "b"}}, MinVersion: TLS12}},
			certs.Options{Pairs: pairs[:1], MinVersion: tls.VersionTLS12, ALPN: []string{"http/1.1"}, Logger: logger}},
		{"all", Listener{HTTP2: true, TLS: TLS{[]Certificate{{"a", "b"}, {"c", "d"}}, ACME{[]string{"e"}, "f", "g", "h", "i", true, ChallengeTLS}, true, TLS13, "j"}}, certs.Options{
			Pairs: pairs, Strict: true, MinVersion: tls.VersionTLS13, ClientCA: "j", ALPN: []string{"h2", "http/1.1"}, Logger: logger,
			ACME: &certs.ACME{Domains: []string{"e"}, Email: "f", Directory: "g", Storage: "h", RootFile: "i", Agreed: true, NoHTTP: true},
		}},
		{"by HTTP", Listener{TLS: TLS{ACME: ACME{Domains: []string{"e"}, Challenge: ChallengeHTTP}}}, certs.Options{
			MinVersion: tls.VersionTLS12, ALPN: []string{"http/1.1"}, Logger: logger, ACME: &certs.ACME{Domains: []string{"e"}, NoTLS: true},
		}},
	} {
		if diff := cmp.Diff(row.want, row.of.Keeping(logger), cmpopts.IgnoreUnexported(certs.ACME{}), cmp.Comparer(func(a, b *slog.Logger) bool { return a == b })); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.name, diff)
		}
	}
}

// TestDoorsNeedRestart: an address, and whether it speaks TLS, cannot change; the
// rest of a listener can.
func TestDoorsNeedRestart(t *testing.T) {
	pair := []Certificate{{"a", "b"}}
	of := func(change ...func([]Listener)) *Config {
		c := base()
		c.Listen = at(":1", ":2", ":0")
		c.Listen[1].TLS.Certificates = pair
		for _, f := range change {
			f(c.Listen)
		}
		return &c
	}
	for _, row := range []struct {
		name   string
		change func([]Listener)
		want   bool
	}{
		{"nothing", func([]Listener) {}, false},
		{"another order", func(l []Listener) { l[0], l[1] = l[1], l[0] }, false},
		{"another certificate", func(l []Listener) { l[1].TLS.Certificates = []Certificate{{"c", "d"}} }, false},
		{"ACME in place of files", func(l []Listener) { l[1].TLS = TLS{ACME: ACME{Domains: []string{"a.test"}}} }, false},
		{"networks", func(l []Listener) { l[0].ProxyProtocol = networks("10.0.0.0/8") }, false},
		{"HTTP/2", func(l []Listener) { l[1].HTTP2 = true }, false},
		{"address", func(l []Listener) { l[0].Address = ":3" }, true},
		{"TLS off", func(l []Listener) { l[1].TLS.Certificates = nil }, true},
		{"TLS on", func(l []Listener) { l[0].TLS.Certificates = pair }, true},
		{"TLS changes places", func(l []Listener) { l[0].TLS, l[1].TLS = l[1].TLS, l[0].TLS }, true},
	} {
		if got := of(row.change).NeedsRestart(of()); (len(got) > 0) != row.want {
			t.Errorf("%s: %q need a restart", row.name, got)
		}
	}
}

// TestDumpSaysInsecureOfRESTCalls: where only the REST API speaks TLS, a dump
// tells that nobody looks at its certificate.
func TestDumpSaysInsecureOfRESTCalls(t *testing.T) {
	file := filepath.Join(t.TempDir(), "connection")
	if err := os.WriteFile(file, []byte("Endpoint=https://a.test;ClientEndpoint=http://b.test;AccessKey="+keyA), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, insecure := range []string{"true", "false"} {
		c, err := Parse("test.yaml", []byte("upstreams: [{name: east, connection_string_file: \""+file+"\", tls: {insecure: "+insecure+"}}]\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("dump.yaml", []byte(c.YAML()), nil)
		if err != nil {
			t.Fatalf("the dump is refused: %v\n%s", err, c.YAML())
		}
		if again.Upstreams[0] != c.Upstreams[0] {
			t.Errorf("the dump means something else:\n%s", c.YAML())
		}
	}
}
