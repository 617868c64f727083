package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestErrorsHideSecrets puts a secret wherever an operator may by mistake, and
// looks for it in the whole report.
func TestErrorsHideSecrets(t *testing.T) {
	const secret = "hunter2"
	rows := map[string]string{
		"password":               one + `{name: a, url: "ws://user:hunter2@h"}`,
		"password in block form": one + "name: a\n  url: ws://user:hunter2@h:9001/x",
		"user only":              one + `{name: a, url: "ws://hunter2@h"}`,
		"TLS":                    one + `{name: a, url: "wss://user:hunter2@h"}`,
		"slash in password":      one + `{name: a, url: "ws://user:a/hunter2@h"}`,
		"at in password":         one + `{name: a, url: "ws://user:a@hunter2@h"}`,
		"space in password":      one + `{name: a, url: "ws://user:a hunter2@h"}`,
		"quote in password":      one + `{name: a, url: "ws://user:a\"hunter2@h"}`,
		"hash in password":       one + `{name: a, url: "ws://user:a#hunter2@h"}`,
		"question in password":   one + `{name: a, url: "ws://user:a?hunter2@h"}`,
		"no scheme":              one + `{name: a, url: "user:hunter2@h"}`,
		"no slashes":             one + `{name: a, url: "ws:user:hunter2@h"}`,
		"no host":                one + `{name: a, url: "ws://user:hunter2"}`,
		"query":                  one + `{name: a, url: "ws://h/x?access_token=hunter2"}`,
		"fragment":               one + `{name: a, url: "ws://h/x#hunter2"}`,
		"as listen address":      two + "listen: ws://user:hunter2@h:80",
		"as admin address":       two + "admin: user:hunter2@h:80",
		"as a name":              one + `{name: "ws://u:hunter2@h", url: "ws://h"}`,
		"as a key":               two + `"ws://u:hunter2@h": 1`,
		"as an upstream":         "upstreams: [\"ws://u:hunter2@h\"]",
		"in a route":             two + "routes: [{upstreams: [\"ws://u:hunter2@h\"]}]",
		"next to another mistake": one +
			`{name: A, url: "ws://u:hunter2@h", weight: 0, rule: none}`,
		"after a duplicate":          two + "admin: off\nadmin: \"http://u:hunter2@h\"",
		"unterminated":               one + "name: a\n  url: \"ws://user:hunter2@h",
		"unterminated, no at":        one + "name: a\n  url: \"ws://user:hunter2\n",
		"over two lines":             one + "name: a\n  url: \"ws://user:hunter2\n    more@h\"",
		"over two lines, after":      one + "name: a\n  url: \"ws://user:more\n    hunter2@h\"",
		"block scalar":               one + "name: a\n  url: |\n    ws://user:hunter2@h\n",
		"tagged":                     one + "name: a\n  url: !x ws://user:hunter2@h\n",
		"anchored":                   one + "name: a\n  url: &x ws://user:hunter2@h\n",
		"unknown key":                two + "password: hunter2",
		"unknown key in a flow":      two + "health: {auth_token: hunter2, rise: 0}",
		"connection string":          two + "connection: Endpoint=http://h;AccessKey=hunter2;Version=1.0;",
		"as a number":                two + "failover: {attempts: \"http://u:hunter2@h\"}",
		"as a choice":                two + "router: http://u:hunter2@h",
		"as a duration":              two + "health: {interval: http://u:hunter2@h}",
		"short token":                two + "admin: {token: hunter2}",
		"token with a comma":         two + "admin: {token: \"a,hunter2\"}",
		"token with a brace":         two + "admin:\n  token: a}hunter2\n",
		"token with a space":         two + "admin:\n  token: 0123456789abcdef hunter2\n",
		"token in a list":            two + "admin: {token: [a, hunter2]}",
		"token in a section":         two + "admin: {token: {a: b, c: hunter2}}",
		"token as a number":          two + "admin: {token: !!int hunter2}",
		"token in a block":           two + "admin:\n  token: |\n    hunter2\n",
		"token over two lines":       two + "admin:\n  token: \"0123456789abcdef\n    hunter2\"\n",
		"token, escaped":             two + "admin: {token: \"hunter2\\n\"}",
		"token not closed":           two + "admin:\n  token: \"0123456789abcdef,hunter2\n",
		"token key misspelt":         two + "admin: {tokn: hunter2}",
		"token key, next line":       two + "admin:\n  tokn:\n    hunter2\n",
		"token key, deeper":          two + "admin:\n  auth: {bearer: hunter2}\n",
		"token key in capitals":      two + "admin: {Token: hunter2}",
		"token at the top":           two + "token: hunter2",
		"token twice":                two + "admin: {token: 0123456789abcdef, token: hunter2}",
		"token and file":             two + "admin: {token: hunter2hunter2hunter2, token_file: testdata/token}",
		"key in place of its file":   two + "listen:\n- address: :1\n  tls:\n    certificates:\n    - cert: a\n      key: |\n        -----BEGIN EC PRIVATE KEY-----\n        hunter2\n        -----END EC PRIVATE KEY-----\n",
		"key on one line":            one + `{name: a, url: "wss://h", tls: {cert: a, key: "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"}}`,
		"key, badly indented":        two + "listen:\n- address: :1\n  tls: {certificates: [{cert: a, key: |\n-----BEGIN RSA PRIVATE KEY-----\nhunter2 hunter2\n",
		"key with a tab in front":    two + "key: |\n  -----BEGIN PRIVATE KEY-----\n\thunter2\n  -----END PRIVATE KEY-----\n",
		"key as a name of a section": two + "? |\n  -----BEGIN PRIVATE KEY-----\n  hunter2\n: a\n",
		"token beside a mistake": two +
			"admin: {address: \"x\", tokens: hunter2}",
	}
	for name, file := range rows {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(file, secret) {
				t.Fatal("the row holds no secret")
			}
			problems := problemsOf(t, file)
			for _, shown := range []string{problems.Error(), fmt.Sprintf("%+v", problems)} {
				if strings.Contains(shown, secret) {
					t.Errorf("the secret is shown:\n%s", shown)
				}
			}
		})
	}
	t.Run("environment", func(t *testing.T) {
		problems := problemsOf(t, two, "POINTSMAN_LISTEN=ws://u:hunter2@h", "POINTSMAN_TOKEN=hunter2", "POINTSMAN_UPSTREAMS=ws://u:hunter2@h", "POINTSMAN_ADMIN_TOKEN=hunter2")
		if len(problems) != 4 || strings.Contains(problems.Error(), secret) {
			t.Errorf("want four problems without the secret:\n%v", problems)
		}
	})
	t.Run("flags", func(t *testing.T) {
		_, err := FromFlags(Flags{Listen: "http://u:hunter2@h", Primary: []string{"ws://u:hunter2@h"}, Secondary: []string{"ws://h/?k=hunter2"}}, nil)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("want an error without the secret:\n%v", err)
		}
	})
	t.Run("token", func(t *testing.T) {
		c, err := Parse("test.yaml", []byte(two+"admin: {token: hunter2hunter2hunter2}"), nil)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "admin", c.Admin, "token", c.Admin.Token)
		for _, shown := range []string{
			c.YAML(), string(encoded), logged.String(), fmt.Sprint(c.Admin), fmt.Sprintf("%v %+v %#v %s %q", c.Admin, c, c, c.Admin.Token, c.Admin.Token),
		} {
			if strings.Contains(shown, secret) || !strings.Contains(shown, "***") {
				t.Errorf("the secret is shown, or its place is not:\n%s", shown)
			}
		}
	})
	t.Run("dump of a hand-made value", func(t *testing.T) {
		c := Default()
		for _, u := range []string{"ws://u:hunter2@h", "ws://h?hunter2", "ws:u:hunter2@h"} {
			c.Upstreams = []Upstream{{Name: "a", URL: u}}
			if strings.Contains(c.YAML(), secret) {
				t.Errorf("the secret is shown:\n%s", c.YAML())
			}
		}
	})
}

