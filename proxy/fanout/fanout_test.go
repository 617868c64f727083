package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/internal/azure"
)

const (
	sendAll = "/api/hubs/chat/:send?api-version=2024-12-01"
	all     = "east=1 west=1 north=1"
)

func TestWhatUpstreamsSee(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		const path, query = "/api/hubs/Chat/groups/a%2fb%20%C3%A9/:send", "api-version=2024-12-01&excluded=a&excluded=b&filter=userId%20eq%20%27x%27"
		c, q := r.find("POST", path+"?"+query+"&access_token=x&messageTtlSeconds=5")
		q.Body, q.Length = strings.NewReader("h\x00i"), 3
		q.Fields = [][2]string{
			{"Content-Type", "application/octet-stream"}, {"x-ms-client-request-id", "42"}, {"Cookie", "a=b"},
			{"Authorization", "Bearer x"}, {"Host", "evil.example"}, {"X-Forwarded-For", "1.2.3.4"}, {"Accept", "*/*"}, {"Transfer-Encoding", "chunked"},
		}
		a := r.f.Do(context.Background(), c, q)
		if sum := sumOf(a); sum != "202 east=202 west=202 north=202" || len(a.Body) != 0 {
			t.Errorf("%s, body %q", sum, a.Body)
		}
		for _, u := range r.order {
			calls := u.took()
			if len(calls) != 1 {
				t.Fatalf("%s has seen %d calls", u.name, len(calls))
			}
			s := calls[0]
			if s.Method != "POST" || s.Body != "h\x00i" || s.Type != "application/octet-stream" || s.Host != u.name+".internal:81" ||
				s.URI != "/prefix"+path+"?"+query+"&messageTtlSeconds=5" {
				t.Errorf("%s has seen %+v", u.name, s)
			}
			if s.Claims == nil || s.Claims.Claims().String("custom") != "kept" {
				t.Errorf("%s: claims %v", u.name, s.Claims)
			}
			want := map[string]bool{
				"Content-Type": true, "X-Ms-Client-Request-Id": true, "Accept": true, "Authorization": true, "User-Agent": true,
				"Content-Length": true,
			}
			got := make(map[string]bool)
			for name := range s.Fields {
				got[name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: fields %s", u.name, diff)
			}
		}
	})
}

// TestEveryCall makes every call of the tables and checks who gets it.
func TestEveryCall(t *testing.T) {
	for _, s := range []azure.Service{azure.WebPubSub, azure.SignalR} {
		bubble(t, s, nil, func(t *testing.T, r *rig) {
			for _, row := range Table(s) {
				path := strings.NewReplacer("{hub}", "chat", "{group}", "g1", "{user}", "u1", "{connection}", "c1", "{stream}",
					"s1", "{permission}", "sendToGroup").Replace(row.Path)
				c, q := r.find(row.Method, path+"?api-version=1")
				if diff := cmp.Diff(row, c.Row); diff != "" {
					t.Fatalf("%s %s is found as another: %s", row.Method, path, diff)
				}
				if row.Message {
					q.Body, q.Fields = strings.NewReader(`{"target":"t","arguments":[]}`), [][2]string{{"Content-Type",
						"application/json"}}
				}
				for _, u := range r.order {
					u.says(200, "", "Content-Type: application/json")
					if row.Kind == List {
						u.says(200, `{"value":[]}`)
					}
				}
				a := r.f.Do(context.Background(), c, q)
				synctest.Wait() // for those that were called off
				took := r.took()
				switch row.Kind {
				case Local:
					if a.Status != 404 || took != "" {
						t.Errorf("%s %s: %d, %s", row.Method, path, a.Status, took)
					}
				case Invocation:
					// The first yes to the question may call the others off before they have seen it.
					if a.Status != 200 || took == "" {
						t.Errorf("%s %s: %s, %s", row.Method, path, sumOf(a), took)
					}
				case Exists:
					if a.Status != 200 || took == "" || a.header(PartialField) != "" {
						t.Errorf("%s %s: %s, %s", row.Method, path, sumOf(a), took)
					}
				default:
					if took != all || sumOf(a) != "200 east=200 west=200 north=200" {
						t.Errorf("%s %s: %s, %s", row.Method, path, sumOf(a), took)
					}
				}
				r.f.Directory().Forget("c1")
			}
		})
	}
}

