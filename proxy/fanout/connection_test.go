package fanout

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pointsman/pointsman/internal/azure"
)

// holds makes the upstreams answer calls about connections: the holder with yes, the others with other.
func (r *rig) holds(holder string, yes, other int) {
	for _, u := range r.order {
		status := other
		if u.name == holder {
			status = yes
		}
		u.says(status, "")
	}
}

func TestConnectionIsLearnt(t *testing.T) {
	const (
		exists = "/api/hubs/chat/connections/c1?api-version=1"
		send   = "/api/hubs/chat/connections/c1/:send?api-version=1"
		join   = "/api/hubs/chat/groups/g/connections/c1?api-version=1"
	)
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		known := func(want string) {
			t.Helper()
			if got, _ := r.f.Directory().Find("c1"); got != want {
				t.Errorf("known at %q, want %q", got, want)
			}
		}
		// Everybody says yes to a send, so nothing is learnt from it.
		r.holds("west", 202, 202)
		r.expect(r.send(send, `1`), "202 east=202 west=202 north=202", all)
		known("")
		// One says yes to a join and the others say no.
		r.holds("west", 200, 404)
		r.expect(r.do("PUT", join), "200 east=404 west=200 north=404", all)
		known("west")
		r.expect(r.send(send, `1`), "200 west=200", "west=1")
		// It fails: the others would only say that they know nothing of it.
		r.ups["west"].says(503, "")
		r.expect(r.send(send, `1`), "502 west=503, partial west", "west=1")
		r.ups["west"].hangs()
		r.expect(r.send(send, `1`), "504 west=timeout, partial west", "west=1")
		known("west")
		// It denies the connection: the others are asked after it, and one of them has it.
		r.holds("north", 200, 404)
		a := r.do("HEAD", exists)
		synctest.Wait()
		if sum := sumOf(a); a.Status != 200 || !strings.Contains(sum, "west=404") || !strings.Contains(sum, "north=200") {
			t.Errorf("got %s", sum)
		}
		r.took()
		known("north")
		// The holder is offline: all who are not are asked.
		r.ups["north"].online.Store(false)
		r.expect(r.do("DELETE", join), "404 east=404 west=404 north=offline, partial north", "east=1 west=1")
		known("north")
		// It is back, and the connection is closed.
		r.ups["north"].online.Store(true)
		r.holds("north", 204, 204)
		r.expect(r.do("DELETE", exists), "204 north=204", "north=1")
		known("")
		// Nobody has it.
		r.holds("", 0, 404)
		r.expect(r.do("HEAD", exists), "404 east=404 west=404 north=404", all)
		known("")
		// A failure is no denial, so the only yes may be a false one.
		r.holds("west", 204, 404)
		r.ups["east"].says(500, "")
		r.expect(r.do("DELETE", join), "204 east=500 west=204 north=404, partial east", all)
		known("")
	})
}

func TestDirectoryOutlivesAFanout(t *testing.T) {
	d, err := NewDirectory(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c", "", strings.Repeat("x", maxName+1)} {
		d.Learn(id, "west")
	}
	if _, known := d.Find("a"); known || d.Len() != 2 {
		t.Errorf("%d are known", d.Len())
	}
	bubble(t, azure.WebPubSub, func(o *Options) { o.Directory = d }, func(t *testing.T, r *rig) {
		r.expect(r.do("DELETE", "/api/hubs/chat/connections/c?api-version=1"), "202 west=202", "west=1")
		if r.f.Directory() != d || d.Len() != 1 {
			t.Errorf("%d are known", d.Len())
		}
		// One that is gone from the configuration is not asked.
		d.Learn("z", "south")
		r.expect(r.do("DELETE", "/api/hubs/chat/connections/z?api-version=1"), "202 east=202 west=202 north=202", all)
	})
	if _, err := NewDirectory(-1); err == nil {
		t.Error("a negative size is taken")
	}
}

func TestInvocation(t *testing.T) {
	const invoke = "/api/hubs/chat/connections/c%2F1/:invoke?api-version=2024-12-01&application=a&timeout=5"
	bubble(t, azure.SignalR, nil, func(t *testing.T, r *rig) {
		for _, u := range r.order {
			u.does(func(w http.ResponseWriter, q *http.Request) {
				switch {
				case q.Method == "HEAD" && q.RequestURI != "/prefix/api/hubs/chat/connections/c%2F1?api-version=2024-12-01&application=a":
					w.WriteHeader(400)
				case u.name != "west":
					w.WriteHeader(404)
				case q.Method == "POST":
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"result":1}`))
				}
			})
		}
		a := r.send(invoke, `{"target":"m","arguments":[]}`)
		synctest.Wait()
		if string(a.Body) != `{"result":1}` || a.ContentType != "application/json" || sumOf(a) != "200 west=200" {
			t.Errorf("got %s, %s", sumOf(a), a.Body)
		}
		if n := len(r.ups["west"].took()); n != 2 {
			t.Errorf("west has seen %d calls", n)
		}
		for _, u := range []*fake{r.ups["east"], r.ups["north"]} {
			for _, s := range u.took() {
				if s.Method != "HEAD" {
					t.Errorf("%s was invoked", u.name)
				}
			}
		}
		// Known by now: not asked again.
		r.expect(r.send(invoke, `{}`), "200 west=200", "west=1")
		// It has gone.
		r.holds("", 0, 404)
		r.expect(r.send(invoke, `{}`), "404 west=404 east=404 north=404", all)
		if _, known := r.f.Directory().Find("c/1"); known {
			t.Error("still known")
		}
		r.ups["north"].says(500, "")
		r.expect(r.send(invoke, `{}`), "502 east=404 west=404 north=500, partial north", all)
	})
}

func TestVersion1(t *testing.T) {
	bubble(t, azure.SignalR, nil, func(t *testing.T, r *rig) {
		r.holds("north", 200, 404)
		a := r.do("GET", "/api/v1/hubs/chat/connections/c1")
		synctest.Wait()
		if a.Status != 200 {
			t.Errorf("got %s", sumOf(a))
		}
		r.took()
		r.holds("north", 202, 202)
		r.expect(r.send("/api/v1/hubs/chat/connections/c1", `{}`), "202 north=202", "north=1")
		r.expect(r.do("DELETE", "/api/v1/hubs/chat/connections/c1?reason=x"), "202 north=202", "north=1")
		r.expect(r.send("/api/v1/hubs/chat/connections/c1", `{}`), "202 east=202 west=202 north=202", all)
	})
}
