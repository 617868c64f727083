package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

// bodied is a request with these framing lines and this body.
func bodied(lines, body string) string {
	return "POST /p HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" + body
}

// httpRows are heads that are refused before an upstream hears of them. The
// numbers are those of the table of bad inputs.
var httpRows = []headRow{
	{"28 two framings", bodied("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
	{"28 two framings the other way", bodied("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
	{"28 two lengths", bodied("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
	{"28 two equal lengths", bodied("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
	{"28 two lengths in one", bodied("Content-Length: 5, 5\r\n", "hello"), 400},
	{"28 +5", bodied("Content-Length: +5\r\n", "hello"), 400},
	{"28 0x5", bodied("Content-Length: 0x5\r\n", "hello"), 400},
	{"28 -1", bodied("Content-Length: -1\r\n", ""), 400},
	{"28 2^64", bodied("Content-Length: 18446744073709551616\r\n", ""), 400},
	{"28 2^64+5", bodied("Content-Length: 18446744073709551621\r\n", "hello"), 400},
	{"28 empty length", bodied("Content-Length:\r\n", ""), 400},
	{"28 5 5", bodied("Content-Length: 5 5\r\n", "hello"), 400},
	{"29 xchunked", bodied("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
	{"29 chunked, identity", bodied("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400},
	{"29 identity", bodied("Transfer-Encoding: identity\r\n", ""), 501},
	{"29 gzip, chunked", bodied("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
	{"29 chunked twice", bodied("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
	{"29 tab before the value", bodied("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"), 400},
	{"29 VT before the value", bodied("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400},
	{"29 empty coding", bodied("Transfer-Encoding:\r\n", ""), 400},
	{"29 quoted", bodied("Transfer-Encoding: \"chunked\"\r\n", ""), 501},
	{"29 in 1.0", strings.Replace(bodied("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1), 400},
	{"30 space before the colon", bodied("Content-Length : 5\r\n", "hello"), 400},
	{"30 obs-fold", bodied("X-A: b\r\n c\r\n", ""), 400},
	{"30 folded coding", bodied("Transfer-Encoding:\r\n chunked\r\n", ""), 400},
	{"30 empty name", bodied(": b\r\n", ""), 400},
	{"30 bare LF", bodied("X-A: b\n", ""), 400},
	{"30 bare CR", bodied("X-A: b\rc\r\n", ""), 400},
	{"30 NUL", bodied("X-A: b\x00c\r\n", ""), 400},
	{"31 no Host", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400},
	{"31 two Hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400},
	{"32 nominated length", bodied("Connection: content-length\r\nContent-Length: 5\r\n", "hello"), 400},
	{"32 nominated Host", bodied("Connection: host\r\nContent-Length: 0\r\n", ""), 400},
	{"35 101 fields", bodied(strings.Join(manyLines(101), "\r\n")+"\r\n", ""), 431},
	{"02 TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
	{"02 CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405},
	{"02 lower-case post", "post / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
	{"02 unknown", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
	{"16 OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404},
	{"13 another expectation", bodied("Expect: x\r\nContent-Length: 0\r\n", ""), 417},
	{"13 two expectations", bodied("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "x"), 417},
	{"03 h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 400},
}

// TestHTTPRefusedHeads checks that what two parsers could read in two ways reaches
// no upstream.
func TestHTTPRefusedHeads(t *testing.T) {
	balanced(t)
	s, _ := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	r := passing(t, Options{}, HTTP{}, member{address: s.address()})
	for _, row := range httpRows {
		t.Run(row.name, func(t *testing.T) {
			c := r.dial()
			c.offer(row.head)
			a, err := c.readAnswer("GET")
			if err != nil {
				t.Fatal(err)
			}
			if a.StatusCode != row.want || !a.Close {
				t.Errorf("got %s %v %s, want %d", a.Status, a.Header, a.body, row.want)
			}
			c.eof()
		})
	}
	if n := s.conns.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestHTTPChunks checks what is taken for a chunked body: what is malformed is
// refused, and does not look whole to the upstream; the rest arrives in chunks of
// our own.
func TestHTTPChunks(t *testing.T) {
	for _, row := range []struct{ name, body, want string }{ // no want: malformed
		{"67 one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"67 zeros before the size", "0005\r\nhello\r\n000\r\n\r\n", "hello"},
		{"67 capitals", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
		{"67 extensions are dropped", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello"},
		{"67 trailers are dropped", "5\r\nhello\r\n0\r\nX-Trailer: a\r\nContent-Length: 9\r\n\r\n", "hello"},
		{"67 bytes behind it", "1\r\nx\r\n0\r\n\r\nGET /x", "x"},
		{"67 bare LF behind the size", "5\nhello\r\n0\r\n\r\n", ""},
		{"67 bare LF behind the data", "5\r\nhello\n0\r\n\r\n", ""},
		{"67 bare CR behind the size", "5\rhello\r\n0\r\n\r\n", ""},
		{"67 LF in an extension", "5;a=\nb\r\nhello\r\n0\r\n\r\n", ""},
		{"67 CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", ""},
		{"67 NUL in an extension", "5;a\x00\r\nhello\r\n0\r\n\r\n", ""},
		{"67 a long extension", "5;" + strings.Repeat("a", 300) + "\r\nhello\r\n0\r\n\r\n", ""},
		{"67 many extensions", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n", ""},
		{"67 no size", "\r\nhello\r\n0\r\n\r\n", ""},
		{"67 +5", "+5\r\nhello\r\n0\r\n\r\n", ""},
		{"67 -5", "-5\r\nhello\r\n0\r\n\r\n", ""},
		{"67 0x5", "0x5\r\nhello\r\n0\r\n\r\n", ""},
		{"67 space before the size", " 5\r\nhello\r\n0\r\n\r\n", ""},
		{"67 space behind the size", "5 \r\nhello\r\n0\r\n\r\n", ""},
		{"67 tab behind the size", "5\t;a\r\nhello\r\n0\r\n\r\n", ""},
		{"67 a size that overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n", ""},
		{"67 a size without end", strings.Repeat("0", 300) + "5\r\nhello\r\n0\r\n\r\n", ""},
		{"67 more than the size", "4\r\nhello\r\n0\r\n\r\n", ""},
		{"67 less than the size", "6\r\nhello\r\n0\r\n\r\n", ""},
		{"67 trailer without a colon", "0\r\nX-Trailer\r\n\r\n", ""},
		{"67 folded trailer", "0\r\nX-A: b\r\n c\r\n\r\n", ""},
		{"67 trailer with a space before the colon", "0\r\nX-A : b\r\n\r\n", ""},
		{"67 bare LF at the end", "0\r\n\n", ""},
		{"67 a trailer without end", "0\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 20), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			got := make(chan string, 1)
			east := site(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					got <- "broken"
				} else {
					got <- "whole " + string(body)
				}
			})
			r := passing(t, Options{}, HTTP{BodyTimeout: patience}, member{address: east})
			c := r.ask(bodied("Transfer-Encoding: chunked\r\nConnection: close\r\n", row.body))
			a := c.answer()
			if row.want == "" {
				if a.StatusCode != 400 || !strings.Contains(a.body, "bad_body") {
					t.Errorf("got %s %s", a.Status, a.body)
				}
				if text := <-got; text != "broken" {
					t.Errorf("the upstream got %q", text)
				}
				return
			}
			if text := <-got; a.StatusCode != 200 || text != "whole "+row.want {
				t.Errorf("got %s, the upstream got %q", a.Status, text)
			}
		})
	}
}

// TestHTTPMillionChunks checks that a body of very many small chunks passes, in
// few.
func TestHTTPMillionChunks(t *testing.T) {
	balanced(t)
	const chunks = 200_000
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		raw := int64(0)
		for {
			line, err := c.in.ReadSlice('\n')
			if raw += int64(len(line)); err != nil || string(line) == "0\r\n" {
				break
			}
			var size int
			if _, err := fmt.Sscanf(string(line), "%x", &size); err != nil {
				t.Errorf("chunk of size %q", line)
				return
			}
			n, err := c.in.Discard(size + 2)
			if raw += int64(n); err != nil {
				return
			}
		}
		text := fmt.Sprint(raw)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
	r := passing(t, Options{}, HTTP{}, member{address: s.address()})
	c := r.ask(bodied("Transfer-Encoding: chunked\r\n", ""))
	go c.offer(strings.Repeat("1\r\nx\r\n", chunks) + "0\r\n\r\n")
	var size int
	if a := c.answer(); a.StatusCode != 200 {
		t.Fatalf("got %s", a.Status)
	} else if _, err := fmt.Sscan(a.body, &size); err != nil || size > chunks*2 {
		t.Errorf("%d bytes for %d chunks of one, %v", size, chunks, err)
	}
}

// TestHTTPLyingLengths checks row 66: a body that is shorter than its length is
// not whole to the upstream, and what follows one that is longer is the next
// request, which is judged as such.
func TestHTTPLyingLengths(t *testing.T) {
	balanced(t)
	got := make(chan string, 4)
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %s %v", r.URL.Path, body, err != nil)
	})
	r := passing(t, Options{}, HTTP{}, member{address: east})
	c := r.ask(bodied("Content-Length: 9\r\n", "short"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.gone()
	if text := <-got; text != "/p short true" {
		t.Errorf("the upstream got %q", text)
	}
	c = r.ask(bodied("Content-Length: 2\r\n", "long"))
	if a := c.answer(); a.StatusCode != 200 {
		t.Errorf("got %s", a.Status)
	}
	c.offer(" / HTTP/1.1\r\n\r\n") // "ng / HTTP/1.1" is a request with an unknown method
	if a := c.answer(); a.StatusCode < 400 {
		t.Errorf("got %s", a.Status)
	}
	if text := <-got; text != "/p lo false" {
		t.Errorf("the upstream got %q", text)
	}
	select {
	case text := <-got:
		t.Errorf("the upstream got %q as well", text)
	default:
	}
}

// TestHTTPSplitBytes checks that it makes no difference where the network cuts a
// request and its answer.
func TestHTTPSplitBytes(t *testing.T) {
	balanced(t)
	answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		body, err := io.ReadAll(httputil.NewChunkedReader(c.in))
		if err != nil || string(body) != "hello" {
			t.Errorf("got %q, %v", body, err)
		}
		for i := range len(answer) {
			_, _ = c.Write([]byte(answer[i : i+1]))
			time.Sleep(100 * time.Microsecond) // so that it is a packet of its own, mostly
		}
	})
	r := passing(t, Options{}, HTTP{}, member{address: s.address()})
	c := r.dial()
	whole := bodied("Transfer-Encoding: chunked\r\nConnection: close\r\n", "5\r\nhello\r\n0\r\n\r\n")
	head, body, _ := strings.Cut(whole, "\r\n\r\n")
	for _, b := range []byte(head + "\r\n\r\n") {
		c.send([]byte{b})
	}
	c.say(body)
	if a := c.answer(); a.StatusCode != 200 || a.body != "abcde" {
		t.Errorf("got %s %q", a.Status, a.body)
	}
}
