package inbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/bench/internal/broadcast"
)

// Counts are what an inbox got since it began.
type Counts struct {
	Messages int64 `json:"messages"` // that were right in everything, each once
	Again    int64 `json:"again"`    // whose number had come before
	Wrong    int64 `json:"wrong"`    // that were refused
	// First is the first of those again and wrong, in words.
	First string `json:"first,omitempty"`
}

// Inbox takes messages. Make it with Listen; call Run once.
type Inbox struct {
	key  string
	size int
	ln   net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]bool
	next   map[uint32]uint32 // place, by series
	counts Counts
}

// Listen opens addr (port 0 picks a free one) for messages of size bytes whose tokens are signed with key. The caller must call Run,
// which closes what Listen opened.
func Listen(addr, key string, size int) (*Inbox, error) {
	if key == "" || size < broadcast.MinSize {
		return nil, fmt.Errorf("listen on %s: want a key, and messages of at least %d bytes", addr, broadcast.MinSize)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Inbox{key: key, size: size, ln: ln, conns: make(map[net.Conn]bool), next: make(map[uint32]uint32)}, nil
}

// Addr is the address that the inbox listens on.
func (b *Inbox) Addr() string { return b.ln.Addr().String() }

// Counts are what it got so far. It may be called at any time.
func (b *Inbox) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

// Run serves until ctx ends, which is no error. All sockets are closed when it returns.
func (b *Inbox) Run(ctx context.Context) error {
	var all sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = b.ln.Close() })
	defer stop()
	for {
		c, err := b.ln.Accept()
		if err != nil {
			b.mu.Lock()
			for c := range b.conns {
				_ = c.Close()
			}
			b.mu.Unlock()
			all.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return errors.Join(err, b.ln.Close())
		}
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		all.Go(func() {
			b.serve(c)
			_ = c.Close()
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
		})
	}
}

// The answers. fasthttp would write a date and its name into each.
var (
	accepted = []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
	healthy  = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	notFound = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	refused  = []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
)

const (
	healthPath = "/api/health"
	// CountsPath is where the counts are told.
	CountsPath = "/api/messages"

	maxHead = 16 << 10
	maxBody = 1 << 20 // a longer one ends the connection; it is wrong all the same
)

// serve answers on one connection until that ends. It is the caller's to close.
func (b *Inbox) serve(c net.Conn) {
	r := bufio.NewReaderSize(c, maxHead+b.size) // a message is there with one read
	var q fasthttp.Request
	var good []byte // the token that was verified last: most calls have the same
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		err := q.ReadLimitBody(r, max(maxBody, b.size))
		var answer []byte
		switch path := q.Header.RequestURI(); {
		case err != nil:
			b.refuse(fmt.Sprintf("a message that cannot be read: %v", err))
			return
		case !q.Header.IsGet():
			answer = b.take(&q, &good)
		case string(path) == healthPath:
			answer = healthy
		case string(path) == CountsPath:
			text, err := json.Marshal(b.Counts())
			if err != nil {
				panic("BUG: counts cannot be encoded: " + err.Error())
			}
			answer = append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(text)), text...)
		default:
			answer = notFound
		}
		if _, err := c.Write(answer); err != nil || q.Header.ConnectionClose() {
			return
		}
	}
}

var bearer = []byte("Bearer ")

// take counts a message and returns the answer to it.
func (b *Inbox) take(q *fasthttp.Request, good *[]byte) []byte {
	token, _ := bytes.CutPrefix(q.Header.Peek("Authorization"), bearer)
	number, numbered := broadcast.ParseNumber(q.Body())
	switch {
	case !q.Header.IsPost() || string(q.Header.RequestURI()) != broadcast.Target:
		return b.refuse(fmt.Sprintf("another call: %s %s", q.Header.Method(), q.Header.RequestURI()))
	case string(q.Header.ContentType()) != broadcast.ContentType:
		return b.refuse(fmt.Sprintf("a message of another type: %q", q.Header.ContentType()))
	case len(q.Body()) != b.size || !numbered:
		return b.refuse(fmt.Sprintf("a message of %d bytes, numbered: %t", len(q.Body()), numbered))
	case !bytes.Equal(token, *good):
		if err := broadcast.Verify(string(token), b.key, b.Addr()); err != nil {
			return b.refuse(fmt.Sprintf("a token that is not for here: %v", err))
		}
		*good = append((*good)[:0], token...)
	case len(token) == 0: // like the one verified before, when there was none
		return b.refuse("a message without a token")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if number.Place < b.next[number.Series] {
		b.counts.Again++
		b.first(fmt.Sprintf("message %d of series %d came again", number.Place, number.Series))
		return accepted
	}
	b.next[number.Series] = number.Place + 1
	b.counts.Messages++
	return accepted
}

// refuse counts what is wrong and returns the answer to it.
func (b *Inbox) refuse(why string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Wrong++
	b.first(why)
	return refused
}

// first keeps the first fault. The lock is held.
func (b *Inbox) first(why string) {
	if b.counts.First == "" {
		b.counts.First = why
	}
}

// Read asks the inbox at addr for its counts.
func Read(ctx context.Context, addr string) (Counts, error) {
	var c Counts
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+CountsPath, nil)
	if err != nil {
		return c, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, fmt.Errorf("count messages: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
		return c, fmt.Errorf("count messages at %s: %w", addr, err)
	}
	return c, nil
}
