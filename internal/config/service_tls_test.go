package config_test

import (
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
