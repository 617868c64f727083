package azure

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const place = "https://x.example"

// compact makes a token of a header and claims by hand, so that nothing but the verifier is tested.
func compact(header, claims, key string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// chat are claims for the hub chat, with more members.
func chat(now time.Time, more string) string {
	return fmt.Sprintf(`{"aud":%q,"exp":%d%s}`, place+"/client/hubs/chat", now.Add(time.Hour).Unix(), more)
}

func newVerifier(t testing.TB, cached int, issuers ...Issuer) *Verifier {
	t.Helper()
	v, err := NewVerifier(VerifierOptions{Issuers: issuers, Cached: cached})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func own(t testing.TB) Issuer {
	return Issuer{Name: "own", Keys: []Key{mustKey(t, otherText), mustKey(t, keyText)}}
}

func TestVerifyRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		good := compact(hs256, chat(now, ""), keyText)
		head, rest, _ := strings.Cut(good, ".")
		body, signature, _ := strings.Cut(rest, ".")
		b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		library := func(m jwt.SigningMethod, key any) string {
			text, err := jwt.NewWithClaims(m, jwt.MapClaims{"aud": place + "/client/hubs/chat",
				"exp": now.Add(time.Hour).Unix()}).SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		with := func(format string, args ...any) string { return compact(hs256, fmt.Sprintf(format, args...), keyText) }
		const aud = `"aud":"https://x.example/client/hubs/chat"`
		for _, row := range []struct {
			name, token string
			err         error
		}{
			{"good", good, nil},
			{"good with the other key", compact(hs256, chat(now, ""), otherText), nil},
			{"good without typ", compact(`{"alg":"HS256"}`, chat(now, ""), keyText), nil},
			{"good with a key id", compact(`{"alg":"HS256","kid":"-123"}`, chat(now, ""), keyText), nil},
			{"empty", "", ErrTokenMalformed},
			{"two parts", head + "." + body, ErrTokenMalformed},
			{"four parts", good + ".", ErrTokenMalformed},
			{"no base64", "%." + body + "." + signature, ErrTokenMalformed},
			{"no base64 in the claims", head + ".%." + signature, ErrTokenMalformed},
			{"padding", good + "=", ErrTokenMalformed},
			{"header is no JSON", compact(`{`, chat(now, ""), keyText), ErrTokenMalformed},
			{"header is null", compact(`null`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"claims are no JSON", compact(hs256, `{"aud`, keyText), ErrTokenMalformed},
			{"claims and more", compact(hs256, chat(now, "")+"{}", keyText), ErrTokenMalformed},
			{"claims are a list", compact(hs256, `[]`, keyText), ErrTokenMalformed},
			{"claims are null", compact(hs256, `null`, keyText), ErrTokenMalformed},
			{"a claim twice", with(`{%s,"exp":1,"exp":%d}`, aud, now.Add(time.Hour).Unix()), ErrTokenMalformed},
			{"deep claims", compact(hs256, chat(now, `,"a":`+strings.Repeat("[", 4000)+strings.Repeat("]", 4000)), keyText), nil},
			{"critical header", compact(`{"alg":"HS256","crit":["exp"]}`, chat(now, ""), keyText), ErrTokenMalformed},
			{"none", b64(`{"alg":"none"}`) + "." + body + ".", ErrTokenAlgorithm},
			{"none with the signature", b64(`{"alg":"none"}`) + "." + body + "." + signature, ErrTokenAlgorithm},
			{"none by the library", library(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), ErrTokenAlgorithm},
			{"None", compact(`{"alg":"None"}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"HS512", library(jwt.SigningMethodHS512, []byte(keyText)), ErrTokenAlgorithm},
			{"HS384", library(jwt.SigningMethodHS384, []byte(keyText)), ErrTokenAlgorithm},
			{"RS256 with the key", compact(`{"alg":"RS256"}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"hs256 in small letters", compact(`{"alg":"hs256"}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"no algorithm", compact(`{}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"algorithm is a number", compact(`{"alg":1}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"algorithm is a list", compact(`{"alg":["HS256"]}`, chat(now, ""), keyText), ErrTokenAlgorithm},
			{"no signature", head + "." + body + ".", ErrTokenSignature},
			{"other key", compact(hs256, chat(now, ""), "other"), ErrTokenSignature},
			{"empty key", compact(hs256, chat(now, ""), ""), ErrTokenSignature},
			{"half a signature", head + "." + body + "." + signature[:20], ErrTokenSignature},
			{"other claims", head + "." + b64(chat(now, `,"sub":"eve"`)) + "." + signature, ErrTokenSignature},
			{"no exp", with(`{%s}`, aud), ErrTokenMalformed},
			{"exp is text", with(`{%s,"exp":"%d"}`, aud, now.Add(time.Hour).Unix()), ErrTokenMalformed},
			{"exp is null", with(`{%s,"exp":null}`, aud), ErrTokenMalformed},
			{"exp below zero", with(`{%s,"exp":-1}`, aud), ErrTokenMalformed},
			{"exp beyond", with(`{%s,"exp":1e300}`, aud), ErrTokenMalformed},
			{"exp out of range", with(`{%s,"exp":1e999}`, aud), ErrTokenMalformed},
			{"exp zero", with(`{%s,"exp":0}`, aud), ErrTokenExpired},
			{"exp with a fraction", with(`{%s,"exp":%d.75}`, aud, now.Add(time.Hour).Unix()), nil},
			{"just expired", with(`{%s,"exp":%d}`, aud, now.Unix()), nil},
			{"expired within the leeway", with(`{%s,"exp":%d}`, aud, now.Add(time.Second-Leeway).Unix()), nil},
			{"expired", with(`{%s,"exp":%d}`, aud, now.Add(-Leeway).Unix()), ErrTokenExpired},
			{"not yet", compact(hs256, chat(now, fmt.Sprintf(`,"nbf":%d`, now.Add(Leeway+time.Second).Unix())), keyText), ErrTokenNotYet},
			{"not yet within the leeway", compact(hs256, chat(now, fmt.Sprintf(`,"nbf":%d`, now.Add(Leeway).Unix())), keyText), nil},
			{"nbf is text", compact(hs256, chat(now, `,"nbf":"soon"`), keyText), ErrTokenMalformed},
			{"iat in the future", compact(hs256, chat(now, fmt.Sprintf(`,"iat":%d`, now.Add(time.Hour).Unix())), keyText), nil},
			{"no aud", with(`{"exp":%d}`, now.Add(time.Hour).Unix()), ErrTokenAudience},
			{"other aud", with(`{"aud":"https://y.example/client/hubs/chat","exp":%d}`, now.Add(time.Hour).Unix()), ErrTokenAudience},
			{"one aud of many", with(`{"aud":["a","https://x.example/client/hubs/chat"],"exp":%d}`, now.Add(time.Hour).Unix()), nil},
			{"aud is a number", with(`{"aud":1,"exp":%d}`, now.Add(time.Hour).Unix()), ErrTokenAudience},
			{"too long", strings.Repeat("a", MaxToken+1), ErrTokenTooLong},
			{"long", compact(hs256, chat(now, `,"a":"`+strings.Repeat("b", 8<<10)+`"`), keyText), nil},
		} {
			for _, cached := range []int{0, -1} {
				v := newVerifier(t, cached, own(t))
				for _, time := range []string{"first", "second"} {
					token, err := v.Verify(row.token, mustBase(t, place), mustClient(t, WebPubSub, "chat"))
					if !errors.Is(err, row.err) || (err == nil) != (token != nil) {
						t.Errorf("%s, %s time: %v, want %v", row.name, time, err, row.err)
					}
					if err != nil && len(row.token) > 20 && strings.Contains(err.Error(), row.token[:20]) {
						t.Errorf("%s: the error shows the token", row.name)
					}
				}
			}
		}
	})
}

func TestNewVerifierRefuses(t *testing.T) {
	for _, o := range []VerifierOptions{
		{}, {Issuers: []Issuer{{Name: "a"}}}, {Issuers: []Issuer{{Keys: []Key{{}}}}}, {Issuers: []Issuer{own(t), own(t)}},
		{Issuers: []Issuer{{Keys: []Key{mustKey(t, keyText)}, Bases: []Base{{}}}}},
		{Issuers: []Issuer{{Keys: make([]Key, maxIssuerKeys+1)}}},
	} {
		if _, err := NewVerifier(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestVerifyIssuers has a route of our own and two upstreams, one of them with the route's key.
func TestVerifyIssuers(t *testing.T) {
	east := mustConnection(t, "Endpoint=https://east.example;ClientEndpoint="+place+";AccessKey=east-"+keyText)
	west := mustConnection(t, "Endpoint=https://west.example;AccessKey="+keyText)
	v := newVerifier(t, 0, own(t), east.Issuer("east"), west.Issuer("west"))
	chat := mustClient(t, WebPubSub, "chat")
	mint := func(key Key, base string) string {
		token, err := Mint(key, NewClaims(chat.Audience(mustBase(t, base)), time.Now(), time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, row := range []struct {
		name, token, issuer string
		err                 error
	}{
		{"own", mint(mustKey(t, keyText), place), "own", nil},
		{"own, other key", mint(mustKey(t, otherText), place), "own", nil},
		{"east", mint(east.Key, "https://east.example"), "east", nil},
		{"west, a key of two", mint(west.Key, "https://west.example"), "west", nil},
		{"key of east, place of west", mint(east.Key, "https://west.example"), "", ErrTokenAudience},
		{"key of east, our place", mint(east.Key, place), "", ErrTokenAudience},
		{"our key, place of east", mint(mustKey(t, otherText), "https://east.example"), "", ErrTokenAudience},
	} {
		for range 2 { // the second time from the cache
			token, err := v.Verify(row.token, mustBase(t, place), chat)
			if !errors.Is(err, row.err) || err == nil && token.Issuer() != row.issuer {
				t.Errorf("%s: %v, %v", row.name, token, err)
			}
		}
	}
	if _, err := v.Verify(mint(mustKey(t, keyText), place), Base{}, chat); !errors.Is(err, ErrTokenAudience) {
		t.Errorf("a request from nowhere: %v", err)
	}
}

// TestVerifyCached checks that what depends on the request and the time is looked at again when the token comes from the cache.
func TestVerifyCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, 2, own(t))
		now := time.Now()
		token := compact(hs256, chat(now, ""), keyText)
		here, there := mustBase(t, place), mustBase(t, "https://y.example")
		hub, other := mustClient(t, WebPubSub, "chat"), mustClient(t, WebPubSub, "other")
		verify := func(base Base, r Resource, want error) {
			t.Helper()
			if _, err := v.Verify(token, base, r); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		verify(here, other, ErrTokenAudience)
		if v.Cached() != 0 {
			t.Errorf("%d tokens are cached that were not taken", v.Cached())
		}
		verify(here, hub, nil)
		if _, err := v.Verify(compact(hs256, chat(now, ""), "forged"), here, hub); !errors.Is(err, ErrTokenSignature) || v.Cached() != 1 {
			t.Errorf("a forged token: %v, %d tokens are cached", err, v.Cached())
		}
		verify(here, other, ErrTokenAudience)
		verify(there, hub, ErrTokenAudience)
		verify(here, hub, nil)
		time.Sleep(time.Hour + Leeway - time.Second)
		verify(here, hub, nil)
		time.Sleep(time.Second)
		verify(here, hub, ErrTokenExpired)
		if v.Cached() != 0 {
			t.Errorf("%d expired tokens are cached", v.Cached())
		}
		for i := range 10 {
			text := compact(hs256, chat(time.Now(), fmt.Sprintf(`,"n":%d`, i)), keyText)
			if _, err := v.Verify(text, here, hub); err != nil {
				t.Fatal(err)
			}
			_, _ = v.Verify(compact(hs256, chat(time.Now(), fmt.Sprintf(`,"n":%d`, i)), "forged"), here, hub)
		}
		if v.Cached() != 2 {
			t.Errorf("%d tokens are cached, the limit is 2", v.Cached())
		}
		long := compact(hs256, chat(time.Now(), `,"a":"`+strings.Repeat("b", maxCachedToken)+`"`), keyText)
		for _, key := range v.cache.Keys() {
			if _, err := v.Verify(long, here, hub); err != nil || !v.cache.Contains(key) {
				t.Errorf("a long token pushes others out: %v", err)
			}
		}
	})
}

func TestVerifyConcurrently(t *testing.T) {
	v := newVerifier(t, 4, own(t))
	here, hub := mustBase(t, place), mustClient(t, WebPubSub, "chat")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				token, err := v.Verify(compact(hs256, chat(time.Now(), fmt.Sprintf(`,"sub":"u%d"`, i%8)), keyText), here, hub)
				if err != nil || token.Claims().User(WebPubSub) != fmt.Sprint("u", i%8) {
					t.Errorf("%v, %v", token, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestTokenMintKeepsClaims(t *testing.T) {
	now := time.Now()
	more := `,"sub":"u","role":["a","b<&>"],"webpubsub.group":"g","n":12345678901234567890,"x":{"y":[1.50,"é"]},"nbf":1,"iat":2`
	v := newVerifier(t, 0, own(t))
	token, err := v.Verify(compact(hs256, chat(now, more), keyText), mustBase(t, place), mustClient(t, WebPubSub, "chat"))
	if err != nil {
		t.Fatal(err)
	}
	east := mustConnection(t, "Endpoint=https://east.example:8443;AccessKey=east-"+keyText)
	text, err := token.Mint(east.Key, mustClient(t, WebPubSub, "chat").Audience(east.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, ".")
	var got, want any
	for i, into := range map[int]any{0: new(map[string]any), 1: &got} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
		if i == 1 && !strings.Contains(string(raw), "12345678901234567890") {
			t.Errorf("a large number has suffered: %s", raw)
		}
		if header, ok := into.(*map[string]any); ok && !cmp.Equal(*header, map[string]any{"alg": "HS256", "typ": "JWT"}) {
			t.Errorf("header %v", *header)
		}
	}
	wanted := strings.Replace(chat(now, more), place+"/", "https://east.example:8443/", 1)
	if err := json.Unmarshal([]byte(wanted), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := newVerifier(t, 0, east.Issuer("east")).Verify(text, Base{}, mustClient(t, WebPubSub, "chat"))
	if err != nil || again.Issuer() != "east" || !again.Expires().Equal(token.Expires()) {
		t.Errorf("east says %v, %v", again, err)
	}
	if _, err := token.Mint(Key{}, "x"); err == nil {
		t.Error("a token was signed without a key")
	}
}
