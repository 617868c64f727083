package azure

import (
	"strings"
	"testing"
)

func TestParseBase(t *testing.T) {
	for _, row := range []struct{ in, out, host, path string }{
		{"https://x.service.signalr.net", "https://x.service.signalr.net", "x.service.signalr.net", ""},
		{"HTTPS://X.Service.SignalR.NET/", "https://x.service.signalr.net", "x.service.signalr.net", ""},
		{"https://x:443//", "https://x", "x", ""},
		{"http://x:80", "http://x", "x", ""},
		{"http://x:443", "http://x:443", "x:443", ""},
		{"https://x:80/p/", "https://x:80/p", "x:80", "/p"},
		{"http://localhost:8080/a%2Fb/c", "http://localhost:8080/a%2Fb/c", "localhost:8080", "/a%2Fb/c"},
		{"http://[::1]:9", "http://[::1]:9", "[::1]:9", ""},
		{"https://[2001:DB8:0::1]", "https://[2001:db8::1]", "[2001:db8::1]", ""},
		{"http://my_service.ns", "http://my_service.ns", "my_service.ns", ""},
	} {
		b, err := ParseBase(row.in)
		if err != nil {
			t.Errorf("%s: %v", row.in, err)
			continue
		}
		if b.String() != row.out || b.Host() != row.host || b.Path() != row.path || b.IsZero() {
			t.Errorf("%s: got %s, host %s, path %q", row.in, b, b.Host(), b.Path())
		}
		if again := mustBase(t, b.String()); again != b {
			t.Errorf("%s: %#v is read back as %#v", row.in, b, again)
		}
		if u := b.URL(); u.String() != row.out {
			t.Errorf("%s: URL %s", row.in, u)
		}
	}
}

func TestParseBaseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "x", "x.webpubsub.azure.com", "//x", "ftp://x", "ws://x", "https:x", "https:/x", "https://", "https:///p", "https://:80",
		"https://x:", "https://x:0", "https://x:65536", "https://x:-1", "https://x:+80", "https://x:8a",
		"https://user@x", "https://user:hunter2@x", "https://@x", "https://x?", "https://x?a=b", "https://x#", "https://x#f",
		"https://x/#",
		"https://x y", "https://x/\n", "https://x\\y", "https://é", "https://x%41", "https://x..y", "https://.x", "https://[::1",
		"https://[x]",
		"https://[::1%25eth0]", "https://[127.0.0.1]", "https://x,y", "https://x/a//b", "https://x/../y", "https://x/./y",
		"https://x/" + strings.Repeat("a", maxBase),
	} {
		if b, err := ParseBase(text); err == nil {
			t.Errorf("%q is taken as %v", text, b)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
}

func TestBaseWebSocket(t *testing.T) {
	for in, out := range map[string]string{"http://x:8080/p": "ws://x:8080/p", "https://x": "wss://x"} {
		if got := mustBase(t, in).WebSocket(); got != out {
			t.Errorf("%s: %s", in, got)
		}
	}
	if (Base{}).String() != "" || !(Base{}).IsZero() {
		t.Error("the zero base is a place")
	}
}
