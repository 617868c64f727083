package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/certtest"
	"github.com/pointsman/pointsman/pool"
)

// TestRebuildTLS has a row for each change of how an upstream is reached: what it
// leaves of east.
func TestRebuildTLS(t *testing.T) {
	ca, other := certtest.New(t, "Test"), certtest.New(t, "Other")
	caFile, otherFile := ca.File(t), other.File(t)
	cert, key := ca.Files(t, certtest.Wish{Names: []string{"router.test"}})
	east := func(more string) string {
		return "upstreams:\n  - {name: east, url: \"wss://10.0.0.1:9001\"" + more + "}\n"
	}
	with := func(tls string) string { return east(", tls: {" + tls + "}") }
	for _, row := range []struct {
		name        string
		before, now string
		between     func()
		want        kept
	}{
		{"nothing", with("ca: " + caFile), with("ca: " + caFile), nil, all},
		{"a default that is written out", east(""), with("insecure: false"), nil, all},
		{"weight", with("ca: " + caFile), strings.Replace(with("ca: "+caFile), "tls", "weight: 2, tls", 1), nil, checker},
		{"authorities given", east(""), with("ca: " + caFile), nil, instance},
		{"other authorities", with("ca: " + caFile), with("ca: " + otherFile), nil, instance},
		{"server name", with("ca: " + caFile), with("ca: " + caFile + ", server_name: a.test"), nil, instance},
		{"client certificate", east(""), with("cert: " + cert + ", key: " + key), nil, instance},
		{"client certificate renewed", with("cert: " + cert + ", key: " + key), with("cert: " + cert + ", key: " + key), func() {
			ca.Renew(t, certtest.Wish{Names: []string{"router.test"}}, cert, key)
		}, all},
		{"insecure", east(""), with("insecure: true"), nil, instance},
		{"PROXY protocol", east(""), east(", proxy_protocol: v2"), nil, instance},
		{"spares", east(""), east("") + "pool: {spares: 1}\n", nil, checker},
		{"age of spares", east(""), east("") + "pool: {spare_age: 1m}\n", nil, checker},
		{"no TLS any more", east(""), strings.Replace(east(""), "wss", "ws", 1), nil, nothing},
		{"content of the authorities' file", with("ca: " + caFile), with("ca: " + caFile), func() {
			content, err := os.ReadFile(otherFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(caFile, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}, instance},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, running := parse(t, row.before), build(t, row.before)
			mark(running.Upstreams[0])
			if row.between != nil {
				row.between()
			}
			o := rebuild(t, parse(t, row.now), old, running)
			if got := find(t, running.Upstreams[0], o.Upstreams[0]); got != row.want {
				t.Errorf("kept %d, want %d", got, row.want)
			}
		})
	}
}

// TestRebuildKeepsSessionsOfTLS: with the same settings of TLS, sessions with the
// upstream can be resumed after a reload that changes something else.
func TestRebuildKeepsSessionsOfTLS(t *testing.T) {
	const file = "upstreams: [{name: east, url: \"wss://10.0.0.1:9001\", weight: 1}]\n"
	old, running := parse(t, file), build(t, file)
	o := rebuild(t, parse(t, strings.Replace(file, "weight: 1", "weight: 2", 1)), old, running)
	before, now := running.Upstreams[0].TLS(), o.Upstreams[0].TLS()
	if before.ClientSessionCache == nil || before.ClientSessionCache != now.ClientSessionCache {
		t.Errorf("session caches %p and %p", before.ClientSessionCache, now.ClientSessionCache)
	}
}

// TestBuildTLS: what the file says of an upstream reaches the pool.
func TestBuildTLS(t *testing.T) {
	ca := certtest.New(t, "Test")
	o := build(t, "pool: {spares: 3, spare_age: 1m}\nupstreams:\n"+
		"- {name: plain, url: \"ws://10.0.0.1\"}\n- {name: default, url: \"https://Chat.Example\"}\n"+
		"- {name: named, url: \"wss://10.0.0.3\", tls: {ca: "+ca.File(t)+", server_name: chat.example}}\n"+
		"- {name: blind, url: \"wss://10.0.0.4\", tls: {insecure: true}}\n")
	plain, standard, named, blind := o.Upstreams[0], o.Upstreams[1], o.Upstreams[2], o.Upstreams[3]
	if plain.TLS() != nil || plain.ProxyHeader() != pool.NoProxyHeader || plain.Spares() != 3 || plain.SpareAge().Minutes() != 1 {
		t.Errorf("plain: %+v, %v, %d, %v", plain.TLS(), plain.ProxyHeader(), plain.Spares(), plain.SpareAge())
	}
	if c := standard.TLS(); c.ServerName != "chat.example" || c.RootCAs != nil || c.InsecureSkipVerify {
		t.Errorf("default: %+v", c)
	}
	if c := named.TLS(); c.ServerName != "chat.example" || !c.RootCAs.Equal(ca.Pool()) {
		t.Errorf("named: %+v", c)
	}
	if !blind.TLS().InsecureSkipVerify {
		t.Error("blind: certificates are verified")
	}
	o = build(t, "upstreams: [{name: a, url: \"ws://10.0.0.1\", proxy_protocol: v1}]")
	if h := o.Upstreams[0].ProxyHeader(); h != pool.ProxyHeaderV1 {
		t.Errorf("header %v", h)
	}
}

// TestBuildEdge: what the file says of clients reaches the router.
func TestBuildEdge(t *testing.T) {
	o := build(t, pair+`
routes: [{origins: ["https://a.example"]}]
forwarded: {trusted: [10.0.0.0/8], style: rfc7239}
limits: {sessions_per_address: 2, message_size: 3KiB, messages_per_second: 4, message_burst: 5, bytes_per_second: 6KiB, byte_burst: 7KiB, on_excess: close}
`)
	if got := o.Routes[0].Origins; len(got) != 1 || got[0] != "https://a.example" {
		t.Errorf("origins %q", got)
	}
	if f := o.Forwarded; len(f.Trusted) != 1 || f.Trusted[0].String() != "10.0.0.0/8" || f.Style == 0 {
		t.Errorf("forwarded %+v", f)
	}
	if o.Limits.SessionsPerAddress != 2 || o.Relay.MaxMessage != 3<<10 {
		t.Errorf("%d sessions, %d bytes", o.Limits.SessionsPerAddress, o.Relay.MaxMessage)
	}
	if r := o.Relay.Rate; r.Messages != 4 || r.MessageBurst != 5 || r.Bytes != 6<<10 || r.ByteBurst != 7<<10 || !r.Close {
		t.Errorf("rate %+v", r)
	}
}
