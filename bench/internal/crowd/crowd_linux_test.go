package crowd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/bench/internal/echo"
	"github.com/pointsman/pointsman/bench/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test. No test waits for it to pass.
const patience = time.Minute

func echoes(t *testing.T, name string) string {
	t.Helper()
	s, err := echo.Listen("127.0.0.1:0", 1, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("echo: %v", err)
		}
	})
	return s.Addr()
}

func await(t *testing.T, c *Crowd, met func(*Tally) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Await(ctx, met); err != nil {
		t.Fatalf("%v; events %+v", err, c.Events())
	}
}

func TestEcho(t *testing.T) {
	addr := echoes(t, "east")
	c, err := Gather(t.Context(), Options{Target: addr, Clients: 301, Active: 40, Period: 5 * time.Millisecond, Loops: 3, Opening: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disperse()
	for c.Echoes() < 1000 {
		if events := c.Events(); len(events) != 301 {
			t.Fatalf("%+v", events[301:])
		}
		time.Sleep(time.Millisecond)
	}
	await(t, c, func(t *Tally) bool { return t.Open == 301 && t.At["east"] == 301 })
	c.Disperse()
	seen := make(map[int]bool)
	for _, e := range c.Events() {
		if e.Kind != Opened || e.Where != "east" || e.Took <= 0 || seen[e.Client] {
			t.Errorf("%+v", e)
		}
		seen[e.Client] = true
	}
	if err := c.Await(t.Context(), func(*Tally) bool { return false }); err == nil {
		t.Error("a dispersed crowd is awaited in vain")
	}
}

// In a rush some get a session, some are refused, some find nobody; each tries once.
func TestRush(t *testing.T) {
	addr := server(t, func(c net.Conn, in *bufio.Reader, n int) {
		switch n % 3 {
		case 0:
			welcome(c, in, "")
			_, _ = in.ReadByte() // until the crowd is dispersed
		case 1:
			if _, err := http.ReadRequest(in); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	const clients = 60
	c, err := Rush(t.Context(), Options{Target: addr, Clients: clients, Opening: 2, Loops: 2, Return: true, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disperse()
	await(t, c, func(t *Tally) bool {
		return t.Open == clients/3 && t.Of[Opened] == clients/3 && t.Of[Refused] == clients/3 && t.Of[Failed] == clients/3
	})
	c.Disperse()
	seen := make(map[int]bool)
	for _, e := range c.Events() {
		if seen[e.Client] {
			t.Errorf("more than one try: %+v", e)
		}
		seen[e.Client] = true
	}
	if len(seen) != clients {
		t.Errorf("%d of %d have tried", len(seen), clients)
	}
}

// server is a WebSocket server of one line: it answers each handshake, and then does with the n-th connection what the
// script says. The connection is closed with a FIN when the script returns.
func server(t *testing.T, script func(c net.Conn, in *bufio.Reader, n int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var conns sync.Map
	t.Cleanup(func() {
		_ = ln.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		group.Wait()
	})
	group.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			group.Go(func() {
				defer func() { _ = c.Close() }()
				script(c, bufio.NewReader(c), n)
			})
		}
	})
	return ln.Addr().String()
}

// welcome answers the handshake.
func welcome(c net.Conn, in *bufio.Reader, rest string) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	accept := frame.Accept([]byte(req.Header.Get("Sec-WebSocket-Key")))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"%s: west\r\nSec-WebSocket-Accept: %s\r\n\r\n%s", echo.NameHeader, accept[:], rest)
}

// linger reads until the client ends the connection.
func linger(in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }

// Each way in which a session can end is one event, told apart from the others.
func TestEnds(t *testing.T) {
	const moved = "\x88\x0a\x03\xf4moved on" // Close 1012
	for name, row := range map[string]struct {
		script func(c net.Conn, in *bufio.Reader)
		want   []Event
	}{
		"close": {
			func(c net.Conn, in *bufio.Reader) {
				welcome(c, in, moved)
				h, size := next(in)
				for size > 2 { // a message of before
					h, size = next(in)
				}
				if size >= 0 && (h.Opcode != frame.Close || size != 2) { // else a reset was faster
					t.Errorf("the Close frame was answered with %+v", h)
				}
			},
			[]Event{{Kind: Closed, Where: "west", Code: 1012, Reason: "moved on"}},
		},
		"close without code, in pieces": {
			func(c net.Conn, in *bufio.Reader) {
				welcome(c, in, "\x88")
				_, _ = c.Write([]byte{0})
				linger(in)
			},
			[]Event{{Kind: Closed, Where: "west", Code: 1005}},
		},
		"close with a message under way": {
			func(c net.Conn, in *bufio.Reader) {
				welcome(c, in, "")
				_, _ = next(in)
				_, _ = c.Write([]byte(moved))
				_, _ = next(in)
			},
			[]Event{{Kind: Closed, Where: "west", Code: 1012, Reason: "moved on", Pending: true}},
		},
		"a frame after the close": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, moved+"\x82\x00"); linger(in) },
			[]Event{{Kind: Closed, Where: "west", Code: 1012, Reason: "moved on"}, {Kind: Broken, Where: "west", Reason: "a frame after the Close frame"}},
		},
		"no close": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, "\x89\x00"); _, _ = next(in) }, // a Ping, and its Pong
			[]Event{{Kind: Lost, Where: "west", Reason: "ended by the other side"}},
		},
		"inside of a frame": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, moved[:7]) },
			[]Event{{Kind: Lost, Where: "west", Reason: "ended by the other side", Partial: true}},
		},
		"reset": {
			func(c net.Conn, in *bufio.Reader) {
				welcome(c, in, "")
				_, _ = next(in)
				_ = c.(*net.TCPConn).SetLinger(0)
			},
			[]Event{{Kind: Lost, Where: "west", Reason: "connection reset by peer", Pending: true}},
		},
		"a message that nobody asked for": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, "\x82\x01a"); linger(in) },
			[]Event{{Kind: Broken, Where: "west", Reason: "wrong echo"}},
		},
		"a masked frame": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, "\x82\x80\x00\x00\x00\x00"); linger(in) },
			[]Event{{Kind: Broken, Where: "west", Reason: "invalid frame"}},
		},
		"silence": {
			func(c net.Conn, in *bufio.Reader) { welcome(c, in, ""); linger(in) },
			[]Event{{Kind: Stalled, Where: "west", Reason: "no echo in time"}},
		},
		"a wrong echo": {
			func(c net.Conn, in *bufio.Reader) {
				welcome(c, in, "")
				_, size := next(in)
				_, _ = c.Write(append([]byte{0x82, byte(size)}, make([]byte, size)...))
				linger(in)
			},
			[]Event{{Kind: Broken, Where: "west", Reason: "wrong echo"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr := server(t, func(c net.Conn, in *bufio.Reader, _ int) { row.script(c, in) })
			o := Options{Target: addr, Active: 1, Size: 16, Period: time.Millisecond, Patience: 5 * time.Second}
			switch name {
			case "silence":
				o.Patience = 300 * time.Millisecond // enough for the handshake
			case "no close", "inside of a frame":
				o.Active = 0 // a message under way would turn the end into a reset
			}
			c, err := begin(o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Disperse()
			c.send()
			await(t, c, func(t *Tally) bool { return sum(t.Of) == 1+len(row.want) && t.Open == 0 })
			// Whether the first message was sent before the end is a matter of the scheduler.
			ignore := cmpopts.IgnoreFields(Event{}, "At", "Took")
			got := c.Events()[1:]
			for i := range got {
				if !strings.Contains(name, "message under way") && name != "reset" {
					got[i].Pending = false
				}
			}
			if diff := cmp.Diff(row.want, got, ignore); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// next reads a client's frame of at most 125 bytes.
func next(in *bufio.Reader) (frame.Header, int) {
	head, err := in.Peek(6)
	if err != nil {
		return frame.Header{}, -1
	}
	h, size, err := frame.Parse(head)
	if err != nil || size != 6 {
		return frame.Header{}, -1
	}
	_, _ = in.Discard(size + h.Length)
	return h, h.Length
}

// A client comes back: at once after a Close, after Retry-After when it was told to.
func TestReturn(t *testing.T) {
	addr := server(t, func(c net.Conn, in *bufio.Reader, n int) {
		switch {
		case n < 20:
			welcome(c, in, "")
			if n%2 == 0 {
				_, _ = c.Write([]byte("\x88\x02\x03\xf4"))
				linger(in)
			} else {
				time.Sleep(time.Millisecond)
			}
		case n == 25:
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nConnection: close\r\n\r\nlater")
		case n == 26:
			_, _ = http.ReadRequest(in) // and then nothing
		default:
			welcome(c, in, "")
			linger(in)
		}
	})
	c, err := begin(Options{Target: addr, Clients: 20, Opening: 20, Return: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Disperse()
	await(t, c, func(t *Tally) bool { return t.Open == 20 && t.Of[Opened] == 40 })
	byClient := make(map[int][]Event)
	for _, e := range c.Events() {
		byClient[e.Client] = append(byClient[e.Client], e)
	}
	for i, events := range byClient {
		for j, e := range events {
			if e.Kind != Refused {
				continue
			}
			if e.Code != 503 || e.Reason != "1" {
				t.Errorf("client %d: %+v", i, e)
			}
			if back := events[j+1]; back.At-back.Took-e.At < time.Second {
				t.Errorf("client %d was told to come after a second and came after %v", i, back.At-back.Took-e.At)
			}
		}
	}
	c.Disperse()
	want := map[Kind]int{Opened: 40, Closed: 10, Lost: 10, Refused: 1, Failed: 1}
	if diff := cmp.Diff(want, c.tally.Of); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestActive(t *testing.T) {
	for _, row := range []struct{ active, n int }{{0, 5}, {1, 5}, {5, 5}, {250, 5000}, {7, 100}} {
		count, longest, last := 0, 0, -1
		for i := range row.n {
			if Active(i, row.active, row.n) {
				count++
				longest = max(longest, i-last)
				last = i
			}
		}
		if count != row.active || row.active > 0 && longest > (row.n+row.active-1)/row.active {
			t.Errorf("%d of %d: %d, %d apart", row.active, row.n, count, longest)
		}
	}
}

func TestGatherRefuses(t *testing.T) {
	full := server(t, func(c net.Conn, in *bufio.Reader, n int) {
		if n < 3 {
			welcome(c, in, "")
			linger(in)
			return
		}
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(c, "HTTP/1.1 503 Full\r\n\r\n")
	})
	for name, row := range map[string]struct {
		o    Options
		want string
	}{
		"a full server":   {Options{Target: full, Clients: 5}, "refused 503"},
		"nobody there":    {Options{Target: "127.0.0.1:1"}, "failed"},
		"a name":          {Options{Target: "localhost:80"}, "target"},
		"too many":        {Options{Target: full, Clients: 10_000}, "clients is 10000"},
		"too many active": {Options{Target: full, Clients: 5, Active: 6}, "active is 6"},
		"short messages":  {Options{Target: full, Size: 8}, "size is 8"},
		"no path":         {Options{Target: full, Path: "chat"}, `path "chat"`},
		"no patience":     {Options{Target: full, Patience: -1}, "patience"},
	} {
		if c, err := Gather(t.Context(), row.o); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, %v; want %q", name, c, err, row.want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	mute := server(t, func(_ net.Conn, in *bufio.Reader, _ int) { linger(in) })
	if _, err := Gather(ctx, Options{Target: mute, Clients: 2}); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
}
