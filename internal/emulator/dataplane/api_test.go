package dataplane

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pointsman/pointsman/internal/azure"
)

const keyText = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

func mustKey(t testing.TB, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustBase(t testing.TB, text string) azure.Base {
	t.Helper()
	b, err := azure.ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newAPI has one call for each thing that is checked; the answer repeats it.
func newAPI(t testing.TB) *API {
	t.Helper()
	g, err := NewGuard([]azure.Key{mustKey(t, keyText), mustKey(t, "second key of the emulator, for rotation")}, mustBase(t, "https://known.example"))
	if err != nil {
		t.Fatal(err)
	}
	say := func(w http.ResponseWriter, c *Call) error {
		return WriteJSON(w, map[string]string{"hub": c.Name("hub"), "group": c.Name("group"), "user": c.Name("user"), "at": c.At.String()})
	}
	return NewAPI(azure.WebPubSub, g, []Route{
		{http.MethodPost, "/api/hubs/{hub}/:send", []string{"v1", "v2"}, say},
		{http.MethodPut, "/api/hubs/{hub}/groups/{group}/users/{user}", []string{"v2"}, say},
		{http.MethodDelete, "/api/hubs/{hub}/groups/{group}/users/{user}", []string{"v2"}, say},
		{http.MethodGet, "/api/old/{hub}", nil, say},
		{http.MethodPost, "/api/body", nil, func(w http.ResponseWriter, c *Call) error {
			var v map[string]int
			if err := c.JSON(&v); err != nil {
				return err
			}
			return WriteJSON(w, v)
		}},
	})
}

// call makes a request with a token for its path, unless the token is given.
func call(t testing.TB, h http.Handler, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://emulator.example:9001"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	path, _, _ := strings.Cut(target, "?")
	r.Header.Set("Authorization", "Bearer "+mint(t, keyText, "http://emulator.example:9001"+path, time.Hour))
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func mint(t testing.TB, key, audience string, lifetime time.Duration) string {
	t.Helper()
	token, err := azure.Mint(mustKey(t, key), azure.NewClaims(audience, time.Now(), lifetime))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestCalls(t *testing.T) {
	const base = "http://emulator.example:9001"
	send := "/api/hubs/chat/:send"
	tests := []struct {
		name, method, target string
		change               func(*http.Request)
		status               int
		says                 string
	}{
		{"taken", "POST", send + "?api-version=v1", nil, 200, `"hub":"chat"`},
		{"other version", "POST", send + "?api-version=v2", nil, 200, `"at":"` + base + `"`},
		{"escaped colon", "POST", "/api/hubs/chat/%3Asend?api-version=v2", nil, 200, "chat"},
		{"no api-version", "POST", send, nil, 400, "UnsupportedApiVersion"},
		{"unknown api-version", "POST", send + "?api-version=v9", nil, 400, "v1, v2"},
		{"two api-versions", "POST", send + "?api-version=v1&api-version=v2", nil, 400, "one api-version"},
		{"older api-version", "PUT", "/api/hubs/chat/groups/g/users/u?api-version=v1", nil, 400, "knows v2"},
		{"version not wanted", "GET", "/api/old/chat", nil, 200, "chat"},
		{"unknown call", "POST", "/api/hubs/chat/:shout?api-version=v1", nil, 404, "no such call"},
		{"slash at the end", "POST", send + "/?api-version=v1", nil, 404, "no such call"},
		{"other method", "GET", send + "?api-version=v1", nil, 405, ""},
		{"bad hub", "POST", "/api/hubs/1chat/:send?api-version=v1", nil, 400, "Invalid value of 'hub'"},
		{"bad query", "POST", send + "?api-version=v1&x=%zz", nil, 400, "malformed"},
		{"group with a slash", "PUT", "/api/hubs/chat/groups/a%2Fb/users/%F0%9F%98%80?api-version=v2", nil, 200, `"group":"a/b"`},
		{"dots", "PUT", "/api/hubs/chat/groups/../users/u?api-version=v2", nil, 200, `"group":".."`},
		{"blank group", "PUT", "/api/hubs/chat/groups/%20%20/users/u?api-version=v2", nil, 400, "'group'"},
		{"no group", "PUT", "/api/hubs/chat/groups//users/u?api-version=v2", nil, 400, "'group'"},
		{"long group", "PUT", "/api/hubs/chat/groups/" + strings.Repeat("g", 1025) + "/users/u?api-version=v2", nil, 400, "'group'"},
		{"group of 1024", "PUT", "/api/hubs/chat/groups/" + strings.Repeat("g", 1024) + "/users/u?api-version=v2", nil, 200, "ggg"},
		{"no user", "PUT", "/api/hubs/chat/groups/g/users/?api-version=v2", nil, 400, "'user'"},
		{"no UTF-8", "PUT", "/api/hubs/chat/groups/g/users/%FF?api-version=v2", nil, 400, "'user'"},
		{"no token", "POST", send + "?api-version=v1", func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Unauthorized"},
		{"token of another key", "POST", send + "?api-version=v1", bearer(mint(t, "another key", base+send, time.Hour)), 401, "Unauthorized"},
		{"second key", "POST", send + "?api-version=v1", bearer(mint(t, "second key of the emulator, for rotation", base+send, time.Hour)), 200, "chat"},
		{"expired", "POST", send + "?api-version=v1", bearer(mint(t, keyText, base+send, -time.Hour)), 401, "Unauthorized"},
		{"for another path", "POST", send + "?api-version=v1", bearer(mint(t, keyText, base+"/api/hubs/news/:send", time.Hour)), 401, "Unauthorized"},
		{"for another host", "POST", send + "?api-version=v1", bearer(mint(t, keyText, "http://other.example"+send, time.Hour)), 401, "Unauthorized"},
		{"with the query", "POST", send + "?api-version=v1", bearer(mint(t, keyText, base+send+"?api-version=v1", time.Hour)), 200, "chat"},
		{"for the known name", "POST", send + "?api-version=v1", bearer(mint(t, keyText, "https://known.example"+send, time.Hour)), 200, "chat"},
		{"too long", "POST", send + "?api-version=v1", bearer(strings.Repeat("x", azure.MaxToken+1)), 414, "TokenTooLong"},
		{"unsigned", "POST", send + "?api-version=v1", bearer("eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0."), 401, "Unauthorized"},
	}
	api := newAPI(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*http.Request) {}
			}
			w := call(t, api, tt.method, tt.target, "", change)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s, want %d and %s", w.Code, w.Body, tt.status, tt.says)
			}
			var p Problem
			if w.Code >= 400 {
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Code != w.Header().Get(ErrorCodeHeader) {
					t.Errorf("problem %+v (%v), header %q", p, err, w.Header().Get(ErrorCodeHeader))
				}
			}
			if tt.status == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestBodies(t *testing.T) {
	api := newAPI(t)
	tests := map[string]struct {
		body, contentType string
		status            int
	}{
		"taken":            {`{"a":1}`, "application/json", 200},
		"with a charset":   {`{"a":1}`, "Application/JSON; charset=utf-8", 200},
		"no type":          {`{"a":1}`, "", 415},
		"other type":       {`{"a":1}`, "text/plain", 415},
		"not JSON":         {`{"a":1`, "application/json", 400},
		"other JSON":       {`["a"]`, "application/json", 400},
		"empty":            {"", "application/json", 400},
		"as large as can":  {`{"a":1}` + strings.Repeat(" ", MaxBody-7), "application/json", 200},
		"one byte too big": {`{"a":1}` + strings.Repeat(" ", MaxBody-6), "application/json", 413},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, length := range []int64{int64(len(tt.body)), -1} {
				w := call(t, api, "POST", "/api/body", tt.body, func(r *http.Request) {
					r.Header.Set("Content-Type", tt.contentType)
					r.ContentLength = length
				})
				if w.Code != tt.status {
					t.Errorf("length %d: %d %.100s, want %d", length, w.Code, w.Body, tt.status)
				}
			}
		})
	}
}

// TestPages: the pages of any listing together are the listing, in order, and
// none is larger than was asked for.
func TestPages(t *testing.T) {
	g, err := NewGuard([]azure.Key{mustKey(t, keyText)}, azure.Base{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,4}`), 0, 30, rapid.ID).Draw(rt, "ids")
		api := NewAPI(azure.WebPubSub, g, []Route{{http.MethodGet, "/list", nil, func(w http.ResponseWriter, c *Call) error {
			var list []Listed
			for _, id := range ids {
				list = append(list, Listed{ConnectionID: id, UserID: "u"})
			}
			return c.Page(w, list)
		}}})
		size, top := rapid.IntRange(1, 9).Draw(rt, "size"), rapid.IntRange(1, 40).Draw(rt, "top")
		query := url.Values{"maxpagesize": {itoa(size)}, "top": {itoa(top)}}
		var got []string
		for target := "/list?" + query.Encode(); target != ""; {
			w := call(t, api, "GET", target, "")
			var page struct {
				Value    []Listed
				NextLink string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 || page.Value == nil {
				rt.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if len(page.Value) > size || page.NextLink != "" && len(page.Value) == 0 {
				rt.Fatalf("a page of %d, %d wanted", len(page.Value), size)
			}
			for _, l := range page.Value {
				got = append(got, l.ConnectionID)
			}
			target = strings.TrimPrefix(page.NextLink, "http://emulator.example:9001")
		}
		want := sorted(ids)
		want = want[:min(top, len(want))]
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("-want +got:\n%s", diff)
		}
	})
	for _, bad := range []string{"maxpagesize=0", "maxpagesize=201", "maxpagesize=x", "top=0", "top=1&top=2", "continuationToken=!"} {
		api := NewAPI(azure.WebPubSub, g, []Route{{http.MethodGet, "/list", nil, func(w http.ResponseWriter, c *Call) error { return c.Page(w, nil) }}})
		if w := call(t, api, "GET", "/list?"+bad, ""); w.Code != 400 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// FuzzMatch: no path makes the table panic, and an escaped name comes out as it
// was put in.
func FuzzMatch(f *testing.F) {
	f.Add("chat", "a/b")
	f.Add("%", "..")
	f.Fuzz(func(t *testing.T, hub, group string) {
		path := "/api/" + url.PathEscape(hub) + "/" + url.PathEscape(group)
		names, ok := match([]string{"", "api", "{hub}", "{group}"}, strings.Split(path, "/"))
		if !ok || names["hub"] != hub || names["group"] != group {
			t.Errorf("%q, %q came out as %v", hub, group, names)
		}
	})
}
