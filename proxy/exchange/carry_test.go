package exchange

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// bounds are times that cannot be mistaken for each other.
var bounds = Options{
	Keep: true, SendTimeout: 3 * time.Second, AnswerTimeout: 150 * time.Second, BodyTimeout: 20 * time.Second,
	WriteTimeout: 30 * time.Second, IdleTimeout: 40 * time.Second,
}

// rig is an exchange whose far ends are the test's.
type rig struct {
	t                *testing.T
	exchange         *Exchange
	client, upstream *bufio.ReadWriter
	began            time.Time
	done             chan Result
}

// parse judges a head.
func parse(t testing.TB, raw string) *handshake.Request {
	t.Helper()
	request := new(handshake.Request)
	if err := handshake.ParseRequest([]byte(raw), handshake.Limits{}, request); err != nil {
		t.Fatal(err)
	}
	if err := request.CheckPlain(); err != nil {
		t.Fatal(err)
	}
	return request
}

// start carries a request with these head lines, and reads its head at the upstream.
func start(t *testing.T, line string, o Options, fields ...string) *rig {
	t.Helper()
	request := parse(t, strings.Join(append([]string{line + " HTTP/1.1", "Host: a"}, fields...), "\r\n")+"\r\n\r\n")
	client, farClient := net.Pipe()
	upstream, farUpstream := net.Pipe()
	t.Cleanup(func() { farClient.Close(); farUpstream.Close(); client.Close() })
	wrap := func(c net.Conn) *bufio.ReadWriter {
		return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriterSize(c, 16))
	}
	r := &rig{
		t: t, client: wrap(farClient), upstream: wrap(farUpstream),
		began: time.Now(), done: make(chan Result, 1),
	}
	r.exchange = New(NewClient(client, nil), request, o)
	go func() {
		sent, err := r.exchange.Send(upstream, request.AppendPlain(nil, &handshake.Plain{}), time.Now().Add(o.SendTimeout))
		if !sent {
			r.done <- Result{Err: err}
			return
		}
		result := r.exchange.Carry()
		if !result.Keep {
			client.Close() // as the caller does
		}
		r.done <- result
	}()
	if _, err := http.ReadRequest(r.upstream.Reader); err != nil {
		t.Fatal(err)
	}
	return r
}

// say sends text from one of the far ends.
func (r *rig) say(from *bufio.ReadWriter, text string) {
	r.t.Helper()
	if _, err := from.WriteString(text); err != nil {
		r.t.Error(err)
	}
	if err := from.Flush(); err != nil {
		r.t.Error(err)
	}
}

// answer reads an answer at the client.
func (r *rig) answer() *http.Response {
	r.t.Helper()
	a, err := http.ReadResponse(r.client.Reader, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// ends waits for the end, which has to come after exactly that time.
func (r *rig) ends(after time.Duration, err error) Result {
	r.t.Helper()
	result := <-r.done
	if took := time.Since(r.began); took != after || !errors.Is(result.Err, err) {
		r.t.Errorf("ended after %v with %v, want %v and %v", took, result.Err, after, err)
	}
	return result
}

func bubble(t *testing.T, name string, story func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, story) })
}

