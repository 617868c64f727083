package proxy

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy/handshake"
)

func TestParameters(t *testing.T) {
	for _, row := range []struct{ query, without, replaced string }{
		{"", "", ""},
		{"id=a", "", "id=n%26w"},
		{"x=1&id=a&y=%20", "x=1&y=%20", "x=1&id=n%26w&y=%20"},
		{"i%64=a&id=b", "", "id=n%26w&id=n%26w"},
		{"ID=a&%zz=b&id", "ID=a&%zz=b", "ID=a&%zz=b&id=n%26w"},
		{"&&id=a&", "&&", "&&id=n%26w&"},
	} {
		if got := withoutParameter(row.query, "id"); got != row.without {
			t.Errorf("%q without: %q, want %q", row.query, got, row.without)
		}
		if got := replaceParameter(row.query, "id", "n&w"); got != row.replaced {
			t.Errorf("%q replaced: %q, want %q", row.query, got, row.replaced)
		}
	}
}

// FuzzTicket: whatever a client of a service asks for and shows, it gets in with a
// good token only; and what an upstream gets is a head that can be read, with its
// own token and no other, and with all other parameters as they came.
func FuzzTicket(f *testing.F) {
	east := mustConnection(f, "Endpoint=http://east.example;AccessKey="+eastKey)
	u := member{name: "east", address: "east.example", service: east}.build(f)
	o := Options{Routes: []Route{{Path: "/a", Set: set(f, u), Service: &Service{Kind: azure.WebPubSub, AccessKeys: []azure.Key{accessKey(f, ownKey)}}}}}
	o.Upstreams = append(o.Upstreams, u)
	p, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.cutOff)
	w := p.world.Load()
	good := mint(f, ownKey, "http://x.example/a/client/hubs/chat", nil)
	verifier, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{east.Issuer("east")}})
	if err != nil {
		f.Fatal(err)
	}
	hub, err := azure.ClientResource(azure.WebPubSub, "chat")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][2]string{
		{"/a/client/hubs/chat?access_token=GOOD", ""}, {"/a/client/?hub=chat&access_token=GOOD&x=%20", "Bearer GOOD"},
		{"/a/client/hubs/chat", "bearer GOOD"}, {"/a/client/hubs/chat?access_token=GOOD&awps_connection_id=x", ""},
		{"/a/client/hubs/chat?pointsman_to=y&access_token=GOOD&access_token=", ""}, {"/a/client/hubs/chat?awps_connection_id=x", "Basic x"},
		{"/%61/client/hubs/chat?access_token=GOOD", ""}, {"/a/client/hubs/%63hat?ACCESS_TOKEN=GOOD&access_token=bad", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, target, authorization string) {
		target, authorization = strings.ReplaceAll(target, "GOOD", good), strings.ReplaceAll(authorization, "GOOD", good)
		head := "GET " + target + " HTTP/1.1\r\nHost: x.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + reliableProtocol + "\r\nAuthorization: " + authorization + "\r\n\r\n"
		c := &clientConn{proxy: p, gate: new(gate), opening: new(opening), world: w}
		limits := w.options.Limits.Head
		if end, err := handshake.RequestEnd([]byte(head), 0, limits); err != nil || end != len(head) {
			return
		}
		if handshake.ParseRequest([]byte(head), limits, &c.request) != nil || c.classify() != nil || c.plain || c.ticket == nil {
			return
		}
		if c.ticket.token == nil && !c.ticket.again {
			t.Fatal("let in without a token")
		}
		dressed, err := c.ticket.dress(&c.request, u)
		if err != nil {
			t.Fatal(err)
		}
		out := dressed.AppendUpstream(nil, handshake.Upstream{Host: "east.example"}, handshake.Forward{Proto: "http"})
		var seen handshake.Request
		if err := handshake.ParseRequest(out, handshake.Limits{Size: 1 << 20, Target: 1 << 20}, &seen); err != nil {
			t.Fatalf("the upstream cannot read it: %v\n%s", err, out)
		}
		shown, err := azure.FindToken(field(&seen, "Authorization"), string(seen.Query))
		switch {
		case c.ticket.token == nil:
			if err == nil || shown == good {
				t.Fatalf("a token that is not good is passed on:\n%s", out)
			}
		case err != nil || shown == good:
			t.Fatalf("%v:\n%s", err, out)
		default:
			if _, err := verifier.Verify(shown, azure.Base{}, hub); err != nil && c.ticket.resource.Path() == hub.Path() {
				t.Fatalf("%v:\n%s", err, out)
			}
		}
		others := func(query string) string {
			var kept []string
			for pair := range strings.SplitSeq(query, "&") {
				name, _, _ := strings.Cut(pair, "=")
				plain, err := url.QueryUnescape(name)
				if err == nil && (strings.EqualFold(plain, "access_token") || plain == "pointsman_to") {
					continue
				}
				kept = append(kept, pair)
			}
			return strings.Join(kept, "&")
		}
		if a, b := others(string(c.request.Query)), others(string(seen.Query)); a != b {
			t.Fatalf("query %q became %q", a, b)
		}
	})
}

func mustConnection(t testing.TB, text string) azure.ConnectionString {
	t.Helper()
	c, err := azure.ParseConnectionString(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
