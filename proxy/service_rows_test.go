package proxy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
)

// The numbers are those of the table of bad inputs: group D here, group E in
// service_rest_rows_test.go, what is about tokens (63 and 65) in
// service_tokens_test.go, and 72 in service_stuck_test.go. What packages negotiate
// and fanout answer by themselves is fixed row by row in their own tests; here is
// what clients get of it, and upstreams.

// hubServer is a SignalR server as a stub: one that an application hosts, or an
// instance of the service. It answers negotiations as it is told, and knows one
// connection.
type hubServer struct {
	*stub
	name   string
	fall   int                    // failures that take it down, 0 for none
	answer atomic.Pointer[string] // to negotiations, as bytes
	asked  chan string            // method and target of each request
}

const unknownConnection = "No Connection with that ID"

func newHubServer(t testing.TB, name string) *hubServer {
	t.Helper()
	s := &hubServer{name: name, fall: 1, asked: make(chan string, 64)}
	s.answers(jsonAnswer(`{"negotiateVersion":1,"connectionToken":"` + name + `"}`))
	s.stub = newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		s.asked <- c.asked.Method + " " + c.asked.RequestURI
		id := c.asked.URL.Query().Get("id")
		switch {
		case strings.HasSuffix(c.asked.URL.Path, negotiatePath):
			text := *s.answer.Load()
			if head, _, _ := strings.Cut(text, "\r\n\r\n"); c.asked.Method == http.MethodHead {
				text = head + "\r\n\r\n"
			}
			c.reply(text)
		case id == "" || id == name:
			c.reply(good101)
			c.hold()
		default:
			c.reply(answered("404 Not Found", "text/plain", unknownConnection))
		}
	})
	return s
}

func (s *hubServer) answers(text string) { s.answer.Store(&text) }

// took returns what it was asked since the last time.
func (s *hubServer) took() []string { return waiting(s.asked) }

// waiting returns what waits in a channel.
func waiting(c <-chan string) (all []string) {
	for {
		select {
		case one := <-c:
			all = append(all, one)
		default:
			return all
		}
	}
}

// answered is an answer as bytes.
func answered(status, kind, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind, len(body), body)
}

func jsonAnswer(body string) string { return answered("200 OK", "application/json", body) }

// hubRoute is a route before such servers, as its clients see it.
type hubRoute struct {
	*office
	path  string // of the hub
	field string // what clients show
}

// hubRoutes are the two kinds of them: before servers of the application's own, and
// before the service, where the second negotiation is the one that is passed.
var hubRoutes = map[string]func(testing.TB, ...*hubServer) *hubRoute{"own servers": serveOwnHub, "service": serveHub}

func serveOwnHub(t testing.TB, servers ...*hubServer) *hubRoute {
	var members []member
	for _, s := range servers {
		members = append(members, member{name: s.name, address: s.address(), health: health.Options{Fall: s.fall}})
	}
	r := serveRegions(t, azure.SignalR, func(r *Route) { r.Service.AccessKeys = nil }, members...)
	return &hubRoute{r, "/chathub", "Authorization: Bearer theirs\r\n"}
}

func serveHub(t testing.TB, servers ...*hubServer) *hubRoute {
	var members []member
	for _, s := range servers {
		m := stubMember(t, s.stub, s.name, eastKey)
		m.health.Fall = s.fall
		members = append(members, m)
	}
	r := serveRegions(t, azure.SignalR, nil, members...)
	token := mint(t, ownKey, "http://"+r.address+"/client/?hub=chat", nil)
	return &hubRoute{r, "/client", "Authorization: Bearer " + token + "\r\n"}
}

// stubMember is a stub as an instance of a service, which one loss takes down.
func stubMember(t testing.TB, s *stub, name, key string) member {
	t.Helper()
	c, err := azure.ParseConnectionString("Endpoint=http://" + s.address() + ";AccessKey=" + key)
	if err != nil {
		t.Fatal(err)
	}
	return member{name: name, address: s.address(), service: c, health: health.Options{Fall: 1}}
}