// TestTimes checks each limit to the second.
func TestTimes(t *testing.T) {
	bubble(t, "a poll", func(t *testing.T) {
		r := start(t, "GET /", bounds)
		time.Sleep(149 * time.Second)
		r.say(r.upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		if text, err := io.ReadAll(r.answer().Body); string(text) != "hi" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
		if result := r.ends(149*time.Second, nil); !result.Keep || result.Status != 200 || result.Down != 2 || !result.Answered {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "no answer", func(t *testing.T) {
		r := start(t, "GET /", bounds)
		if result := r.ends(150*time.Second, os.ErrDeadlineExceeded); result.Answered || result.Keep {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "no answer to a long upload", func(t *testing.T) {
		r := start(t, "POST /", bounds, "Content-Length: 20")
		go func() { _, _ = io.Copy(io.Discard, r.upstream) }()
		for range 20 { // each byte comes in time, and the answer is not waited for meanwhile
			time.Sleep(19 * time.Second)
			r.say(r.client, "x")
		}
		if result := r.ends((20*19+150)*time.Second, os.ErrDeadlineExceeded); result.Up != 20 {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "no body", func(t *testing.T) {
		r := start(t, "POST /", bounds, "Content-Length: 20")
		go func() { _, _ = io.Copy(io.Discard, r.upstream) }()
		time.Sleep(5 * time.Second)
		r.say(r.client, "x")
		r.ends(25*time.Second, ErrBodyLate)
	})
	bubble(t, "a body that is waited for", func(t *testing.T) {
		r := start(t, "POST /", bounds, "Content-Length: 1", "Expect: 100-continue")
		time.Sleep(100 * time.Second) // longer than within a body: the client may wait
		r.say(r.upstream, "HTTP/1.1 100 Continue\r\n\r\n")
		if a := r.answer(); a.StatusCode != 100 {
			t.Fatalf("got %s", a.Status)
		}
		go r.say(r.client, "x")
		if b, err := r.upstream.ReadByte(); b != 'x' || err != nil {
			t.Fatalf("got %q, %v", b, err)
		}
		synctest.Wait()
		go r.say(r.upstream, "HTTP/1.1 204 No Content\r\n\r\n")
		r.answer()
		if result := r.ends(100*time.Second, nil); !result.Keep {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "a body that is not taken", func(t *testing.T) {
		r := start(t, "POST /", bounds, "Content-Length: 20")
		r.say(r.client, "x")
		r.ends(30*time.Second, os.ErrDeadlineExceeded)
	})
	bubble(t, "an answer that stops", func(t *testing.T) {
		r := start(t, "GET /", bounds)
		go r.say(r.upstream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
		a := r.answer()
		if text, err := io.ReadAll(io.LimitReader(a.Body, 2)); string(text) != "hi" || err != nil {
			t.Fatalf("got %q, %v", text, err)
		}
		if result := r.ends(40*time.Second, os.ErrDeadlineExceeded); !result.Answered || result.Keep {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "an answer that is not taken", func(t *testing.T) {
		r := start(t, "GET /", bounds)
		r.say(r.upstream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
		r.ends(30*time.Second, ErrClient)
	})
	bubble(t, "a body to be rewritten that stops", func(t *testing.T) {
		o := bounds
		o.Adapt = func(*handshake.Answer) Adaptation {
			return Adaptation{Most: 100, Rewrite: func(b []byte) ([]byte, bool, error) { return b, true, nil }}
		}
		r := start(t, "GET /", o)
		r.say(r.upstream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
		if result := r.ends(3*time.Second, os.ErrDeadlineExceeded); result.Answered {
			t.Errorf("got %+v", result)
		}
	})
	bubble(t, "the next request", func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := NewClient(near, []byte("ahead"))
		if err := c.Await(time.Second); err != nil || string(c.Rest()) != "ahead" {
			t.Error(err)
		}
		began := time.Now()
		if err := c.Await(7 * time.Second); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 7*time.Second {
			t.Errorf("waited %v, %v", time.Since(began), err)
		}
		time.AfterFunc(time.Second, c.HangUp)
		if err := c.Await(7 * time.Second); err == nil || time.Since(began) != 8*time.Second {
			t.Errorf("waited %v, %v", time.Since(began), err)
		}
	})
}

// TestLeave checks what becomes of an exchange that is asked to end: what waits has
// no answer, a stream of events ends in good order, and all else is cut.
func TestLeave(t *testing.T) {
	const events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
	for _, row := range []struct {
		name, answer    string
		waits, streams  bool
		broken, nothing bool
	}{
		{name: "waiting", waits: true, nothing: true},
		{name: "events", answer: events + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", streams: true},
		{name: "events to the end", answer: events + "\r\nhi", streams: true},
		{name: "events with a length", answer: events + "Content-Length: 5\r\n\r\nhi", broken: true},
		{name: "something else", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", broken: true},
	} {
		for _, how := range []string{"leave", "abort"} {
			bubble(t, row.name+" "+how, func(t *testing.T) {
				r := start(t, "GET /", bounds)
				var a *http.Response
				if row.answer != "" {
					go r.say(r.upstream, row.answer)
					a = r.answer()
					if text, err := io.ReadAll(io.LimitReader(a.Body, 2)); string(text) != "hi" || err != nil {
						t.Fatalf("got %q, %v", text, err)
					}
				}
				synctest.Wait()
				if r.exchange.Waits() != row.waits || r.exchange.Streams() != row.streams {
					t.Errorf("waits %v, streams %v", r.exchange.Waits(), r.exchange.Streams())
				}
				if how == "leave" && row.broken { // it goes on to its end
					if r.exchange.Leave() {
						t.Error("an answer was asked to end that is not finished")
					}
					r.exchange.Abort()
				} else if how == "leave" {
					if !r.exchange.Leave() {
						t.Error("it was not asked to end")
					}
				} else {
					r.exchange.Abort()
				}
				if a != nil {
					if _, err := io.ReadAll(a.Body); (err != nil) != (row.broken || how == "abort") {
						t.Errorf("the answer ended with %v", err)
					}
				}
				if result := r.ends(0, ErrLeft); result.Answered == row.nothing {
					t.Errorf("got %+v", result)
				}
			})
		}
	}
	bubble(t, "before it has begun", func(t *testing.T) {
		near, far := net.Pipe()
		upstream, farUpstream := net.Pipe()
		defer far.Close()
		defer near.Close()
		defer farUpstream.Close()
		e := New(NewClient(near, nil), parse(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), bounds)
		e.Abort()
		go func() { _, _ = io.Copy(io.Discard, farUpstream) }()
		if sent, err := e.Send(upstream, []byte("GET / HTTP/1.1\r\n\r\n"), time.Now().Add(time.Second)); !sent {
			t.Fatal(err)
		}
		if r := e.Carry(); !errors.Is(r.Err, ErrLeft) {
			t.Errorf("got %+v", r)
		}
	})
}

// TestSend checks that an upstream that takes nothing of a request is told from one
// that has got some of it.
func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		client := NewClient(near, []byte("body and more"))
		e := New(client, parse(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"), bounds)
		send := func(take int) (bool, error) {
			upstream, farUpstream := net.Pipe()
			defer farUpstream.Close()
			go func() {
				_, _ = io.CopyN(io.Discard, farUpstream, int64(take))
				farUpstream.Close()
			}()
			return e.Send(upstream, []byte("head"), time.Now().Add(time.Second))
		}
		if sent, err := send(0); sent || err == nil {
			t.Errorf("sent %v, %v", sent, err)
		}
		if sent, err := send(3); !sent || err != nil {
			t.Errorf("sent %v, %v", sent, err)
		}
		if r := e.Carry(); r.Err == nil || r.Answered {
			t.Errorf("got %+v", r)
		}
		if rest := string(client.Rest()); rest != " and more" {
			t.Errorf("%q is left", rest)
		}
	})
}
