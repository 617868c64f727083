package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// TestShortOfMemory is fault 15: above the mark new sessions are refused and the
// others go on; it passes when there is enough again.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	var l log
	s := newAccepter(t)
	r := start(t, Options{Logger: l.at(slog.LevelInfo), Limits: Limits{MemoryHigh: -1}}, member{address: s.address()})
	c, u := r.open(s)
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
	until(t, "it to be short of memory", r.memory.short.Load)
	for range 5 {
		r.ask(goodHead).refusedBy(t, 503)
	}
	echoes(t, c, u, 5)
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 40 })
	until(t, "it to be over", func() bool { return !r.memory.short.Load() })
	c2, u2 := r.open(s)
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
	until(t, "it to be short of memory again", r.memory.short.Load)
	r.change(func(o *Options) { o.Limits.MemoryHigh = -1 })
	until(t, "there to be no limit", func() bool { return !r.memory.short.Load() })
	for _, p := range []*peer{c, u, c2, u2} {
		p.Close()
	}
	got := l.String()
	for what, want := range map[string]int{"short of memory": 2, "memory again": 1, "not limited any more": 1} {
		if strings.Count(got, what) != want {
			t.Errorf("%q is not %d times in the log:\n%s", what, want, got)
		}
	}
}

// TestMemoryGivenBack: what a rush has left behind does not keep new sessions out,
// although nobody allocates anything any more.
func TestMemoryGivenBack(t *testing.T) {
	r := start(t, Options{Limits: Limits{MemoryHigh: -1}}, member{address: newEchoer(t, "east").address()})
	debug.FreeOSMemory()
	const size = 256 << 20
	rush := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		rush[i] = 1
	}
	r.change(func(o *Options) { o.Limits.MemoryHigh = residentMemory() - size/4 })
	until(t, "it to be short of memory", r.memory.short.Load)
	r.ask(goodHead).refusedBy(t, 503)
	runtime.KeepAlive(rush)
	if !within(patience/2, func() bool { return !r.memory.short.Load() }) {
		t.Fatalf("still short of memory: %d MiB in use", residentMemory()>>20)
	}
	c := r.ask(goodHead)
	c.upgraded()
	c.Close()
}

// TestShortOfMemoryAtOnce: who comes when memory is short is not heard out first,
// and who has not said all does not get room for more.
func TestShortOfMemoryAtOnce(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	s := newEchoer(t, "east")
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls ", secure), func(t *testing.T) {
			r := prepare(t, Options{Limits: Limits{MemoryHigh: 1 << 40}}, member{address: s.address()})
			if secure {
				r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			r.begin()
			config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
			slow := r.dial()
			var out io.Writer = slow
			if secure {
				c := tls.Client(slow.TCPConn, config)
				slow.in = bufio.NewReader(c)
				out = c
			}
			more := "X-More: " + strings.Repeat("a", firstHead) + "\r\n"
			if _, err := io.WriteString(out, "GET /chat HTTP/1.1\r\nX-First: 1\r\n"); err != nil {
				t.Fatal(err)
			}
			until(t, "it to be heard", func() bool { return r.counters.atGate.Load() == 1 })
			r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
			until(t, "it to be short of memory", r.memory.short.Load)
			_, _ = io.WriteString(out, more) // it may have been refused already
			slow.refusedBy(t, 503)
			late := r.dial() // says nothing
			if secure {
				late.gone()
			} else {
				late.refusedBy(t, 503)
			}
			until(t, "both to be counted", func() bool { return r.Refusals()["no_memory"] == 2 })
			slow.Close()
			late.Close()
		})
	}
}

// TestResidentMemory: what is used is seen.
func TestResidentMemory(t *testing.T) {
	const size = 64 << 20
	// What earlier tests have left may be given back meanwhile, so that once is not enough.
	for attempt := 1; ; attempt++ {
		debug.FreeOSMemory()
		before := residentMemory()
		if before < 1<<20 {
			t.Fatalf("%d bytes", before)
		}
		b := make([]byte, size)
		for i := 0; i < size; i += 4096 {
			b[i] = 1
		}
		now := residentMemory()
		runtime.KeepAlive(b)
		if now >= before+size/2 {
			return
		}
		if attempt == 20 {
			t.Fatalf("%d bytes, %d before %d more were used", now, before, size)
		}
	}
}
