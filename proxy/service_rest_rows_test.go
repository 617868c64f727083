package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy/fanout"
)

// branch is an instance of a service as a stub: it notes the calls of the REST API
// that reach it, and answers them as it is told.
type branch struct {
	*stub
	calls  chan string   // type, target and body of each
	status atomic.Int64  // of its answers; 0 means that there are none
	before chan struct{} // what it waits for before it answers; nil for nothing
}

func newBranch(t testing.TB) *branch {
	t.Helper()
	b := &branch{calls: make(chan string, 64)}
	b.status.Store(http.StatusAccepted)
	b.stub = newStub(t, func(c *stubConn) {
		for c.readHead() {
			body := make([]byte, c.asked.ContentLength)
			if _, err := io.ReadFull(c.in, body); err != nil {
				t.Errorf("half a call has come: %v\n%s", err, c.head)
				return
			}
			b.calls <- fmt.Sprintf("%s %s %s", c.asked.Header.Get("Content-Type"), c.asked.RequestURI, body)
			status := b.status.Load()
			if status == 0 {
				c.hold()
				return
			}
			if b.before != nil && !c.await(b.before) {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n", status)
		}
	})
	return b
}

// took returns the calls that have come since the last time.
func (b *branch) took() []string { return waiting(b.calls) }

// serveBranches starts a route for two instances, and returns them too.
func serveBranches(t testing.TB, kind azure.Service) (r *office, east, west *branch) {
	t.Helper()
	east, west = newBranch(t), newBranch(t)
	return serveRegions(t, kind, nil, stubMember(t, east.stub, "east", eastKey), stubMember(t, west.stub, "west", westKey)), east, west
}

// restHead is the head of a call with a good token.
func (r *office) restHead(method, target, lines string) string {
	r.t.Helper()
	path, _, _ := strings.Cut(target, "?")
	token := mint(r.t, ownKey, "http://"+r.address+path, nil)
	return method + " " + target + " HTTP/1.1\r\nHost: " + r.address + "\r\nAuthorization: Bearer " + token + "\r\n" + lines + "\r\n"
}

const (
	sendToAll = "/api/hubs/chat/:send?api-version=2024-01-01"
	textType  = "Content-Type: text/plain\r\n"
)

// TestRESTBodies has the rows 66 to 68. A body is read to its end before anybody is
// called, so one that is not whole, or no message, reaches no upstream, and there is
// no connection to one that could be used again with the rest of it in it. What
// upstreams lie about their answers is in package fanout.
func TestRESTBodies(t *testing.T) {
	balanced(t)
	r, east, west := serveBranches(t, azure.WebPubSub)
	r.change(func(o *Options) { o.Fanout.MaxBody = 1000 })
	chunked := textType + "Transfer-Encoding: chunked\r\n"
	length := func(n int) string { return textType + fmt.Sprintf("Content-Length: %d\r\n", n) }
	kind := func(lines string) string { return lines + "Content-Length: 5\r\n" }
	for _, row := range []struct {
		name, lines, body string
		fin               bool // behind it the client ends the stream
		status            int
		arrives           string // at both
	}{
		{"66 at the cap", length(1000), strings.Repeat("x", 1000), false, 202, strings.Repeat("x", 1000)},
		{"66 above the cap by its length", length(1001), "", false, 413, ""},
		{"66 far above the cap", length(1 << 40), "hello", false, 413, ""},
		{"66 above the cap in chunks", chunked, "3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n", false, 413, ""},
		{"66 a chunk without end", chunked, "ffffffff\r\n" + strings.Repeat("x", 1<<16), false, 413, ""},
		{"66 shorter than its length", length(9), "short", true, 400, ""},
		{"66 nothing of its length", length(9), "", true, 400, ""},
		{"66 longer than its length", length(2), "long", false, 202, "lo"},
		{"66 another call behind it", length(2), "lo" + r.restHead("POST", sendToAll, length(2)) + "ng", false, 202, "lo"},
		{"66 an end within a chunk", chunked, "5\r\nhel", true, 400, ""},
		{"66 an end between chunks", chunked, "5\r\nhello\r\n", true, 400, ""},
		{"67 one chunk", chunked, "5\r\nhello\r\n0\r\n\r\n", false, 202, "hello"},
		{"67 extensions and trailers are dropped", chunked, "5;a=b\r\nhello\r\n0;x\r\nX-Trailer: a\r\n\r\n", false, 202, "hello"},
		{"67 bare LF behind the size", chunked, "5\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 bare LF behind the data", chunked, "5\r\nhello\n0\r\n\r\n", false, 400, ""},
		{"67 bare LF behind the last size", chunked, "5\r\nhello\r\n0\n\n", false, 400, ""},
		{"67 LF in an extension", chunked, "5;a=\nb\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 CR in an extension", chunked, "5;a=\rb\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 an extension without end", chunked, "5;" + strings.Repeat("a", 5000), false, 400, ""},
		{"67 many extensions", chunked, strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 100) + "0\r\n\r\n", false, 400, ""},
		{"67 no size", chunked, "\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 a size below zero", chunked, "-5\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 a size that overflows", chunked, "10000000000000005\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 more than the size", chunked, "4\r\nhello\r\n0\r\n\r\n", false, 400, ""},
		{"67 as many chunks of one byte as the cap has", chunked, strings.Repeat("1\r\nx\r\n", 1000) + "0\r\n\r\n", false, 202, strings.Repeat("x", 1000)},
		{"67 one chunk of one byte more", chunked, strings.Repeat("1\r\nx\r\n", 1001), false, 413, ""},
		{"68 no content type", kind(""), "hello", false, 415, ""},
		{"68 another content type", kind("Content-Type: text/html\r\n"), "hello", false, 415, ""},
		{"68 no content type at all", kind("Content-Type: ;\r\n"), "hello", false, 415, ""},
		{"68 a form", kind("Content-Type: application/x-www-form-urlencoded\r\n"), "a=b&c", false, 415, ""},
		{"68 text that is no UTF-8", kind(textType), "h\xc3llo", false, 400, ""},
		{"68 a surrogate", kind(textType), "h\xed\xa0\x80o", false, 400, ""},
		{"68 text in another charset", kind("Content-Type: text/plain; charset=latin1\r\n"), "h\xe4llo", false, 400, ""},
		{"68 JSON that is none", kind("Content-Type: application/json\r\n"), `{"a":`, false, 400, ""},
		{"68 bytes", kind("Content-Type: application/octet-stream\r\n"), "h\xff\x00lo", false, 202, "h\xff\x00lo"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := r.dial()
			c.offer(r.restHead("POST", sendToAll, row.lines) + row.body)
			if row.fin {
				_ = c.CloseWrite()
			}
			a := c.answer()
			if a.StatusCode != row.status || (a.Header.Get(azure.ErrorCodeField) != "") != (row.status >= 400) {
				t.Errorf("got %s %v %s", a.Status, a.Header, a.body)
			}
			// Where the next request begins is certain only behind a length that was kept.
			if keeps := row.name == "66 at the cap" || strings.HasPrefix(row.name, "68"); a.Close == keeps {
				t.Errorf("the connection is closed: %v", a.Close)
			} else if a.Close {
				c.gone()
			}
			for _, calls := range [][]string{east.took(), west.took()} {
				if (len(calls) == 1) != (row.status == 202) || len(calls) > 1 || len(calls) == 1 && !strings.HasSuffix(calls[0], sendToAll+" "+row.arrives) {
					t.Errorf("an upstream got %q", calls)
				}
			}
		})
	}
	if e, w := east.conns.Load(), west.conns.Load(); e != 1 || w != 1 {
		t.Errorf("the upstreams had %d and %d connections", e, w)
	}
}

