package negotiate

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/internal/azure"
)

// FuzzAdapt checks of every answer that it comes out as it was but for the token, which leads back, or is refused.
func FuzzAdapt(f *testing.F) {
	f.Add([]byte(version1))
	f.Add([]byte(`{"connectionId":"a\u00e9"}`))
	f.Add([]byte(`{"negotiateVersion":1,"connectionToken":"\"\\<&>"}`))
	f.Add([]byte(`{"url":"x"}`))
	f.Add([]byte("\ufeff{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := newAffinity(t, AffinityOptions{Pinned: 4})
		got, err := a.Adapt(UpstreamAnswer{200, "application/json", "", body}, "east")
		if err != nil {
			if !errors.Is(err, ErrUpstreamAnswer) {
				t.Fatalf("unknown error %v", err)
			}
			return
		}
		var before, after map[string]any
		if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &before) != nil || json.Unmarshal(got.Body, &after) != nil {
			t.Fatalf("no JSON: %q, %q", body, got.Body)
		}
		name := "connectionId"
		if v, _ := before["negotiateVersion"].(float64); v >= 1 {
			name = "connectionToken"
		}
		if got.Pinned {
			id, _ := after[name].(string)
			bare, to, found := a.Find(id, regions)
			if want, _ := before[name].(string); !found || to != "east" || bare != want {
				t.Fatalf("%q leads to %q as %q, want %q", id, to, bare, want)
			}
			delete(before, name)
			delete(after, name)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzFind checks of every id that it is found only if it was made here.
func FuzzFind(f *testing.F) {
	f.Add("token", "east")
	f.Add("token.pmAAAAAAAAAAAAAAAA", "west")
	f.Add(".pm", "")
	f.Fuzz(func(t *testing.T, id, upstream string) {
		a := newAffinity(t, AffinityOptions{Pinned: 4})
		if _, _, found := a.Find(id, append(regions, upstream)); found {
			t.Fatalf("%q is found by a stranger", id)
		}
		if id == "" || len(id) > MaxID {
			return
		}
		if bare, to, found := a.Find(a.Pin(id, upstream), []string{upstream}); !found || bare != id || to != upstream {
			t.Fatalf("got %q, %q, %v", bare, to, found)
		}
	})
}

// FuzzNegotiate checks of every query: one of the known statuses, no panic, JSON where it says so.
func FuzzNegotiate(f *testing.F) {
	f.Add("hub=chat&userId=u&negotiateVersion=1", "POST", true)
	f.Add("hub=chat&hub=x", "GET", false)
	f.Add("api-version=1&role=a&group=b&minutesToExpire=5", "POST", false)
	sig := newRig(f, azure.SignalR, func(o *Options) { o.Open = true })
	pub := newRig(f, azure.WebPubSub, func(o *Options) { o.Open = true })
	toSig, toPub := sig.request("POST", "/negotiate"), pub.request("POST", "/negotiate")
	f.Fuzz(func(t *testing.T, query, method string, signalr bool) {
		n, request := pub.n, toPub
		if signalr {
			n, request = sig.n, toSig
		}
		request.Method, request.Query = method, query
		for _, a := range []Answer{n.Negotiate(request), n.List(request), n.GenerateToken(request, "chat")} {
			switch a.Status {
			case 200, 400, 401, 405, 413, 414, 431:
			default:
				t.Fatalf("answered %d %s", a.Status, a.Body)
			}
			if a.ContentType == typeJSON && !json.Valid(a.Body) {
				t.Fatalf("no JSON: %s", a.Body)
			}
		}
	})
}
