package distance

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const roundTrip = 40 * time.Millisecond

// echo serves connections, one after the other, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

func way(t *testing.T, target string) *Way {
	t.Helper()
	w, err := Listen(t.Context(), target, roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func dial(t *testing.T, w *Way) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// From before it was opened, a connection has its first answer after two round trips, every other answer takes one. How much longer it
// takes on a busy machine does not matter.
func TestRoundTrips(t *testing.T) {
	w := way(t, echo(t))
	begun := time.Now()
	c := dial(t, w)
	buf := make([]byte, 4)
	for i, least := range []time.Duration{2 * roundTrip, roundTrip, roundTrip} {
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < least {
			t.Errorf("answer %d after %v, want at least %v", i+1, took, least)
		}
		begun = time.Now()
	}
}

// A connection that was opened earlier has its handshake behind it: what is sent after that takes one round trip, not two.
func TestOpenedEarlier(t *testing.T) {
	w := way(t, echo(t))
	least := time.Hour
	for deadline := time.Now().Add(time.Minute); least >= 2*roundTrip && time.Now().Before(deadline); {
		c := dial(t, w)
		opened := time.NewTimer(roundTrip)
		<-opened.C
		begun := time.Now()
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(begun))
		_ = c.Close()
	}
	if least < roundTrip || least >= 2*roundTrip {
		t.Errorf("at best %v, want one round trip of %v", least, roundTrip)
	}
}

// Everything arrives in order, and the end behind it.
func TestAllArrives(t *testing.T) {
	c := dial(t, way(t, echo(t)))
	want := []byte(strings.Repeat("far away ", 300_000))
	go func() {
		_, _ = c.Write(want)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

func TestEnds(t *testing.T) {
	// The connect may already notice.
	w := way(t, "127.0.0.1:1")
	if c, err := net.Dial("tcp", w.Addr()); err == nil {
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes from nobody", n)
		}
		_ = c.Close()
	}
	w = way(t, echo(t))
	c := dial(t, w)
	if _, err := io.WriteString(c, "ping"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.Close()
	if n, err := io.ReadFull(c, make([]byte, 4)); err == nil {
		t.Errorf("%d bytes after the end", n)
	}
}
