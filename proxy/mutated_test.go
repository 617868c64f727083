package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// mutations are the ways in which strangers and broken software spoil a head.
var mutations = []func(random *rand.Rand, head []byte) []byte{
	func(r *rand.Rand, h []byte) []byte { // a byte is another
		h[r.IntN(len(h))] = byte(r.IntN(256))
		return h
	},
	func(r *rand.Rand, h []byte) []byte { // a bit is flipped
		h[r.IntN(len(h))] ^= 1 << r.IntN(8)
		return h
	},
	func(r *rand.Rand, h []byte) []byte { // a piece is missing
		from := r.IntN(len(h))
		return append(h[:from], h[min(len(h), from+1+r.IntN(20)):]...)
	},
	func(r *rand.Rand, h []byte) []byte { // a piece comes twice
		from := r.IntN(len(h))
		to := min(len(h), from+1+r.IntN(40))
		return bytes.Join([][]byte{h[:to], h[from:]}, nil)
	},
	func(r *rand.Rand, h []byte) []byte { // something is put in
		spice := []string{"\r\n", "\n", "\r", "\x00", " ", "\t", ":", ",", "\r\n\r\n", "\r\n ", "%2e%2e/", "\xff", "#", "Content-Length: 5\r\n",
			"Transfer-Encoding: chunked\r\n", "Upgrade: h2c\r\n", "Host: b\r\n", "Connection: Host\r\n", "Expect: 100-continue\r\n"}
		at := r.IntN(len(h) + 1)
		return bytes.Join([][]byte{h[:at], []byte(spice[r.IntN(len(spice))]), h[at:]}, nil)
	},
	func(r *rand.Rand, h []byte) []byte { // two lines change places
		lines := bytes.SplitAfter(h, []byte("\r\n"))
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
		return bytes.Join(lines, nil)
	},
	func(r *rand.Rand, h []byte) []byte { // a line comes twice
		lines := bytes.SplitAfter(h, []byte("\r\n"))
		i := r.IntN(len(lines))
		return bytes.Join(append(lines[:i:i], append([][]byte{lines[i]}, lines[i:]...)...), nil)
	},
	func(r *rand.Rand, h []byte) []byte { // a word is in another case
		from := r.IntN(len(h))
		to := min(len(h), from+1+r.IntN(10))
		return bytes.Join([][]byte{h[:from], bytes.ToUpper(h[from:to]), h[to:]}, nil)
	},
	func(r *rand.Rand, h []byte) []byte { // something is very long
		at := r.IntN(len(h))
		return bytes.Join([][]byte{h[:at], bytes.Repeat(h[at:at+1], 1<<r.IntN(18)), h[at:]}, nil)
	},
	func(r *rand.Rand, h []byte) []byte { return h[:r.IntN(len(h)+1)] }, // the end is missing
}

// TestMutatedHeads throws spoilt heads at the router. Whatever they are, there is
// an answer or an end in time; and what the upstream has seen are exactly the
// heads that its own answer came back to.
func TestMutatedHeads(t *testing.T) {
	balanced(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const mark = "X-From-Upstream"
	upstream := newStub(t, func(c *stubConn) {
		// A head that the stub's parser refuses fails the test.
		c.reply("HTTP/1.1 404 Not Found\r\n" + mark + ": 1\r\nContent-Length: 0\r\n\r\n")
	})
	r := start(t, Options{Limits: Limits{HeaderTimeout: soon}}, member{address: upstream.address()})
	each := 100
	if raceEnabled || testing.Short() {
		each = 30
	}
	var passed, refused, silent atomic.Int64
	crowd(32, 1, func(client int) {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		for range each {
			head := []byte(add("Origin: https://app.example", "Sec-WebSocket-Protocol: a, b"))
			for range 1 + random.IntN(3) {
				head = mutations[random.IntN(len(mutations))](random, head)
				if len(head) == 0 {
					break
				}
			}
			switch a, err := r.throw(head, random.IntN(2) == 0); {
			case err != nil:
				t.Errorf("%v after %.300q", err, head)
				return
			case a == nil:
				silent.Add(1)
			case a.Header.Get(mark) != "":
				passed.Add(1)
			default:
				refused.Add(1)
				if !a.Close || a.StatusCode < 400 || a.StatusCode > 505 || a.StatusCode == 500 {
					t.Errorf("got %s %v for %.300q", a.Status, a.Header, head)
				}
			}
		}
	})
	if seen := upstream.conns.Load(); seen != passed.Load() {
		t.Errorf("the upstream has seen %d heads, %d of its answers came back", seen, passed.Load())
	}
	if passed.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d heads passed, %d were refused", passed.Load(), refused.Load())
	}
	until(t, "all to be counted", func() bool {
		got := r.Totals()
		return got.Handshakes == uint64(passed.Load()) && got.Refused == uint64(passed.Load()+refused.Load()) &&
			got.Abandoned == uint64(silent.Load())
	})
}

// throw sends a head, perhaps in two pieces, and reads the answer, nil if there
// is none, and the end of the connection.
func (r *rig) throw(head []byte, halves bool) (*http.Response, error) {
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a hang is an error
	method := "GET"
	if bytes.HasPrefix(head, []byte("HEAD")) {
		method = "HEAD"
	}
	// What is written behind a refusal is lost, and that is no error.
	if halves {
		_, _ = conn.Write(head[:len(head)/2])
		head = head[len(head)/2:]
	}
	_, _ = conn.Write(head)
	in := bufio.NewReader(conn)
	if _, err := in.Peek(1); isEnd(err) {
		return nil, nil
	}
	a, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(a.Body).WriteTo(&body); err != nil {
		return nil, err
	}
	if b, err := in.ReadByte(); !isEnd(err) {
		return nil, fmt.Errorf("got %#x, %w behind the answer", b, err)
	}
	return a, nil
}
