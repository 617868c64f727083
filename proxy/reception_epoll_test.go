//go:build linux && !portable

package proxy

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// few is how many goroutines may come up for another reason than the clients.
const few = 20

// checkGoroutines checks that there are not many more goroutines than before.
func checkGoroutines(t testing.TB, before int, what string) {
	t.Helper()
	if n := runtime.NumGoroutine(); n > before+few {
		t.Errorf("%d goroutines with %s, %d before", n, what, before)
	}
}

// Heads that come in pieces are collected in the loops: no goroutine waits for them,
// also when there are many, and the sessions of those that become whole are as others.
func TestHeadsInPieces(t *testing.T) {
	upstream := newAccepter(t)
	r := start(t, Options{}, member{address: upstream.address()})
	before := runtime.NumGoroutine()
	long := add("X-Long: " + strings.Repeat("x", firstHead))
	const many = 200
	clients := make([]*peer, many)
	for i := range clients {
		clients[i] = r.ask(long[:1+i*(len(long)-4)/many])
	}
	until(t, "all clients to be at the gate", func() bool { return r.counters.atGate.Load() == many })
	// Who comes last is heard last, by each loop.
	for range 2 * runtime.GOMAXPROCS(0) {
		r.ask(swap("GET", "POST")).refused("POST", 405)
	}
	checkGoroutines(t, before, "heads that are not whole")
	for i, c := range clients {
		for _, b := range []byte(long[1+i*(len(long)-4)/many : len(long)-2]) {
			if i%50 == 0 { // all of its bytes one by one, and of the others the last two
				c.send([]byte{b})
			}
		}
		if i%50 != 0 {
			c.say(long[1+i*(len(long)-4)/many : len(long)-2])
		}
		c.send([]byte{'\r'})
		c.send([]byte{'\n'}, masked(textFrame, "with the last byte"))
		c.upgraded()
		u := upstream.session()
		u.wants(textFrame, "with the last byte")
		u.send(plain(textFrame, "back"))
		c.wants(textFrame, "back")
		c.Close()
		u.gone()
		u.Close()
	}
	if got := r.Totals(); got.Abandoned != 0 || got.Handshakes != many {
		t.Errorf("totals %+v", got)
	}
}

// Who is turned away, for whatever reason, is told so in the loops, and no goroutine
// waits until it has taken notice.
func TestTurnedAwayInLoops(t *testing.T) {
	upstream := newAccepter(t)
	r := start(t, Options{Limits: Limits{HeaderTimeout: time.Second}}, member{address: upstream.address()})
	before := runtime.NumGoroutine()
	const many = 100
	clients, statuses := make([]*peer, 0, many), []int{}
	for i := range many {
		head, status := goodHead[:40], 408
		switch i % 4 {
		case 0:
			head, status = swap("GET", "POST"), 405
		case 1:
			head, status = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426
		case 2:
			head, status = "\x16\x03\x01", 400
		}
		clients, statuses = append(clients, r.ask(head)), append(statuses, status)
	}
	most := 0
	for i, c := range clients {
		a := c.answer()
		if most = max(most, runtime.NumGoroutine()); a.StatusCode != statuses[i] {
			t.Errorf("%d: got %s, want %d", i, a.Status, statuses[i])
		}
	}
	if most > before+few {
		t.Errorf("%d goroutines with clients that are turned away, %d before", most, before)
	}
	until(t, "all clients to be gone", func() bool { return r.counters.atGate.Load() == 0 })
	if got := r.Totals(); got.Abandoned != 0 || got.Refused != many {
		t.Errorf("totals %+v", got)
	}
}
