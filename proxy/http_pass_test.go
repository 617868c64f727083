package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestHTTPPasses checks what the upstream gets of ordinary requests, and the
// client of its answers.
func TestHTTPPasses(t *testing.T) {
	balanced(t)
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %d %v", r.Method, r.RequestURI, r.ContentLength, r.TransferEncoding))
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-For", r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-Host"))
		w.Header().Set("X-Hop", r.Header.Get("Keep-Alive")+r.Header.Get("Te")+r.Header.Get("X-Nominated"))
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(append([]byte("got "), body...))
	})
	r := passing(t, Options{}, HTTP{}, member{address: east + "/base/"})
	client := r.browser()
	for _, row := range []struct{ method, path, body, seen string }{
		{"GET", "/a%20b?x=%2f&y", "", "GET /base/a%20b?x=%2f&y 0 []"},
		{"GET", "/?", "", "GET /base/? 0 []"},
		{"POST", "/p", "hello", "POST /base/p 5 []"},
		{"PUT", "/p", "", "PUT /base/p 0 []"},
		{"DELETE", "/p", "", "DELETE /base/p 0 []"},
		{"PATCH", "/p", "chunked", "PATCH /base/p -1 [chunked]"},
		{"OPTIONS", "/p", "", "OPTIONS /base/p 0 []"},
		{"PROPFIND", "/p", "x", "PROPFIND /base/p 1 []"},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			var body io.Reader
			if row.body != "" {
				body = strings.NewReader(row.body)
			}
			if row.body == "chunked" {
				body = io.MultiReader(body) // its length does not show
			}
			request, err := http.NewRequest(row.method, r.url(row.path), body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Forwarded-For", "203.0.113.9")
			request.Header.Set("Keep-Alive", "timeout=9")
			request.Header.Set("Te", "trailers")
			request.Header.Set("X-Nominated", "yes")
			request.Header.Set("Connection", "X-Nominated, keep-alive")
			got := r.do(client, request)
			want := fetched{text: "got " + row.body}
			if got.StatusCode != http.StatusAccepted || got.text != want.text || got.err != nil {
				t.Errorf("got %s %q %v", got.Status, got.text, got.err)
			}
			fields := []string{got.Header.Get("X-Seen"), got.Header.Get("X-Host"), got.Header.Get("X-For"), got.Header.Get("X-Hop")}
			if diff := cmp.Diff([]string{row.seen, east, "127.0.0.1 http " + r.address, ""}, fields); diff != "" {
				t.Error(diff)
			}
		})
	}
	until(t, "all to be counted", func() bool { return r.HTTPTotals() == HTTPTotals{Requests: 8, Answered: 8} })
}