func TestPartial(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(east, west, north *fake)
		sum    string
		took   string
	}{
		{"all", func(east, west, north *fake) {}, "202 east=202 west=202 north=202", all},
		{"one is offline", func(east, west, north *fake) { west.online.Store(false) },
			"202 east=202 west=offline north=202, partial west", "east=1 north=1"},
		{"the first is offline", func(east, west, north *fake) { east.online.Store(false) },
			"202 east=offline west=202 north=202, partial east", "west=1 north=1"},
		{"one refuses connections", func(east, west, north *fake) { west.refuse.Store(true) },
			"202 east=202 west=unreachable north=202, partial west", "-"},
		{"one hangs", func(east, west, north *fake) { west.hangs() }, "202 east=202 west=timeout north=202, partial west", all},
		{"one cuts", func(east, west, north *fake) { north.cuts() }, "202 east=202 west=202 north=lost, partial north", all},
		{"one fails", func(east, west, north *fake) { east.says(500, "oops") }, "202 east=500 west=202 north=202, partial east", all},
		{"one knows no such hub", func(east, west, north *fake) { east.says(404, "") },
			"202 east=404 west=202 north=202, partial east", all},
		{"one does not know us", func(east, west, north *fake) { east.says(401, "") },
			"202 east=401 west=202 north=202, partial east", all},
		{"two of three", func(east, west, north *fake) { east.says(500, "oops"); west.online.Store(false) },
			"202 east=500 west=offline north=202, partial east,west", "east=1 north=1"},
		{"one redirects", func(east, west, north *fake) { east.says(307, "", "Location: https://x") },
			"202 east=307 west=202 north=202, partial east", all},
		{"all fail", func(east, west, north *fake) { east.says(500, ""); west.says(503, ""); north.says(500, "") },
			"502 east=500 west=503 north=500, partial east,west,north", all},
		{"all fail in the same way", func(east, west, north *fake) {
			east.says(500, "")
			west.says(500, "")
			north.says(500, "")
		}, "502 east=500 west=500 north=500, partial east,west,north", all},
		{"nobody knows us", func(east, west, north *fake) { east.says(401, ""); west.says(401, ""); north.says(401, "") },
			"502 east=401 west=401 north=401, partial east,west,north", all},
		{"all hang", func(east, west, north *fake) { east.hangs(); west.hangs(); north.hangs() },
			"504 east=timeout west=timeout north=timeout, partial east,west,north", all},
		{"some hang, some refuse", func(east, west, north *fake) { east.hangs(); west.refuse.Store(true); north.says(400, "") },
			"502 east=timeout west=unreachable north=400, partial east,west,north", "-"},
		{"all offline", func(east, west, north *fake) {
			east.online.Store(false)
			west.online.Store(false)
			north.online.Store(false)
		},
			"503 east=offline west=offline north=offline, partial east,west,north", ""},
		{"the caller's fault", func(east, west, north *fake) {
			east.says(400, "bad filter")
			west.says(400, "other words")
			north.online.Store(false)
		},
			"400 east=400 west=400 north=offline, partial east,west,north", "east=1 west=1"},
		{"not the same fault", func(east, west, north *fake) { east.says(400, ""); west.says(413, ""); north.says(400, "") },
			"502 east=400 west=413 north=400, partial east,west,north", all},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
				row.change(r.ups["east"], r.ups["west"], r.ups["north"])
				began := time.Now()
				a := r.send(sendAll, `{"a":1}`)
				r.expect(a, row.sum, row.took)
				if took := time.Since(began); took > defaultDeadline {
					t.Errorf("it took %v", took)
				}
				checkReport(t, a, row.sum)
			})
		})
	}
}