// TestRESTManyChunks is row 67: it is the body that is bounded, not its frame, and
// upstreams get it in one piece.
func TestRESTManyChunks(t *testing.T) {
	balanced(t)
	chunks := 1_000_000
	if raceEnabled {
		chunks = 50_000
	}
	r, east, west := serveBranches(t, azure.WebPubSub)
	r.change(func(o *Options) { o.Fanout.MaxBody = int64(chunks) })
	for _, row := range []struct {
		name  string
		extra int
		want  int
	}{
		{"67 a million chunks of one byte", 0, 202},
		{"67 a million chunks of one byte, and one more", 1, 413},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := r.ask(r.restHead("POST", sendToAll, textType+"Transfer-Encoding: chunked\r\n"))
			var sending sync.WaitGroup
			sending.Go(func() { c.offer(strings.Repeat("1\r\nx\r\n", chunks+row.extra) + "0\r\n\r\n") })
			a := c.answer()
			c.Close()
			sending.Wait()
			if a.StatusCode != row.want {
				t.Errorf("got %s %s", a.Status, a.body)
			}
			whole := "text/plain " + sendToAll + " " + strings.Repeat("x", chunks)
			for _, calls := range [][]string{east.took(), west.took()} {
				if (len(calls) == 1) != (row.want == 202) || len(calls) == 1 && calls[0] != whole {
					t.Errorf("an upstream got %d calls, not one with %d bytes", len(calls), chunks)
				}
			}
		})
	}
}

