package azure

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzParseConnectionString checks of every text: no panic; what is accepted, written again, says the same; and no error shows the
// access key.
func FuzzParseConnectionString(f *testing.F) {
	for _, seed := range []string{
		"Endpoint=https://x.service.signalr.net;AccessKey=" + keyText + ";Version=1.0;",
		"Endpoint=http://localhost;Port=8888;AccessKey=" + keyText + ";Version=1.0;",
		"endpoint=https://x;clientendpoint=https://c/p;serverendpoint=http://[::1]:1;accesskey=a==;",
		"Endpoint=https://x;AuthType=azure.msi;AccessKey=" + keyText, ";;=;a", "Endpoint=https://u:p@x;AccessKey=" + keyText + ";Port=x",
		"Endpoint=" + keyText + ";AccessKey=" + keyText, "Endpoint=https://x;AccessKey=" + keyText + ";accesskey=" + keyText,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConnectionString(text)
		if err != nil {
			if strings.Contains(err.Error(), keyText[:16]) {
				t.Fatalf("the error shows the key: %v", err)
			}
			return
		}
		if c.Key.IsZero() || c.Endpoint.IsZero() {
			t.Fatalf("taken without key or endpoint: %+v", c)
		}
		again := "Endpoint=" + c.Endpoint.String() + ";AccessKey=" + c.Key.Reveal()
		if !c.ClientEndpoint.IsZero() {
			again += ";ClientEndpoint=" + c.ClientEndpoint.String()
		}
		if !c.ServerEndpoint.IsZero() {
			again += ";ServerEndpoint=" + c.ServerEndpoint.String()
		}
		if c.Version != "" {
			again += ";Version=" + c.Version
		}
		d, err := ParseConnectionString(again)
		if err != nil && len(again) <= MaxConnectionString {
			t.Fatalf("not taken again: %v", err)
		}
		if err == nil && (d.Endpoint != c.Endpoint || d.ClientEndpoint != c.ClientEndpoint || d.ServerEndpoint != c.ServerEndpoint ||
			!d.Key.Equal(c.Key) || d.Version != c.Version) {
			t.Fatalf("%+v is read again as %+v", c, d)
		}
		for _, s := range []Service{WebPubSub, SignalR} {
			r := mustClient(t, s, "hub")
			if !r.Accepts(r.Audience(c.Endpoint), c.Endpoint) {
				t.Fatalf("%v does not accept its own audience %s", c.Endpoint, r.Audience(c.Endpoint))
			}
		}
	})
}

// FuzzVerify checks of every token: no panic, with and without a cache the same verdict, an error that is one of ours and shows
// nothing; and what is accepted can be minted again and is accepted again.
func FuzzVerify(f *testing.F) {
	later := time.Unix(lastSecond, 0).Add(-2 * time.Hour)
	good := compact(hs256, chat(later, `,"sub":"u","role":["a"]`), keyText)
	f.Add(good)
	f.Add(compact(hs256, chat(later, `,"nbf":1.5,"aud2":[]`), otherText))
	f.Add(compact(hs256, chat(time.Unix(0, 0), ""), keyText))
	f.Add(compact(`{"alg":"none"}`, chat(later, ""), keyText))
	f.Add(compact(`{"alg":"HS512"}`, chat(later, ""), keyText))
	f.Add("..")
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, token string) {
		here, hub := mustBase(t, place), mustClient(t, WebPubSub, "chat")
		cached := newVerifier(t, 1, own(t))
		for _, v := range []*Verifier{cached, cached, newVerifier(t, -1, own(t))} {
			got, err := v.Verify(token, here, hub)
			if err != nil {
				checkTokenError(t, token, err)
				continue
			}
			if strings.Count(token, ".") != 2 {
				t.Fatal("no token")
			}
			again, err := got.Mint(mustKey(t, keyText), hub.Audience(here))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(again, here, hub); err != nil && len(again) <= MaxToken {
				t.Fatalf("minted again, it is refused: %v", err)
			}
		}
	})
}

func checkTokenError(t *testing.T, token string, err error) {
	t.Helper()
	for _, known := range []error{
		ErrTokenTooLong, ErrTokenMalformed, ErrTokenAlgorithm, ErrTokenSignature, ErrTokenExpired, ErrTokenNotYet, ErrTokenAudience,
	} {
		if errors.Is(err, known) {
			if len(token) > 24 && strings.Contains(err.Error(), token) {
				t.Fatal("the error shows the token")
			}
			return
		}
	}
	t.Fatalf("unknown error %v", err)
}

// FuzzClaims signs whatever claims it is given, so that the fuzzer gets behind the signature.
func FuzzClaims(f *testing.F) {
	later := time.Unix(lastSecond, 0).Add(-2 * time.Hour)
	f.Add(hs256, chat(later, `,"sub":"u"`))
	f.Add(hs256, chat(later, `,"a":[[[{"b":1e5}]]]`))
	f.Add(hs256, `{"aud":["`+place+`/client/hubs/chat"],"exp":1e10}`)
	f.Add(`{"alg":"none"}`, `null`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		here, hub := mustBase(t, place), mustClient(t, WebPubSub, "chat")
		v := newVerifier(t, 1, own(t))
		token := compact(header, claims, keyText)
		got, err := v.Verify(token, here, hub)
		if err != nil {
			checkTokenError(t, token, err)
			return
		}
		for _, name := range got.Claims().Names() {
			_ = got.Claims().Strings(name)
			if got.Claims().Raw(name) == nil {
				t.Fatalf("claim %q is lost", name)
			}
		}
		if got.Expires().Before(time.Now().Add(-Leeway)) {
			t.Fatalf("expired at %v", got.Expires())
		}
		_, _ = got.Claims().User(SignalR), got.Claims().User(WebPubSub)
	})
}

// FuzzParseClientResource checks that what is accepted is a hub, and that asking for the URL it gives finds the same.
func FuzzParseClientResource(f *testing.F) {
	f.Add("/client/", "hub=chat&id=1", true)
	f.Add("/client/hubs/a%5B%5D", "access_token=a", false)
	f.Add("/clients/socketio/hubs/a/", "EIO=4", false)
	f.Fuzz(func(t *testing.T, path, query string, signalr bool) {
		s := WebPubSub
		if signalr {
			s = SignalR
		}
		_, _ = FindToken("", query)
		_ = ReplaceToken(query, "t")
		r, err := ParseClientResource(s, path, query)
		if err != nil {
			return
		}
		if CheckHub(r.Hub()) != nil {
			t.Fatalf("hub %q", r.Hub())
		}
		again, err := ParseClientResource(s, r.Path(), r.RawQuery())
		if err != nil || again != r {
			t.Fatalf("%+v is found again as %+v, %v", r, again, err)
		}
	})
}