// negotiate sends a negotiation that is passed to a server.
func (r *hubRoute) negotiate(method, query string) answer {
	r.t.Helper()
	_, a := r.exchange(method, method+" "+r.path+"/negotiate?hub=chat"+query+" HTTP/1.1\r\nHost: "+r.address+"\r\n"+r.field+"Content-Length: 0\r\n\r\n")
	return a
}

// join sends the handshake of a connection.
func (r *hubRoute) join(query string) *peer {
	r.t.Helper()
	return r.ask(strings.NewReplacer("/chat?room=1", r.path+"/?hub=chat"+query, "router.example:8080", r.address, "\r\n\r\n", "\r\n"+r.field+"\r\n").Replace(goodHead))
}

// unharmed checks that nothing that a client did counts as a failure of a server.
func (r *hubRoute) unharmed() {
	r.t.Helper()
	for _, u := range r.Upstreams() {
		if n := u.Totals().HandshakeFailures; n != 0 || !u.Healthy() {
			r.t.Errorf("%s: %d failures, healthy %v", u.Name(), n, u.Healthy())
		}
	}
}

// TestNegotiationMethods is row 57. The service's own negotiations have one method,
// and nobody is asked about another; a server of the application's own is, and says
// so itself. That GET is right for Web PubSub is in TestDeskNegotiation.
func TestNegotiationMethods(t *testing.T) {
	for kind, serve := range hubRoutes {
		t.Run(kind, func(t *testing.T) {
			balanced(t)
			s := newHubServer(t, "east")
			s.answers(answered("405 Method Not Allowed", "text/plain", "theirs"))
			r := serve(t, s)
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
				t.Run("57 "+method+" instead of POST", func(t *testing.T) {
					a := r.negotiate(method, "")
					if a.StatusCode != http.StatusMethodNotAllowed {
						t.Errorf("got %s %s", a.Status, a.body)
					}
					if asked := s.took(); (len(asked) > 0) != (kind == "own servers") {
						t.Errorf("the server was asked %q", asked)
					} else if len(asked) == 0 && a.Header.Get("Allow") != "POST, OPTIONS" {
						t.Errorf("allowed is %q", a.Header.Get("Allow"))
					}
					if kind != "service" {
						return
					}
					if a := r.call(ownKey, method, "/chathub/negotiate?hub=chat", "", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST, OPTIONS" {
						t.Errorf("the first negotiation: %+v", a)
					}
				})
			}
			r.unharmed()
		})
	}
}

// TestNegotiationVersions is row 58: what is passed keeps its version, whatever that
// is, and so does the answer. What the service's first negotiation makes of versions
// is what a server would; package negotiate has more of them.
func TestNegotiationVersions(t *testing.T) {
	const theirs = `{"error":"theirs"}`
	for kind, serve := range hubRoutes {
		t.Run(kind, func(t *testing.T) {
			balanced(t)
			s := newHubServer(t, "east")
			s.answers(jsonAnswer(theirs))
			r := serve(t, s)
			for _, row := range []struct{ name, query, first string }{
				{"58 no version", "", `"availableTransports":[]`},
				{"58 empty version", "&negotiateVersion=", `"availableTransports":[]`},
				{"58 version -1", "&negotiateVersion=-1", `{"error":"The negotiation protocol version is not supported."}`},
				{"58 version 99", "&negotiateVersion=99", `{"negotiateVersion":1,`},
				{"58 version abc", "&negotiateVersion=abc", `{"error":"The negotiation protocol version is not a number."}`},
				{"58 escaped version", "&negotiateversion=%31&%6eegotiateVersion=2", `{"error":"The negotiation protocol version is given more than once."}`},
			} {
				t.Run(row.name, func(t *testing.T) {
					if a := r.negotiate("POST", row.query); a.StatusCode != http.StatusOK || a.body != theirs {
						t.Errorf("got %s %s", a.Status, a.body)
					}
					if asked, want := s.took(), "POST "+r.path+"/negotiate?hub=chat"+row.query; len(asked) != 1 || asked[0] != want {
						t.Errorf("the server was asked %q, want %q", asked, want)
					}
					if kind != "service" {
						return
					}
					a := r.call(ownKey, "POST", "/chathub/negotiate?hub=chat"+row.query, "", "")
					if a.status != http.StatusOK || !strings.Contains(a.body, row.first) || strings.Contains(a.body, "negotiateVersion") != strings.Contains(row.first, "negotiateVersion") {
						t.Errorf("the first negotiation: %+v", a)
					}
				})
			}
		})
	}
}