// checkReport checks that the body tells the same as the fields.
func checkReport(t *testing.T, a Answer, sum string) {
	t.Helper()
	if !strings.Contains(sum, "partial") {
		if len(a.Body) != 0 {
			t.Errorf("a body without need: %s", a.Body)
		}
		return
	}
	if a.Status == 400 {
		if string(a.Body) != "bad filter" {
			t.Errorf("body %q is not that of the first", a.Body)
		}
		return
	}
	var r report
	if err := json.Unmarshal(a.Body, &r); err != nil || a.ContentType != typeJSON || len(r.Upstreams) != 3 {
		t.Fatalf("body %s, %v", a.Body, err)
	}
	for i, u := range r.Upstreams {
		word := u.Outcome
		if u.Outcome == "answered" {
			word = fmt.Sprint(u.Status)
		}
		if !strings.Contains(sum, u.Name+"="+word) || a.Results[i].Upstream != u.Name {
			t.Errorf("body %s", a.Body)
		}
	}
	if (r.Code != "") != (a.Status >= 500) || (a.header(azure.ErrorCodeField) != r.Code) ||
		(a.header("Retry-After") != "") != (a.Status == 503) {
		t.Errorf("code %q, fields %v", r.Code, a.Fields)
	}
}

// TestStatusWithoutBody checks that what may have no body gets none.
func TestStatusWithoutBody(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		for _, u := range r.order {
			u.says(204, "")
		}
		r.ups["west"].online.Store(false)
		a := r.do("POST", "/api/hubs/chat/:closeConnections?api-version=1&reason=x")
		r.expect(a, "204 east=204 west=offline north=204, partial west", "east=1 north=1")
		if len(a.Body) != 0 {
			t.Errorf("body %q", a.Body)
		}
		for _, u := range r.order {
			u.online.Store(false)
		}
		a = r.do("HEAD", "/api/hubs/chat/groups/g?api-version=1")
		r.expect(a, "503 east=offline west=offline north=offline, partial east,west,north", "")
		if len(a.Body) != 0 || a.header("Retry-After") == "" {
			t.Errorf("body %q, fields %v", a.Body, a.Fields)
		}
	})
}

func TestAnyAndExists(t *testing.T) {
	const join, exists = "/api/hubs/chat/users/u/groups/g?api-version=1", "/api/hubs/chat/users/u?api-version=1"
	for _, row := range []struct {
		name, method, target string
		east, west, north    int // 0 offline, 1 hangs
		sum                  string
	}{
		{"all have him", "PUT", join, 200, 200, 200, "200 east=200 west=200 north=200"},
		{"one has him", "PUT", join, 404, 200, 404, "200 east=404 west=200 north=404"},
		{"nobody has him", "PUT", join, 404, 404, 404, "404 east=404 west=404 north=404"},
		{"one has him, one fails", "PUT", join, 404, 200, 500, "200 east=404 west=200 north=500, partial north"},
		{"perhaps the one who fails", "PUT", join, 404, 404, 500, "502 east=404 west=404 north=500, partial north"},
		{"perhaps the one who hangs", "PUT", join, 404, 404, 1, "502 east=404 west=404 north=timeout, partial north"},
		{"nobody who is online", "PUT", join, 404, 404, 0, "404 east=404 west=404 north=offline, partial north"},
		{"nobody knows one", "HEAD", exists, 404, 404, 404, "404 east=404 west=404 north=404"},
		{"the last knows one", "HEAD", exists, 404, 404, 200, "200 east=404 west=404 north=200"},
		{"one knows one, one hangs", "HEAD", exists, 404, 1, 200, "200 east=404 west=called-off north=200"},
		{"one knows one, one is offline", "HEAD", exists, 404, 0, 200, "200 east=404 west=offline north=200, partial west"},
		{"perhaps", "HEAD", exists, 404, 1, 404, "502 east=404 west=timeout north=404, partial west"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
				for i, status := range []int{row.east, row.west, row.north} {
					u := r.order[i]
					u.online.Store(status != 0)
					switch {
					case status == 1:
						u.hangs()
					case status == 200 && row.method == "HEAD":
						u.does(func(w http.ResponseWriter, _ *http.Request) {
							time.Sleep(time.Second) // of virtual time: the noes come first
							w.WriteHeader(200)
						})
					default:
						u.says(status, "")
					}
				}
				began := time.Now()
				r.expect(r.do(row.method, row.target), row.sum, "-")
				if strings.HasPrefix(row.sum, "200") && time.Since(began) > time.Second {
					t.Errorf("a yes took %v", time.Since(began))
				}
			})
		})
	}
}

