package config_test

import (
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/certtest"
)

const serviceRoute = "routes: [{protocol: webpubsub, access_keys: [" + keyA + "]}]\n"

// secured is a file with an instance at these places, and what it says of TLS.
func secured(places, tls string) string {
	return "upstreams: [{name: east, connection_string: \"" + places + ";AccessKey=" + keyA + "\", weight: 1, tls: {" + tls + "}}]\n" + serviceRoute
}

// TestBuildServiceTLS: what the file says of TLS reaches the REST calls, wherever
// clients connect.
func TestBuildServiceTLS(t *testing.T) {
	ca := certtest.New(t, "Test")
	caFile := ca.File(t)
	cert, key := ca.Files(t, certtest.Wish{Names: []string{"router.test"}})
	for _, row := range []struct{ places, want string }{
		{"Endpoint=https://a.test", "a.test"},
		{"Endpoint=https://a.test;ClientEndpoint=http://b.test", "a.test"},
		{"Endpoint=https://a.test;ClientEndpoint=https://b.test", "a.test"},
		{"Endpoint=http://a.test;ServerEndpoint=https://b.test", "b.test"},
		{"Endpoint=https://a.test;ServerEndpoint=http://b.test", ""},
	} {
		for _, name := range []string{"", "a.test", "b.test"} {
			given, want := "ca: "+caFile+", cert: "+cert+", key: "+key, row.want
			if name != "" {
				given, want = given+", server_name: "+name, name
			}
			c := build(t, secured(row.places, given)).Upstreams[0].ServiceTLS()
			switch {
			case row.want == "":
				if c != nil {
					t.Errorf("%s: TLS for a REST API without it: %+v", row.places, c)
				}
			case c == nil || c.ServerName != want || !c.RootCAs.Equal(ca.Pool()) || c.GetClientCertificate == nil:
				t.Errorf("%s, server name %q: %+v", row.places, name, c)
			}
		}
		if row.want == "" {
			continue
		}
		if c := build(t, secured(row.places, "insecure: true")).Upstreams[0].ServiceTLS(); !c.InsecureSkipVerify {
			t.Errorf("%s: certificates are verified", row.places)
		}
	}
}

// TestRebuildServiceTLS has a row for each change of how the REST API is reached
// where clients connect without TLS: what it leaves of east.
func TestRebuildServiceTLS(t *testing.T) {
	const places = "Endpoint=https://a.test;ClientEndpoint=http://b.test"
	ca, other := certtest.New(t, "Test"), certtest.New(t, "Other")
	caFile, otherFile := ca.File(t), other.File(t)
	with := func(tls string) string { return secured(places, tls) }
	same := with("ca: " + caFile)
	for _, row := range []struct {
		name, now string
		between   func()
		want      kept
		roots     *x509.CertPool
	}{
		{"nothing", same, nil, all, ca.Pool()},
		{"weight", strings.Replace(same, "weight: 1", "weight: 2", 1), nil, checker, ca.Pool()},
		{"server name", with("ca: " + caFile + ", server_name: c.test"), nil, instance, ca.Pool()},
		{"other authorities", with("ca: " + otherFile), nil, instance, other.Pool()},
		{"those of the system", with("insecure: false"), nil, instance, nil},
		{"REST API without TLS", "upstreams: [{name: east, connection_string: \"Endpoint=http://a.test;ClientEndpoint=http://b.test;AccessKey=" + keyA + "\"}]\n" + serviceRoute, nil, instance, nil},
		{"content of the authorities' file", same, func() {
			content, err := os.ReadFile(otherFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(caFile, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}, instance, other.Pool()},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, running := parse(t, same), build(t, same)
			before := running.Upstreams[0]
			mark(before)
			if row.between != nil {
				row.between()
			}
			now := rebuild(t, parse(t, row.now), old, running).Upstreams[0]
			if got := find(t, before, now); got != row.want {
				t.Errorf("kept %d, want %d", got, row.want)
			}
			c := now.ServiceTLS()
			if c == nil {
				if row.roots != nil {
					t.Error("REST calls without TLS")
				}
				return
			}
			if !c.RootCAs.Equal(row.roots) {
				t.Error("REST calls trust the wrong authorities")
			}
			if resumes := c.ClientSessionCache == before.ServiceTLS().ClientSessionCache; resumes != (row.want != instance) {
				t.Errorf("sessions of REST calls can be resumed: %t", resumes)
			}
		})
	}
}