// TestRESTNames is row 69: what stands in a path is refused, or passed exactly as it
// came, to both upstreams. Package fanout has more names, and TestServiceTokens and
// package negotiate have those of hubs that clients ask for.
func TestRESTNames(t *testing.T) {
	balanced(t)
	r, east, west := serveBranches(t, azure.WebPubSub)
	for _, row := range []struct {
		name, target string
		status       int
	}{
		{"69 group with a slash", "/api/hubs/chat/groups/a/b/:send", 404},
		{"69 group with an escaped slash", "/api/hubs/chat/groups/a%2Fb/:send", 202},
		{"69 the same in small letters", "/api/hubs/chat/groups/a%2fb/:send", 202},
		{"69 group with NUL", "/api/hubs/chat/groups/a%00b/:send", 400},
		{"69 group with a line", "/api/hubs/chat/groups/a%0D%0Ab/:send", 400},
		{"69 group of dots", "/api/hubs/chat/groups/../:send", 400},
		{"69 group of escaped dots", "/api/hubs/chat/groups/%2e%2E/:send", 400},
		{"69 group of one dot", "/api/hubs/chat/groups/./:send", 400},
		{"69 dots that climb", "/api/hubs/chat/groups/../../../../../:send", 400},
		{"69 dots in a name", "/api/hubs/chat/groups/..a/:send", 202},
		{"69 group of 1 KiB", "/api/hubs/chat/groups/" + strings.Repeat("g", 1<<10) + "/:send", 202},
		{"69 group of 4 KiB", "/api/hubs/chat/groups/" + strings.Repeat("g", 4<<10) + "/:send", 400},
		{"69 group of look-alikes", "/api/hubs/chat/groups/%D1%81hat/:send", 202},
		{"69 the same decomposed", "/api/hubs/chat/groups/e%CC%81/:send", 202},
		{"69 the same composed", "/api/hubs/chat/groups/%C3%A9/:send", 202},
		{"69 group in full width", "/api/hubs/chat/groups/%EF%BC%8F%EF%BC%8E%EF%BC%8E/:send", 202},
		{"69 group in overlong dots", "/api/hubs/chat/groups/%C0%AE%C0%AE/:send", 400},
		{"69 group that is not escaped", "/api/hubs/chat/groups/\xc3\xa9/:send", 400},
		{"69 group with a semicolon and a plus", "/api/hubs/chat/groups/a;b+c/:send", 202},
		{"69 group escaped twice", "/api/hubs/chat/groups/%252e%252e/:send", 202},
		{"69 group with a bad escape", "/api/hubs/chat/groups/%zz/:send", 400},
		{"69 group of blanks", "/api/hubs/chat/groups/%20/:send", 400},
		{"69 no group", "/api/hubs/chat/groups//:send", 400},
		{"69 hub with a slash", "/api/hubs/a/b/:send", 404},
		{"69 hub with an escaped slash", "/api/hubs/a%2Fb/:send", 400},
		{"69 hub with NUL", "/api/hubs/chat%00/:send", 400},
		{"69 hub of dots", "/api/hubs/../:send", 400},
		{"69 hub of 4 KiB", "/api/hubs/" + strings.Repeat("h", 4<<10) + "/:send", 400},
		{"69 hub of look-alikes", "/api/hubs/%D1%81hat/:send", 400},
		{"69 hub in full width", "/api/hubs/%EF%BD%83hat/:send", 400},
		{"69 hub in capitals", "/api/hubs/CHAT/:send", 202},
		{"69 hub that is escaped", "/api/hubs/%63hat/:send", 202},
		{"69 two slashes", "/api/hubs/chat//:send", 404},
		{"69 two slashes before", "//api/hubs/chat/:send", 426},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := row.target + "?api-version=2024-01-01"
			a := r.ask(r.restHead("POST", target, textType+"Content-Length: 2\r\n") + "hi").answer()
			if a.StatusCode != row.status {
				t.Errorf("got %s %s", a.Status, a.body)
			}
			e, w := fmt.Sprint(east.took()), fmt.Sprint(west.took())
			if want := "[text/plain " + target + " hi]"; row.status == 202 && (e != want || w != want) {
				t.Errorf("the upstreams got %s and %s", e, w)
			} else if row.status != 202 && e+w != "[][]" {
				t.Errorf("the upstreams got %s and %s", e, w)
			}
		})
	}
}