func TestDeadlineIsPerUpstream(t *testing.T) {
	bubble(t, azure.WebPubSub, func(o *Options) { o.Deadline, o.Connections = 300*time.Millisecond, 2 }, func(t *testing.T, r *rig) {
		r.ups["west"].hangs()
		answers := make(chan Answer)
		for range 6 { // more than west has connections
			go func() { answers <- r.send(sendAll, `1`) }()
		}
		began, unreachable := time.Now(), 0
		for range 6 {
			a := <-answers
			switch sumOf(a) {
			case "202 east=202 west=timeout north=202, partial west":
			case "202 east=202 west=unreachable north=202, partial west": // no connection was free in time
				unreachable++
			default:
				t.Errorf("got %s", sumOf(a))
			}
		}
		if took := time.Since(began); took != 300*time.Millisecond || unreachable != 4 {
			t.Errorf("it took %v, %d had no connection", took, unreachable)
		}
	})
}

func TestBacklog(t *testing.T) {
	bubble(t, azure.WebPubSub, func(o *Options) { o.Backlog = 3 }, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.ups["west"].does(func(w http.ResponseWriter, _ *http.Request) { <-release; w.WriteHeader(202) })
		answers := make(chan Answer)
		for range 3 {
			go func() { answers <- r.send(sendAll, `1`) }()
		}
		synctest.Wait()
		r.took()
		a := r.send(sendAll, `1`)
		if a.Status != 503 || a.header("Retry-After") == "" || r.took() != "" || r.f.Stats().Under != 3 {
			t.Errorf("answered %d %s, %+v", a.Status, a.Body, r.f.Stats())
		}
		close(release)
		for range 3 {
			if a := <-answers; a.Status != 202 {
				t.Errorf("answered %d", a.Status)
			}
		}
		r.expect(r.send(sendAll, `1`), "202 east=202 west=202 north=202", all)
		r.ups["west"].says(500, "")
		r.send(sendAll, `1`)
		for _, u := range r.order {
			u.says(500, "")
		}
		r.send(sendAll, `1`)
		if diff := cmp.Diff(Stats{Calls: 6, Partial: 1, Failed: 1, Shed: 1}, r.f.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTargets(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		for _, row := range []struct {
			targets []string
			status  int
			took    string
		}{
			{nil, 202, all}, {[]string{"west"}, 202, "west=1"}, {[]string{"north", "east"}, 202, "east=1 north=1"},
			{[]string{"west", "south"}, 400, ""}, {[]string{}, 400, ""},
		} {
			c, q := r.find("POST", sendAll)
			q.Body, q.Fields, q.Targets = strings.NewReader("a"), [][2]string{{"Content-Type", "text/plain"}}, row.targets
			if a := r.f.Do(context.Background(), c, q); a.Status != row.status {
				t.Errorf("%v: answered %d %s", row.targets, a.Status, a.Body)
			}
			if took := r.took(); took != row.took {
				t.Errorf("%v: calls %q", row.targets, took)
			}
		}
	})
}

func TestRequestsThatNobodyGets(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		for want, change := range map[int]func(*Request){
			401: func(q *Request) { q.Token = nil },
			400: func(q *Request) { q.Query = "api-version=1 HTTP/1.1\r\nHost: evil\r\n\r\n" },
		} {
			c, q := r.find("HEAD", "/api/hubs/chat/users/u?api-version=1")
			change(&q)
			if a := r.f.Do(context.Background(), c, q); a.Status != want || r.took() != "" {
				t.Errorf("answered %d %s, want %d", a.Status, a.Body, want)
			}
		}
	})
}

func TestCalledOff(t *testing.T) {
	bubble(t, azure.WebPubSub, nil, func(t *testing.T, r *rig) {
		r.ups["west"].hangs()
		ctx, cancel := context.WithCancel(context.Background())
		c, q := r.find("POST", sendAll)
		q.Body, q.Fields = strings.NewReader("a"), [][2]string{{"Content-Type", "text/plain"}}
		answers := make(chan Answer)
		go func() { answers <- r.f.Do(ctx, c, q) }()
		synctest.Wait()
		cancel()
		r.expect(<-answers, "202 east=202 west=called-off north=202, partial west", all)
	})
}