// TestConnectionsThatNobodyKnows has the rows 59 and 60. A connection whose upstream
// has gone is in TestSignalRNegotiationFailover, an access token of another upstream
// in TestServiceTokenOfUpstream, and both for Web PubSub in TestServiceRecovery and
// its neighbours.
func TestConnectionsThatNobodyKnows(t *testing.T) {
	for kind, serve := range hubRoutes {
		t.Run(kind, func(t *testing.T) {
			balanced(t)
			east, west := newHubServer(t, "east"), newHubServer(t, "west")
			r := serve(t, east, west)
			places := r.world.Load().routes[0].desk.places
			places.Remember("forgotten", "west")
			for _, row := range []struct{ name, query, server, sees string }{
				{"59 unknown", "&id=unknown", "", "&id=unknown"},
				{"59 a stranger's hint", "&id=stranger.pmAAAAAAAAAAAAAAAA", "", "&id=stranger.pmAAAAAAAAAAAAAAAA"},
				{"59 expired", "&id=forgotten", "west", "&id=forgotten"},
				{"59 of another upstream", "&id=" + places.Pin("east", "west"), "west", "&id=east"},
				{"59 endless", "&id=" + strings.Repeat("x", 7<<10), "", "&id=" + strings.Repeat("x", 7<<10)},
				{"60 without a negotiation", "", "", ""},
				{"60 with an empty id", "&id=", "", "&id="},
			} {
				t.Run(row.name, func(t *testing.T) {
					c := r.join(row.query)
					if strings.HasPrefix(row.name, "60") {
						c.upgraded()
					} else if a := c.answer(); a.StatusCode != http.StatusNotFound || a.body != unknownConnection {
						t.Errorf("got %s %s", a.Status, a.body)
					}
					asked := map[string][]string{"east": east.took(), "west": west.took()}
					all := append(asked["east"], asked["west"]...)
					if want := "GET " + r.path + "/?hub=chat" + row.sees; len(all) != 1 || all[0] != want {
						t.Errorf("the servers were asked %q, want %q", all, want)
					}
					if row.server != "" && len(asked[row.server]) != 1 {
						t.Errorf("asked were %v, want %s", asked, row.server)
					}
				})
			}
			r.unharmed()
		})
	}
}