// TestHTTPFramings checks each framing of an answer for clients of both versions,
// byte for byte.
func TestHTTPFramings(t *testing.T) {
	const (
		get10 = "GET / HTTP/1.0\r\n\r\n"
		head  = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
		bye   = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	)
	for _, row := range []struct{ name, ask, answer, want string }{
		{"length", bye, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"},
		{"length and more behind it", bye, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"},
		{"chunks", bye, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nX-Trailer: dropped\r\n\r\n",
			"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi!\r\n0\r\n\r\n"},
		{"chunks for 1.0", get10, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"},
		{"to the end", bye, "HTTP/1.1 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
		{"to the end for 1.0", get10, "HTTP/1.0 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"},
		{"empty", bye, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"HEAD", strings.Replace(head, "a\r\n", "a\r\nConnection: close\r\n", 1), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"},
		{"HEAD, chunked", strings.Replace(head, "a\r\n", "a\r\nConnection: close\r\n", 1), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
		{"204", bye, "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: close\r\nX-A: b\r\n\r\n"},
		{"304", bye, "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nEtag: x\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nContent-Length: 1000\r\nEtag: x\r\n\r\n"},
		{"500", bye, "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"},
		{"426", bye, "HTTP/1.1 426 U\r\nUpgrade: foo\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 426 U\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"},
		{"interim", bye, "HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"interim for 1.0", get10, "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
		{"fields of the hop", bye, "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTrailer: x\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s, _ := scripted(t, row.answer)
			r := passing(t, Options{}, HTTP{}, member{address: s.address()})
			c := r.ask(row.ask)
			got, err := io.ReadAll(c.in)
			if err != nil || string(got) != row.want {
				t.Errorf("got\n%q, %v\nwant\n%q", got, err, row.want)
			}
		})
	}
}

// TestHTTPEvents checks that each event of a stream comes when it was sent, and
// that many streams go at once.
func TestHTTPEvents(t *testing.T) {
	balanced(t)
	const streams = 20
	more := make(chan struct{})
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
				return
			}
		}
	})
	r := passing(t, Options{}, HTTP{}, member{address: east})
	client := r.browser()
	var ins []*bufio.Reader
	for range streams {
		response, err := client.Get(r.url("/events"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		in := bufio.NewReader(response.Body)
		ins = append(ins, in)
		if got := line(t, in) + line(t, in); got != "data: 0" {
			t.Fatalf("got %q", got)
		}
	}
	if n := r.Sessions(); n != streams {
		t.Errorf("%d sessions, want %d", n, streams)
	}
	for range streams { // each goes to one of them, which alone has something to say
		more <- struct{}{}
	}
	events := make(chan string)
	for _, in := range ins {
		go func() {
			for {
				text, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if text != "\n" {
					events <- text
				}
			}
		}()
	}
	for range streams {
		select {
		case <-events:
		case <-time.After(patience):
			t.Fatal("an event was held back")
		}
	}
}

// TestHTTPLongPolls checks that an answer may begin long after the request, and
// that the next poll comes on the same connection.
func TestHTTPLongPolls(t *testing.T) {
	balanced(t)
	release := make(chan string)
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case text := <-release:
			_, _ = io.WriteString(w, text)
		case <-r.Context().Done():
		}
	})
	// Every other limit would be long over.
	r := passing(t, Options{Failover: Failover{HandshakeTimeout: soon}, Limits: Limits{HeaderTimeout: soon}, Relay: quickClose}, HTTP{BodyTimeout: soon, AnswerTimeout: patience}, member{address: east})
	c := r.dial()
	for i := range 3 {
		c.say("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
		if i == 0 {
			time.Sleep(3 * soon)
		}
		release <- fmt.Sprint("poll ", i)
		if a := c.answer(); a.body != fmt.Sprint("poll ", i) {
			t.Fatalf("got %s %q", a.Status, a.body)
		}
	}
	if got := r.HTTPTotals().Requests; got != 3 {
		t.Errorf("%d requests", got)
	}
}

// TestHTTPContinue checks that a client that waits for an interim answer gets that
// of the upstream, or its refusal without having sent the body.
func TestHTTPContinue(t *testing.T) {
	balanced(t)
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	r := passing(t, Options{}, HTTP{}, member{address: east})
	ask := func(path string) *peer {
		return r.ask("POST " + path + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	}
	c := ask("/yes")
	if a, err := c.readAnswer("POST"); err != nil || a.StatusCode != http.StatusContinue {
		t.Fatalf("got %v, %v", a, err)
	}
	c.say("hello")
	if a := c.answer(); a.StatusCode != 200 || a.body != "hello" {
		t.Errorf("got %s %q", a.Status, a.body)
	}
	c = ask("/no")
	if a := c.answer(); a.StatusCode != http.StatusForbidden || !a.Close {
		t.Errorf("got %s, %v", a.Status, a.Header)
	}
	c.eof()
}

// TestHTTPUploads checks that a long upload passes as it comes, in both framings,
// with an upstream that reads slowly; and that an answer may come before its end.
func TestHTTPUploads(t *testing.T) {
	balanced(t)
	const size = 24 << 20
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		sum := sha256.New()
		_, _ = io.CopyN(sum, r.Body, 1000)
		begun <- struct{}{}
		<-goOn // until then nothing is read, and nothing may be lost
		_, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x %v %v", sum.Sum(nil), err, r.TransferEncoding)
	})
	r := passing(t, Options{}, HTTP{}, member{address: east})
	client := r.browser()
	for _, framing := range []string{"[]", "[chunked]"} {
		sum := sha256.New()
		var body io.Reader = &drip{left: size, sum: sum}
		request, err := http.NewRequest("POST", r.url("/"), body)
		if err != nil {
			t.Fatal(err)
		}
		if framing == "[]" {
			request.ContentLength = size
		}
		go func() {
			<-begun
			goOn <- struct{}{}
		}()
		got := r.do(client, request)
		if want := fmt.Sprintf("%x <nil> %s", sum.Sum(nil), framing); got.text != want {
			t.Errorf("got %s %q, want %q", got.Status, got.text, want)
		}
	}
	c := r.ask("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc")
	if a := c.answer(); a.StatusCode != http.StatusRequestEntityTooLarge || !a.Close {
		t.Errorf("got %s, %v", a.Status, a.Header)
	}
	c.eof()
}

// drip is a body of so many bytes, whose sum is taken as they are read.
type drip struct {
	left int
	sum  hash.Hash
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), d.left)
	for i := range n {
		p[i] = byte(d.left + i*7)
	}
	d.sum.Write(p[:n])
	d.left -= n
	return n, nil
}

