package fanout

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

// failsFirst makes u fail n times and then answer 200.
func (u *fake) failsFirst(n int64, fail http.HandlerFunc) {
	var seen atomic.Int64
	u.does(func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) <= n {
			fail(w, r)
			return
		}
		w.WriteHeader(200)
	})
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestRetries(t *testing.T) {
	const join = "PUT /api/hubs/chat/users/u/groups/g?api-version=1"
	const message = "POST " + sendAll
	const closeAll = "POST /api/hubs/chat/:closeConnections?api-version=1"
	for _, row := range []struct {
		name    string
		retries int
		call    string
		fails   int64
		how     http.HandlerFunc
		sum     string
		took    string
	}{
		{"cut, no retries", 0, join, 1, cut, "200 east=200 west=lost north=200, partial west", all},
		{"cut", 1, join, 1, cut, "200 east=200 west=200 north=200", "east=1 west=2 north=1"},
		{"cut too often", 2, join, 3, cut, "200 east=200 west=lost north=200, partial west", "east=1 west=3 north=1"},
		{"503", 3, join, 3, status(503), "200 east=200 west=200 north=200", "east=1 west=4 north=1"},
		{"500", 1, join, 1, status(500), "200 east=200 west=200 north=200", "east=1 west=2 north=1"},
		{"408", 1, join, 1, status(408), "200 east=200 west=200 north=200", "east=1 west=2 north=1"},
		{"404", 3, join, 9, status(404), "200 east=200 west=404 north=200", all},
		{"429", 3, join, 9, status(429), "200 east=200 west=429 north=200, partial west", all},
		{"a message that was cut", 3, message, 1, cut, "202 east=202 west=lost north=202, partial west", all},
		{"a message that failed", 3, message, 1, status(503), "202 east=202 west=503 north=202, partial west", all},
		{"a close that was cut", 3, closeAll, 1, cut, "200 east=200 west=lost north=200, partial west", all},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, azure.WebPubSub, func(o *Options) { o.Retries = row.retries }, func(t *testing.T, r *rig) {
				for _, u := range r.order {
					if row.call != message {
						u.says(200, "")
					}
				}
				r.ups["west"].failsFirst(row.fails, row.how)
				if row.call == message {
					r.expect(r.send(sendAll, `1`), row.sum, row.took)
					return
				}
				method, target := row.call[:3], row.call[4:]
				if row.call == closeAll {
					method, target = "POST", row.call[5:]
				}
				r.expect(r.do(method, target), row.sum, row.took)
			})
		})
	}
}

// TestUnsentIsTriedAgain checks that a message is tried again when no connection came about: then it cannot have been seen.
func TestUnsentIsTriedAgain(t *testing.T) {
	bubble(t, azure.WebPubSub, func(o *Options) { o.Retries, o.RetryWait = 2, time.Second }, func(t *testing.T, r *rig) {
		r.ups["west"].refuse.Store(true)
		time.AfterFunc(1500*time.Millisecond, func() { r.ups["west"].refuse.Store(false) })
		began := time.Now()
		r.expect(r.send(sendAll, `1`), "202 east=202 west=202 north=202", all)
		if took := time.Since(began); took != 3*time.Second || r.ups["west"].dials.Load() != 3 {
			t.Errorf("it took %v and %d dials", took, r.ups["west"].dials.Load())
		}
		r.ups["west"].refuse.Store(true)
		r.f.Close()
		began = time.Now()
		f := r.f
		defer f.Close()
		r.f = mustNew(t, r.o)
		r.expect(r.send(sendAll, `1`), "202 east=202 west=unreachable north=202, partial west", "east=1 north=1")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRetriesEndWithTheDeadline(t *testing.T) {
	bubble(t, azure.WebPubSub, func(o *Options) { o.Retries, o.RetryWait, o.Deadline = 3, time.Second, 2500*time.Millisecond },
		func(t *testing.T, r *rig) {
			r.ups["west"].refuse.Store(true)
			began := time.Now()
			r.expect(r.send(sendAll, `1`), "202 east=202 west=unreachable north=202, partial west", "east=1 north=1")
			if took := time.Since(began); took != 2500*time.Millisecond || r.ups["west"].dials.Load() != 2 {
				t.Errorf("it took %v and %d dials", took, r.ups["west"].dials.Load())
			}
		})
}

func mustNew(t testing.TB, o Options) *Fanout {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// brokenConn fails its writes after some bytes.
type brokenConn struct {
	net.Conn
	left int
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:c.left])
	c.left = 0
	if err == nil {
		err = net.ErrClosed
	}
	return n, err
}

// TestHalfSentIsNotTriedAgain checks that the first byte that has left decides.
func TestHalfSentIsNotTriedAgain(t *testing.T) {
	for _, row := range []struct {
		left  int
		sum   string
		dials int64
	}{
		{0, "202 east=202 west=202 north=202", 2}, {1, "202 east=202 west=lost north=202, partial west", 1},
	} {
		bubble(t, azure.WebPubSub, func(o *Options) {
			o.Retries = 1
			dial, broken := o.Dial, false
			o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
				conn, err := dial(ctx, address)
				if err == nil && address == "west.internal:81" && !broken {
					broken = true
					return &brokenConn{conn, row.left}, nil
				}
				return conn, err
			}
		}, func(t *testing.T, r *rig) {
			r.expect(r.send(sendAll, `1`), row.sum, "-")
			if got := r.ups["west"].dials.Load(); got != row.dials {
				t.Errorf("%d dials, want %d", got, row.dials)
			}
		})
	}
}