// TestRESTPartial is row 70: what an upstream has not done is told, in the same way
// whatever the reason. Package fanout has all combinations.
func TestRESTPartial(t *testing.T) {
	balanced(t)
	// Long enough for those who answer, on whatever machine.
	const deadline = 3 * time.Second
	const hangs = 0
	for _, row := range []struct {
		name       string
		down       string // who is known to be down
		refuses    bool   // west takes no connections
		east, west int64
		status     int
		results    string
		partial    string
	}{
		{"70 all do it", "", false, 202, 202, 202, `{"east":202,"west":202}`, ""},
		{"70 one is down", "west", false, 202, 202, 202, `{"east":202,"west":"offline"}`, "west"},
		{"70 one refuses", "", true, 202, 202, 202, `{"east":202,"west":"unreachable"}`, "west"},
		{"70 one hangs", "", false, 202, hangs, 202, `{"east":202,"west":"timeout"}`, "west"},
		{"70 one fails", "", false, 500, 202, 202, `{"east":500,"west":202}`, "east"},
		{"70 one throttles", "", false, 202, 429, 202, `{"east":202,"west":429}`, "west"},
		{"70 one knows no such hub", "", false, 202, 404, 202, `{"east":202,"west":404}`, "west"},
		{"70 the rest fails", "east", false, 202, 500, 502, `{"east":"offline","west":500}`, "east,west"},
		{"70 all are down", "east west", false, 202, 202, 503, `{"east":"offline","west":"offline"}`, "east,west"},
		{"70 all hang", "", false, hangs, hangs, 504, `{"east":"timeout","west":"timeout"}`, "east,west"},
		{"70 all fail", "", false, 500, 503, 502, `{"east":500,"west":503}`, "east,west"},
		{"70 the caller is at fault", "", false, 400, 400, 400, `{"east":400,"west":400}`, "east,west"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel() // they wait for the deadline together
			r, east, west := serveBranches(t, azure.WebPubSub)
			r.change(func(o *Options) { o.Fanout.Deadline = deadline })
			east.status.Store(row.east)
			west.status.Store(row.west)
			for name := range strings.FieldsSeq(row.down) {
				r.down(name)
			}
			if row.refuses {
				west.stop()
			}
			a := r.ask(r.restHead("POST", sendToAll, textType+"Content-Length: 2\r\n") + "hi").answer()
			if a.StatusCode != row.status || a.Header.Get(fanout.ResultField) != row.results || a.Header.Get(fanout.PartialField) != row.partial {
				t.Errorf("got %s %v %s", a.Status, a.Header, a.body)
			}
			if (a.Header.Get("Retry-After") != "") != (row.status == 503) {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
			for name := range strings.SplitSeq(row.partial, ",") {
				if row.status != 400 && !strings.Contains(a.body, name) {
					t.Errorf("%s is not in the body: %s", name, a.body)
				}
			}
		})
	}
}

// TestRESTCallerGone is row 71: a call that has come whole is made to its end,
// whether its caller is still there or not; one that has not is not made at all.
func TestRESTCallerGone(t *testing.T) {
	balanced(t)
	call := textType + "Content-Length: 2\r\n"
	for _, row := range []struct {
		name  string
		body  string
		leave func(*peer) error
		made  bool
	}{
		{"71 reset behind the call", "hi", func(c *peer) error { return c.SetLinger(0) }, true},
		{"71 closed behind the call", "hi", func(*peer) error { return nil }, true},
		{"71 reset within the body", "h", func(c *peer) error { return c.SetLinger(0) }, false},
		{"71 closed within the body", "h", func(*peer) error { return nil }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			east, west := newBranch(t), newBranch(t)
			west.before = make(chan struct{})
			r := serveRegions(t, azure.WebPubSub, nil, stubMember(t, east.stub, "east", eastKey), stubMember(t, west.stub, "west", westKey))
			f := r.world.Load().routes[0].desk.fanout
			c := r.ask(r.restHead("POST", sendToAll, call) + row.body)
			if row.made {
				until(t, "both to be called", func() bool { return len(east.calls) == 1 && len(west.calls) == 1 })
			} else {
				until(t, "the call to begin", func() bool { return f.Stats().Under == 1 })
			}
			if err := row.leave(c); err != nil {
				t.Fatal(err)
			}
			c.Close()
			if row.made {
				close(west.before)
			}
			until(t, "the call to end", func() bool { return f.Stats().Under == 0 })
			want := fanout.Stats{}
			if row.made {
				want.Calls = 1
			}
			if got := f.Stats(); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if n := east.conns.Load() + west.conns.Load(); (n > 0) != row.made {
				t.Errorf("%d connections to upstreams", n)
			}
		})
	}
}