// TestRedact pins what stays visible, for a report must still be of use.
func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"ws://10.0.0.1:9001/chat":            "ws://10.0.0.1:9001/chat",
		"ws://[::1]:9001":                    "ws://[::1]:9001",
		`{url: "ws://a:1"}, {url: "ws://b"}`: `{url: "ws://a:1"}, {url: "ws://b"}`,
		"url: ws://h # what? why":            "url: ws://h # what? why",
		"ws://u:p@h:1/x":                     "ws://***@h:1/x",
		"url: \"ws://u:p@h\" # no":           "url: \"ws://***@h\" # no",
		"ws://h/?a=b":                        "ws://h/?***",
		"u:p@h":                              "u:***@h",
		"p@h":                                "***@h",
		"ws://u:p":                           "ws://u:***",
		"{token: abc, rise: 2}":              "{token: ***, rise: 2}",
		"{token: \"a,b}c\", rise: 2}":        "{token: ***, rise: 2}",
		"{token: \"a\\\"b\", rise: 2}":       "{token: ***, rise: 2}",
		"{token: [a, b], rise: 2}":           "{token: ***",
		"token_file: /run/token":             "token_file: /run/token",
		"token: a,b}c # d":                   "token: ***",
		"token: 'a":                          "token: ***",
		"key: -----BEGIN EC PRIVATE KEY----- MHc": "key: -----BEGIN EC PRIVATE KEY-----***",
		"key: -----BEGIN CERTIFICATE----- MHc":    "key: -----BEGIN CERTIFICATE----- MHc",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestSecretHidesItsLength: the marker is as long as what is shown.
func TestSecretHidesItsLength(t *testing.T) {
	problems := problemsOf(t, two+"admin: {token: hunter2, token_file: testdata/none}")
	want := "  2 | admin: {token: ***, token_file: testdata/none}\n" +
		"    |                ^^^"
	if got := problems[0].Excerpt; got != want {
		t.Errorf("excerpt:\n%s\nwant:\n%s", got, want)
	}
}

// TestMarkerAfterRedaction: the marker stays under its place when the text
// before it has become shorter.
func TestMarkerAfterRedaction(t *testing.T) {
	problems := problemsOf(t, "upstreams:\n- {name: a, url: \"ws://user:password@h\", wheel: 2}")
	want := "  2 | - {name: a, url: \"ws://***@h\", wheel: 2}\n" +
		"    |                                ^^^^^"
	for _, p := range problems {
		if p.Key == "upstreams[0].wheel" {
			if p.Excerpt != want {
				t.Errorf("excerpt:\n%s\nwant:\n%s", p.Excerpt, want)
			}
			return
		}
	}
	t.Errorf("no problem with the key wheel:\n%v", problems)
}