// TestNegotiationAnswers has the rows 61, 62 and 64: what a server may answer to a
// negotiation, and what the client gets of it. No row means that it is 502.
func TestNegotiationAnswers(t *testing.T) {
	const good = `{"negotiateVersion":1,"connectionToken":"east","x":[1.0]}`
	const redirects = `{"url":"https://elsewhere.example/client/?hub=chat","accessToken":"theirs"}`
	packed := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return b.String()
	}
	coded := func(coding, body string) string {
		return strings.Replace(jsonAnswer(body), "\r\n", "\r\nContent-Encoding: "+coding+"\r\n", 1)
	}
	long := strings.Repeat("x", 10<<20)
	const pinned = `{"negotiateVersion":1,"connectionToken":"{pinned}","x":[1.0]}`
	rows := []struct {
		name, answer string
		want         string // body for the client
		coding       string
	}{
		{"61 truncated", jsonAnswer(good[:40]), "", ""},
		{"61 shorter than its length", jsonAnswer(good)[:100], "", ""},
		{"61 truncated chunks", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" + good, "", ""},
		{"61 empty", jsonAnswer(""), "", ""},
		{"61 no JSON", jsonAnswer("<html>"), "", ""},
		{"61 two values", jsonAnswer(good + good), "", ""},
		{"61 10 MiB", jsonAnswer(`{"x":"` + long + `"}`), "", ""},
		{"61 10 MiB in a chunk", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\na00000\r\n" + long + "\r\n0\r\n\r\n", "", ""},
		{"61 10 MiB until the end", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + long, "", ""},
		{"61 a head of 10 MiB", "HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n", "", ""},
		{"61 10,000 levels", jsonAnswer(strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), "", ""},
		{"61 10,000 levels in it", jsonAnswer(`{"connectionToken":"east","negotiateVersion":1,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"), "", ""},
		{"61 a name twice", jsonAnswer(`{"negotiateVersion":1,"connectionToken":"east","connectionToken":"west"}`), "", ""},
		{"61 a name twice, once escaped", jsonAnswer(`{"negotiateVersion":1,"connectionToken":"east","\u0063onnectionToken":"west"}`), "", ""},
		{"61 a token that is no text", jsonAnswer(`{"negotiateVersion":1,"connectionToken":{}}`), "", ""},
		{"61 no HTTP", "\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", "", ""},
		{"61 nothing", "", "", ""},
		{"61 a 101 that nobody has asked for", good101, "", ""},
		{"61 only interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), "", ""},
		{"61 an interim answer before", "HTTP/1.1 103 Early Hints\r\n\r\n" + jsonAnswer(good), pinned, ""},
		{"62 a redirect", jsonAnswer(redirects), redirects, ""},
		{"62 a redirect that leads back", jsonAnswer(`{"url":"/chathub"}`), `{"url":"/chathub"}`, ""},
		{"64 not packed", jsonAnswer(good), pinned, ""},
		{"64 gzip", coded("gzip", packed(good)), pinned, ""},
		{"64 gzip that grows", coded("gzip", packed(`{"x":"`+long+`"}`)), "", ""},
		{"64 gzip that is none", coded("gzip", good), "", ""},
		{"64 gzip that is cut", coded("gzip", packed(good)[:30]), "", ""},
		{"64 a coding that is not known", coded("br", good), good, "br"},
		{"64 two codings", coded("gzip, br", good), good, "gzip, br"},
		{"64 another content type", answered("200 OK", "text/html", good), good, ""},
		{"64 no content type", "HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(good)) + "\r\n\r\n" + good, good, ""},
		{"64 byte order mark", jsonAnswer("\ufeff" + good), pinned, ""},
		{"64 byte order mark of UTF-16", jsonAnswer("\xff\xfe{\x00}\x00"), "", ""},
	}
	for kind, serve := range hubRoutes {
		t.Run(kind, func(t *testing.T) {
			balanced(t)
			s := newHubServer(t, "east")
			s.fall = 0
			r := serve(t, s)
			pin := strings.NewReplacer("{pinned}", r.world.Load().routes[0].desk.places.Pin("east", "east"))
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					s.answers(row.answer)
					a := r.negotiate("POST", "&negotiateVersion=1")
					switch kind := a.Header.Get("Content-Type"); {
					case row.want == "":
						if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.body, `"code":"bad_upstream_answer"`) || a.Header.Get("Retry-After") == "" {
							t.Errorf("got %s %v %.200s", a.Status, a.Header, a.body)
						}
					case a.StatusCode != http.StatusOK || a.body != pin.Replace(row.want) || a.Header.Get("Content-Encoding") != row.coding:
						t.Errorf("got %s %v %.200s", a.Status, a.Header, a.body)
					case kind != "" && !strings.Contains(row.answer, "Content-Type: "+kind):
						t.Errorf("the content type became %s", kind)
					}
					// Nobody follows a redirect here, and nobody asks again.
					if asked := s.took(); len(asked) != 1 {
						t.Errorf("the server was asked %q", asked)
					}
				})
			}
		})
	}
}
