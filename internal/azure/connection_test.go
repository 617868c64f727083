package azure

import (
	"strings"
	"testing"
)

func TestParseConnectionString(t *testing.T) {
	const key = ";AccessKey=" + keyText + ";"
	for _, row := range []struct{ name, in, endpoint, client, server, version string }{
		{"typical", "Endpoint=https://x.service.signalr.net" + key + "Version=1.0;", "https://x.service.signalr.net", "", "", "1.0"},
		{"emulator", "Endpoint=http://localhost;Port=8888" + key + "Version=1.0;", "http://localhost:8888", "", "", "1.0"},
		{"port in the endpoint", "Endpoint=http://localhost:8080" + key, "http://localhost:8080", "", "", ""},
		{"port replaces port", "Port=1;Endpoint=http://localhost:8080" + key, "http://localhost:1", "", "", ""},
		{"default port", "Endpoint=https://x:1;Port=443" + key, "https://x", "", "", ""},
		{"case and blanks", " ENDPOINT = https://X/ ;\taccesskey\n= " + keyText + "\n", "https://x", "", "", ""},
		{"empty segments", ";;Endpoint=https://x;;" + key + " ; ;", "https://x", "", "", ""},
		{"segments without =", "Endpoint=https://x;rubbish" + key, "https://x", "", "", ""},
		{"unknown keys", "Endpoint=https://x;Colour=red;=;" + key, "https://x", "", "", ""},
		{"client and server", "Endpoint=https://x;ClientEndpoint=https://c/p/;ServerEndpoint=http://s:1" + key, "https://x",
			"https://c/p", "http://s:1", ""},
		{"empty client", "Endpoint=https://x;ClientEndpoint=" + key, "https://x", "", "", ""},
		{"version with a tail", "Endpoint=https://x;Version=1.0-preview.2" + key, "https://x", "", "", "1.0-preview.2"},
		{"authentication by key", "Endpoint=https://x;AuthType=accesskey" + key, "https://x", "", "", ""},
		{"identity without use", "Endpoint=https://x;ClientId=1;TenantId=2;ClientSecret=3" + key, "https://x", "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := ParseConnectionString(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if c.Endpoint.String() != row.endpoint || c.ClientEndpoint.String() != row.client ||
				c.ServerEndpoint.String() != row.server ||
				c.Version != row.version || c.Key.Reveal() != keyText {
				t.Errorf("got %+v", c)
			}
			if row.client == "" && c.ClientBase() != c.Endpoint || row.client != "" && c.ClientBase() != c.ClientEndpoint ||
				row.server == "" && c.ServerBase() != c.Endpoint || row.server != "" && c.ServerBase() != c.ServerEndpoint {
				t.Errorf("clients go to %s, calls to %s", c.ClientBase(), c.ServerBase())
			}
		})
	}
}

func TestConnectionStringKeepsPadding(t *testing.T) {
	c := mustConnection(t, "Endpoint=https://x;AccessKey=YWJjZA==;Version=1.0")
	if got := c.Key.Reveal(); got != "YWJjZA==" {
		t.Errorf("key is %q", got)
	}
}

func TestParseConnectionStringRefuses(t *testing.T) {
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
	const key = ";AccessKey=" + secret
	for _, row := range []struct{ name, in, say string }{
		{"empty", "", "Endpoint is missing"},
		{"one segment", "Endpoint=https://x", "Endpoint is missing"},
		{"only a key", "AccessKey=" + secret, "Endpoint is missing"},
		{"no endpoint", "Version=1.0" + key, "Endpoint is missing"},
		{"empty endpoint", "Endpoint=" + key, "Endpoint is missing"},
		{"no key", "Endpoint=https://x;Version=1.0", "AccessKey is missing"},
		{"empty key", "Endpoint=https://x;AccessKey=", "AccessKey is missing"},
		{"unknown authentication without key", "Endpoint=https://x;AuthType=" + secret, "AccessKey is missing; AuthType"},
		{"managed identity", "Endpoint=https://x;AuthType=Azure.MSI;ClientId=" + secret,
			"AuthType=azure.msi is not supported, only access keys"},
		{"default identity", "Endpoint=https://x;AuthType=azure" + key, "AuthType=azure is not supported, only access keys"},
		{"application", "Endpoint=https://x;AuthType=azure.app;ClientSecret=" + secret, "AuthType=azure.app is not supported"},
		{"legacy identity", "Endpoint=https://x;AuthType=AAD", "AuthType=aad is not supported"},
		{"endpoint twice", "Endpoint=https://x;endpoint=https://y" + key, "Endpoint is given twice"},
		{"key twice", "Endpoint=https://x" + key + ";accesskey=b", "AccessKey is given twice"},
		{"unknown key twice", "Endpoint=https://x;" + secret + "=a;" + secret + "=a" + key, "unknown key is given twice"},
		{"no URL", "Endpoint=x.service.signalr.net" + key, "Endpoint does not begin with http"},
		{"semicolon forgotten", "Endpoint=https://x AccessKey=" + secret + ";Version=1.0", "Endpoint holds a space"},
		{"semicolon forgotten too", "Endpoint=https://x/AccessKey=" + secret + ";Version=1.0", "Endpoint has a path"},
		{"other scheme", "Endpoint=ftp://x" + key, "Endpoint does not begin with http"},
		{"user", "Endpoint=https://" + secret + "@x" + key, "Endpoint holds user information"},
		{"path", "Endpoint=https://x/p" + key, "Endpoint has a path"},
		{"client endpoint", "Endpoint=https://x;ClientEndpoint=//" + secret + key, "ClientEndpoint does not begin"},
		{"server endpoint", "Endpoint=https://x;ServerEndpoint=https://" + key, "ServerEndpoint has no host"},
		{"port 0", "Endpoint=https://x;Port=0" + key, "Port is not a number"},
		{"port 65536", "Endpoint=https://x;Port=65536" + key, "Port is not a number"},
		{"port with sign", "Endpoint=https://x;Port=+1" + key, "Port is not a number"},
		{"empty port", "Endpoint=https://x;Port=" + key, "Port is not a number"},
		{"version 2", "Endpoint=https://x;Version=2.0" + key, "Version is not supported"},
		{"version 1", "Endpoint=https://x;Version=1" + key, "Version is not supported"},
		{"version with rubbish", "Endpoint=https://x;Version=1.0/" + key, "Version is not supported"},
		{"empty version", "Endpoint=https://x;Version=" + key, "Version is not supported"},
		{"control character", "Endpoint=https://x;AccessKey=" + secret + "\x01a", "control character"},
		{"too long", "Endpoint=https://x" + key + strings.Repeat("a", MaxConnectionString), "longer than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := ParseConnectionString(row.in)
			if err == nil {
				t.Fatalf("taken as %+v", c)
			}
			if !strings.Contains(err.Error(), row.say) {
				t.Errorf("error %q does not say %q", err, row.say)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), secret[:10]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}