// TestHTTPDownloads checks that a long answer reaches a client that reads late.
func TestHTTPDownloads(t *testing.T) {
	balanced(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		_, _ = w.Write(content)
	})
	r := passing(t, Options{}, HTTP{}, member{address: east})
	client := r.browser()
	for _, path := range []string{"/length", "/chunked"} {
		if got := r.fetch(client, "GET", path, nil); got.err != nil || got.text != string(content) {
			t.Errorf("%s: %d bytes, %v", path, len(got.text), got.err)
		}
	}
}

// TestHTTPKeepsConnections checks that requests follow each other on a connection,
// pipelined ones too, that each is judged anew, and that a session can come last.
func TestHTTPKeepsConnections(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if c.asked.Header.Get("Upgrade") != "" {
			if c.accept() {
				c.handOver()
			}
			return
		}
		body, _ := io.ReadAll(io.LimitReader(c.in, c.asked.ContentLength))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(c.asked.RequestURI)+len(body), c.asked.RequestURI, body)
	})
	r := passing(t, Options{}, HTTP{}, member{address: s.address()})
	c := r.dial()
	c.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	if a := c.answer(); a.body != "/1" || a.Close {
		t.Fatalf("got %q, close %v", a.body, a.Close)
	}
	c.say("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n" + goodHead + string(masked(0x81, "early")))
	for _, want := range []string{"/2abc", "/3"} {
		if a := c.answer(); a.body != want || a.Close {
			t.Fatalf("got %q, want %q", a.body, want)
		}
	}
	c.upgraded()
	up := s.session()
	up.wants(0x81, "early")
	up.send(plain(0x81, "back"))
	c.wants(0x81, "back")
	c.send(masked(0x81, "more"))
	up.wants(0x81, "more")
	c.send(masked(closeFrame, status(1000, "")))
	up.wantsClose(1000)
	up.send(plain(closeFrame, status(1000, "")))
	c.wantsClose(1000)

	c = r.ask("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	if a := c.answer(); a.body != "/1" {
		t.Fatalf("got %q", a.body)
	}
	if a := c.answer(); a.StatusCode != 400 || !a.Close {
		t.Errorf("the second request got %s", a.Status)
	}
	c.eof()
}

// TestHTTPIdle checks that a connection on which nothing more is asked is closed.
func TestHTTPIdle(t *testing.T) {
	balanced(t)
	s, _ := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	r := passing(t, Options{}, HTTP{IdleTimeout: soon}, member{address: s.address()})
	c, a := r.exchange("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if a.StatusCode != 200 || a.Close {
		t.Fatalf("got %s", a.Status)
	}
	c.eof()
}

// TestHTTPRefusedByDefault checks that nothing is passed unless a route says so.
func TestHTTPRefusedByDefault(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address()})
	_, a := r.exchange("POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	if a.StatusCode != http.StatusUpgradeRequired || s.conns.Load() != 0 {
		t.Errorf("got %s, %d connections", a.Status, s.conns.Load())
	}
}
