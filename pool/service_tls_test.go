package pool

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

// TestServiceTLS has a row for each way in which the REST API and the WebSockets
// of an instance can differ.
func TestServiceTLS(t *testing.T) {
	checker := build(t, member{name: "a"}).Checker()
	cache := tls.NewLRUClientSessionCache(1)
	for _, row := range []struct {
		name, sockets, connection string
		given                     *tls.Config
		want                      string // server name; none: no TLS
		refused                   bool
	}{
		{"no instance", "wss://a.test", "", nil, "", false},
		{"the same place", "wss://a.test", "Endpoint=https://a.test", nil, "a.test", false},
		{"only REST calls with TLS", "ws://a.test", "Endpoint=https://a.test", &tls.Config{ClientSessionCache: cache}, "a.test", false},
		{"only WebSockets with TLS", "wss://a.test", "Endpoint=http://a.test", nil, "", false},
		{"another place", "wss://a.test", "Endpoint=https://b.test;ServerEndpoint=https://c.test:8443/x", &tls.Config{}, "c.test", false},
		{"a name of its own", "wss://a.test", "Endpoint=https://b.test", &tls.Config{ServerName: "a.test"}, "a.test", false},
		{"given for a REST API without TLS", "wss://a.test", "Endpoint=http://a.test", &tls.Config{}, "", true},
		{"given for no instance", "wss://a.test", "", &tls.Config{}, "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := Options{Name: "a", Checker: checker, ServiceTLS: row.given}
			var err error
			if o.URL, err = url.Parse(row.sockets); err != nil {
				t.Fatal(err)
			}
			if o.URL.Scheme == "wss" {
				o.TLS = &tls.Config{InsecureSkipVerify: true} // says nothing about REST calls
			}
			if row.connection != "" {
				if o.Connection, err = azure.ParseConnectionString(row.connection + ";AccessKey=key"); err != nil {
					t.Fatal(err)
				}
			}
			u, err := NewUpstream(o)
			if row.refused {
				if err == nil || !strings.Contains(err.Error(), "settings of TLS for a REST API without it") {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := u.TLS(); (got != nil) != (o.TLS != nil) || got != nil && got.ServerName != "a.test" {
				t.Errorf("WebSockets: %+v", got)
			}
			got := u.ServiceTLS()
			if row.want == "" {
				if got != nil {
					t.Errorf("REST calls: %+v", got)
				}
				return
			}
			if got == nil || got.ServerName != row.want || got.InsecureSkipVerify || got == row.given {
				t.Fatalf("REST calls: %+v", got)
			}
			if row.given == nil && (got.MinVersion != tls.VersionTLS12 || got.ClientSessionCache == nil) {
				t.Errorf("defaults: %+v", got)
			}
			if row.given != nil && got.ClientSessionCache != row.given.ClientSessionCache {
				t.Error("the session cache is not shared")
			}
		})
	}
}
