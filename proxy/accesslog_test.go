package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/proxy/relay"
)

// slowHandler takes a second for each record.
type slowHandler struct{ slog.Handler }

func (h slowHandler) Handle(ctx context.Context, r slog.Record) error {
	time.Sleep(time.Second) // virtual
	return h.Handler.Handle(ctx, r)
}

func record(l *accessLog, path string) {
	l.write(accessRecord{netip.MustParseAddr("192.0.2.7"), path, "east", relay.End{
		Cause: relay.ClientClosed, Code: 1000, Duration: time.Minute,
		Client: relay.Traffic{Bytes: 10, Messages: 2}, Upstream: relay.Traffic{Bytes: 30, Messages: 4},
	}, nil})
}

// TestAccessLog checks a record, and that those which wait when the router ends
// are written.
func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newAccessLog(slog.New(slog.NewTextHandler(&out, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx) }()
		record(l, "/first")
		synctest.Wait()
		want := `level=INFO msg=session client=192.0.2.7 path=/first upstream=east duration=1m0s cause="client closed" code=1000 ` +
			"client_bytes=10 client_messages=2 upstream_bytes=30 upstream_messages=4\n"
		if got := out.String(); !strings.HasSuffix(got, want) {
			t.Errorf("got  %swant %s", got, want)
		}
		l.write(accessRecord{netip.MustParseAddr("192.0.2.7"), "/fast", "east", relay.End{
			Cause: relay.Exceeded, Code: 1008, Reason: "too many messages per second", Duration: time.Minute, Slowed: time.Second,
		}, nil})
		synctest.Wait()
		want = `path=/fast upstream=east duration=1m0s cause="rate exceeded" code=1008 reason="too many messages per second" ` +
			"client_bytes=0 client_messages=0 upstream_bytes=0 upstream_messages=0 slowed=1s\n"
		if got := out.String(); !strings.HasSuffix(got, want) {
			t.Errorf("got  %swant %s", got, want)
		}
		cancel()
		record(l, "/second")
		record(l, "/third")
		<-done
		if got := out.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "/third") {
			t.Errorf("got %s", got)
		}
	})
}

// TestSlowAccessLog: whoever writes a record never waits; what is too much is
// dropped and counted.
func TestSlowAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newAccessLog(slog.New(slowHandler{slog.NewTextHandler(&out, nil)}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx) }()
		record(l, "/taken")
		synctest.Wait() // in the hands of the handler
		began := time.Now()
		for range accessQueue + 7 {
			record(l, "/queued")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("writing took %v", took)
		}
		if n := l.dropped.Load(); n != 7 {
			t.Errorf("%d records dropped, want 7", n)
		}
		cancel()
		<-done
		if n := strings.Count(out.String(), "\n"); n != accessQueue+1 {
			t.Errorf("%d records written", n)
		}
	})
}

// TestNoAccessLog: without a logger there is nothing to run.
func TestNoAccessLog(t *testing.T) {
	l := newAccessLog(nil)
	if l != nil {
		t.Fatalf("got %v", l)
	}
	l.run(t.Context())
}

// TestAccessOfSession checks what the log learns of a real session. The query,
// where tokens stand, is not in it.
func TestAccessOfSession(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	var out bytes.Buffer
	r := start(t, Options{AccessLogger: slog.New(slog.NewTextHandler(&out, nil))}, member{address: s.address()})
	c := r.ask(asking("/chat/room?access_token=secret"))
	c.upgraded()
	u := s.session()
	echoes(t, c, u, 3)
	c.send(masked(closeFrame, status(3001, "secret reason")))
	u.wantsClose(3001)
	u.send(plain(closeFrame, status(3001, "")))
	c.wantsClose(3001)
	c.Close()
	u.Close()
	r.stop() // which writes what waits
	got := out.String()
	for _, part := range []string{" client=127.0.0.1 ", " path=/chat/room ", " upstream=east ", ` cause="client closed" `, " code=3001 ", " client_messages=3 ", " upstream_messages=3"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in %s", part, got)
		}
	}
	if strings.Contains(got, "secret") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %s", got)
	}
}
