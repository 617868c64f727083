package fanout

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

const members = "/api/hubs/chat/groups/g%2F1/connections?api-version=2024-12-01&maxpagesize=2"

// pages makes u hold connections, in pages as long as it is asked for. It fails the test for queries that it should not see.
func (u *fake) pages(ids ...string) {
	u.does(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		size, err := strconv.Atoi(q.Get("maxpagesize"))
		if err != nil || q.Get("api-version") == "" || q.Has("top") || q.Has("access_token") {
			u.t.Errorf("%s: query %s", u.name, r.URL.RawQuery)
		}
		from := 0
		if token := q.Get("continuationToken"); token != "" {
			if _, err := fmt.Sscanf(token, u.name+"+&%d", &from); err != nil {
				u.t.Errorf("%s: token %q of another", u.name, token)
			}
		}
		var got page
		to := min(from+size, len(ids))
		for _, id := range ids[from:to] {
			got.Value = append(got.Value, json.RawMessage(fmt.Sprintf(`{"connectionId":%q,"userId":"u","n":12345678901234567890}`, id)))
		}
		if to < len(ids) {
			got.NextLink = "https://" + u.name + ".example" + r.URL.Path + "?api-version=1&continuationToken=" + url.QueryEscape(fmt.Sprintf("%s+&%d", u.name, to))
		}
		_ = json.NewEncoder(w).Encode(got)
	})
}

// walk reads a list to its end and returns the pages as "a,b|c", and how the answers sum up.
func (r *rig) walk(target string) (pages string, sums []string) {
	r.t.Helper()
	var texts []string
	for range 20 {
		a := r.do("GET", target)
		sums = append(sums, sumOf(a))
		if a.Status != 200 {
			return strings.Join(texts, "|"), sums
		}
		var got page
		if err := json.Unmarshal(a.Body, &got); err != nil || a.ContentType != typeJSON {
			r.t.Fatalf("body %s, %v", a.Body, err)
		}
		var ids []string
		for _, raw := range got.Value {
			var c struct{ ConnectionID string }
			if err := json.Unmarshal(raw, &c); err != nil || !strings.Contains(string(raw), "12345678901234567890") {
				r.t.Fatalf("element %s, %v", raw, err)
			}
			ids = append(ids, c.ConnectionID)
		}
		texts = append(texts, strings.Join(ids, ","))
		if got.NextLink == "" {
			return strings.Join(texts, "|"), sums
		}
		rest, ours := strings.CutPrefix(got.NextLink, here)
		if !ours || !strings.HasPrefix(rest, "/api/hubs/chat/groups/g%2F1/connections?api-version=2024-12-01&maxpagesize=") {
			r.t.Fatalf("next link %s", got.NextLink)
		}
		target = rest
	}
	r.t.Fatal("the list has no end")
	return "", nil
}

func TestList(t *testing.T) {
	for _, row := range []struct {
		name   string
		target string
		change func(east, west, north *fake)
		pages  string
		sums   []string
	}{
		{"three with pages", members, func(e, w, n *fake) { e.pages("a", "b", "c"); w.pages("d"); n.pages("e", "f") }, "a,b|c|d|e,f",
			[]string{"200 east=200", "200 east=200", "200 west=200", "200 north=200"}},
		{"empty ones are passed over", members, func(e, w, n *fake) { e.pages(); w.pages("d"); n.pages() }, "d|",
			[]string{"200 east=200 west=200", "200 north=200"}},
		{"nobody", members, func(e, w, n *fake) { e.pages(); w.pages(); n.pages() }, "", []string{"200 east=200 west=200 north=200"}},
		{"top within a page", members + "&top=1", func(e, w, n *fake) { e.pages("a", "b", "c"); w.pages("d"); n.pages("e") }, "a",
			[]string{"200 east=200"}},
		{"top across pages", members + "&top=3", func(e, w, n *fake) { e.pages("a", "b", "c", "d"); w.pages(); n.pages() },
			"a,b|c", []string{"200 east=200", "200 east=200"}},
		{"top across upstreams", members + "&top=4", func(e, w, n *fake) {
			e.pages("a", "b", "c")
			w.pages("d",
				"e")
			n.pages("f")
		}, "a,b|c|d",
			[]string{"200 east=200", "200 east=200", "200 west=200"}},
		{"one is offline", members, func(e, w, n *fake) { e.online.Store(false); w.pages("d"); n.pages("e") }, "d|e",
			[]string{"200 east=offline west=200, partial east", "200 north=200"}},
		{"one fails at the end", members, func(e, w, n *fake) { e.pages("a"); w.pages("d"); n.says(500, "") }, "a|d|",
			[]string{"200 east=200", "200 west=200", "502 north=500, partial north"}},
		{"one talks rubbish", members, func(e, w, n *fake) { e.says(200, "<html>"); w.pages("d"); n.pages() }, "d|",
			[]string{"200 east=bad-answer west=200, partial east", "200 north=200"}},
		{"a link to nowhere", members, func(e, w, n *fake) {
			e.says(200,
				`{"value":[],"nextLink":"https://x/?a=b"}`)
			w.pages("d")
			n.pages()
		}, "d|",
			[]string{"200 east=bad-answer west=200, partial east", "200 north=200"}},
		{"all fail", members, func(e, w, n *fake) { e.says(500, ""); w.says(500, ""); n.online.Store(false) }, "",
			[]string{"502 east=500 west=500 north=offline, partial east,west,north"}},
		{"the caller's fault", members, func(e, w, n *fake) { e.says(400, "no"); w.says(400, "no"); n.says(400, "no") }, "",
			[]string{"400 east=400 west=400 north=400, partial east,west,north"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
				row.change(r.ups["east"], r.ups["west"], r.ups["north"])
				pages, sums := r.walk(row.target)
				if row.name == "one fails at the end" {
					pages += "|" // the page that could not be read
				}
				if pages != row.pages || !slices.Equal(sums, row.sums) {
					t.Errorf("pages %q, sums %q", pages, sums)
				}
			})
		})
	}
}

func TestListTeaches(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		r.ups["east"].pages("a")
		r.ups["west"].pages("b")
		r.ups["north"].pages()
		r.walk(members)
		for id, want := range map[string]string{"a": "east", "b": "west"} {
			if got, _ := r.f.Directory().Find(id); got != want {
				t.Errorf("%s is known at %q", id, got)
			}
		}
	})
}

func TestListRefuses(t *testing.T) {
	mark := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		for name, query := range map[string]string{
			"a token of a service": "&continuationToken=abc", "no upstream": "&continuationToken=" + mark(`{}`),
			"unknown upstream": "&continuationToken=" + mark(`{"u":"south"}`),
			"negative rest":    "&continuationToken=" + mark(`{"u":"east","n":-1}`), "no JSON": "&continuationToken=" + mark(`x`),
			"long": "&continuationToken=" + strings.Repeat("a", maxBookmark+1), "top in words": "&top=all", "top 0": "&top=0",
			"bad escape": "&a=%zz",
		} {
			if a := r.do("GET", members+query); a.Status != 400 || r.took() != "" || !strings.Contains(string(a.Body),
				"Invalid request") {
				t.Errorf("%s: answered %d %s", name, a.Status, a.Body)
			}
		}
	})
}
