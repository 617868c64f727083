package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/bench/internal/echo"
	"github.com/pointsman/pointsman/bench/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient runs the tests and gives the goroutines that are about to end the time for it. Those that stay are for goleak to
// report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	// Each look takes a while when it finds some.
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

func serve(t *testing.T) string {
	t.Helper()
	s, err := echo.Listen("127.0.0.1:0", 1, "", nil)
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

// untilEnough repeats a run with longer and longer intervals until it has seen enough, for ten seconds at most: on a busy
// machine a short interval may be over before anything has happened.
func untilEnough(interval time.Duration, run func(time.Duration) (enough bool)) {
	for !run(interval) && interval < 10*time.Second {
		interval *= 4
	}
}

func TestRelay(t *testing.T) {
	addr := serve(t)
	for _, o := range []Options{
		{Connections: 1, Size: 1},
		{Connections: 20, Size: 125, Loops: 2},
		{Connections: 10, Size: 60_000},
		{Connections: 3, Size: 1 << 20},
	} {
		var calls []string
		o.Target = addr
		o.Warmup = 10 * time.Millisecond
		o.Begin = func() error { calls = append(calls, "begin"); return nil }
		o.End = func() error { calls = append(calls, "end"); return nil }
		var got Result
		var err error
		untilEnough(150*time.Millisecond, func(interval time.Duration) bool {
			calls, o.Duration = nil, interval
			got, err = Relay(t.Context(), o)
			return err != nil || got.Errors.Total() != 0 || got.Done > 0
		})
		if err != nil {
			t.Fatalf("size %d: %v", o.Size, err)
		}
		if got.Errors.Total() != 0 || got.Done == 0 {
			t.Errorf("size %d: %d round trips, errors %+v", o.Size, got.Done, got.Errors)
		}
		if l := got.Latency; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
			t.Errorf("size %d: latency %+v", o.Size, l)
		}
		if s := strings.Join(calls, " "); s != "begin end" {
			t.Errorf("size %d: calls %q", o.Size, s)
		}
	}
}

// Each interval counts by itself, between its calls of Begin and End.
func TestSeries(t *testing.T) {
	const intervals = 3
	var calls []string
	o := Options{Target: serve(t), Connections: 4, Loops: 2, Every: 5 * time.Millisecond, Duration: 100 * time.Millisecond}
	o.Begin = func() error { calls = append(calls, "begin"); return nil }
	o.End = func() error {
		calls = append(calls, "end")
		time.Sleep(100 * time.Millisecond) // what is sent now belongs to no interval
		return nil
	}
	var got []Result
	untilEnough(o.Duration, func(interval time.Duration) bool {
		calls, o.Duration = nil, interval
		var err error
		if got, err = Series(t.Context(), o, intervals); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(got, func(r Result) bool { return r.Done == 0 })
	})
	if s := strings.Join(calls, " "); s != "begin end begin end begin end" || len(got) != intervals {
		t.Fatalf("calls %q, %d results", s, len(got))
	}
	for i, r := range got {
		// A message may have begun before the interval: one for each session, and those that were late.
		most := int64(r.Seconds/o.Every.Seconds()+2) * int64(o.Connections)
		if r.Done == 0 || r.Done > most || r.Latency.Max == 0 || r.Errors.Total() != 0 || r.Seconds < o.Duration.Seconds() {
			t.Errorf("interval %d: %+v, want at most %d", i, r, most)
		}
	}
	o.End = func() error { return io.EOF }
	if got, err := Series(t.Context(), o, intervals); !errors.Is(err, io.EOF) || got != nil {
		t.Errorf("an error of End: %v, %v", got, err)
	}
}

// To open a session is no round trip.
func TestOpeningIsNotCounted(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for { // never an answer
			if _, _, err := c.Read(context.Background()); err != nil {
				break
			}
		}
		_ = c.CloseNow()
	}))
	defer s.Close()
	got, err := Relay(t.Context(), Options{Target: strings.TrimPrefix(s.URL, "http://"), Connections: 5, Duration: 50 * time.Millisecond})
	if err != nil || got.Done != 0 || got.Latency.Max != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHandshakes(t *testing.T) {
	addr := serve(t)
	var got Result
	var err error
	untilEnough(100*time.Millisecond, func(interval time.Duration) bool {
		got, err = Handshakes(t.Context(), Options{Target: addr, Opening: 8, Duration: interval, Path: "/a?b=c"})
		return err != nil || got.Errors.Total() != 0 || got.Done > 0 && got.CPUSeconds > 0
	})
	if err != nil || got.Errors.Total() != 0 || got.Done == 0 || got.CPUSeconds <= 0 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Handshakes(t.Context(), Options{Target: addr, Opening: 2, Duration: time.Minute, Count: 50})
	if err != nil || got.Done < 50 || got.Seconds > 30 {
		t.Errorf("with a count: %+v, %v", got, err)
	}
}

func TestIdle(t *testing.T) {
	var held bool
	got, err := Idle(t.Context(), Options{Target: serve(t), Connections: 300, Opening: 7, Loops: 3}, func(context.Context) error {
		held = true
		return nil
	})
	if err != nil || got.Done != 300 || got.Errors.Total() != 0 || !held {
		t.Errorf("%+v, %v, held %v", got, err, held)
	}
	cause := errors.New("enough")
	if _, err := Idle(t.Context(), Options{Target: serve(t)}, func(context.Context) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("error %v, want the one of hold", err)
	}
}

// server is a WebSocket server that treats each session as serve says.
func server(t *testing.T, serve func(context.Context, *websocket.Conn)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		c.SetReadLimit(-1)
		defer func() { _ = c.CloseNow() }()
		serve(r.Context(), c)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// What differs from the message sent must be an error, or no figure could be trusted.
func TestErrorsAreSeen(t *testing.T) {
	f := func(name string, want Errors, size int, answer func(context.Context, *websocket.Conn, []byte) error) {
		t.Helper()
		addr := server(t, func(ctx context.Context, c *websocket.Conn) {
			for {
				_, b, err := c.Read(ctx)
				if err != nil || answer(ctx, c, b) != nil {
					return
				}
			}
		})
		var got Result
		var err error
		untilEnough(100*time.Millisecond, func(interval time.Duration) bool {
			o := Options{Target: addr, Size: size, Connections: 2, Duration: interval}
			if want.Stalled > 0 {
				o.Patience = interval / 5
			}
			got, err = Relay(t.Context(), o)
			return err == nil && got.Errors.Total() >= want.Total()
		})
		if err != nil || got.Errors != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got.Errors, err, want)
		}
	}
	write := func(ctx context.Context, c *websocket.Conn, b []byte) error {
		return c.Write(ctx, websocket.MessageBinary, b)
	}
	for _, size := range []int{1, 125, 60_000} {
		f("wrong first byte", Errors{Payload: 2}, size, func(ctx context.Context, c *websocket.Conn, b []byte) error {
			b[0] ^= 1
			return write(ctx, c, b)
		})
		f("wrong last byte", Errors{Payload: 2}, size, func(ctx context.Context, c *websocket.Conn, b []byte) error {
			b[len(b)-1] ^= 1
			return write(ctx, c, b)
		})
		f("short", Errors{Payload: 2}, size, func(ctx context.Context, c *websocket.Conn, b []byte) error {
			return write(ctx, c, b[1:])
		})
		f("long", Errors{Payload: 2}, size, func(ctx context.Context, c *websocket.Conn, b []byte) error {
			return write(ctx, c, append(b, 0))
		})
		f("twice", Errors{Payload: 2}, size, func(ctx context.Context, c *websocket.Conn, b []byte) error {
			if err := write(ctx, c, b); err != nil {
				return err
			}
			return write(ctx, c, b)
		})
		f("silence", Errors{Stalled: 2}, size, func(context.Context, *websocket.Conn, []byte) error { return nil })
		f("close", Errors{Closed: 2}, size, func(_ context.Context, c *websocket.Conn, _ []byte) error {
			return c.Close(websocket.StatusServiceRestart, "")
		})
	}
}

// Fragments, and pings between them, are no errors; the pong comes back between two messages.
func TestFragmentsAndPings(t *testing.T) {
	const size = 1000
	untilEnough(100*time.Millisecond, func(interval time.Duration) bool {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pongs := make(chan int, 1)
		go func() { pongs <- fragmentingServer(ln) }()
		got, err := Relay(t.Context(), Options{Target: ln.Addr().String(), Size: size, Duration: interval})
		enough := got.Done >= 2 || interval > 5*time.Second
		if err != nil || enough && got.Done < 2 || got.Errors != (Errors{}) {
			t.Errorf("%+v, %v", got, err)
		}
		_ = ln.Close()
		if n := <-pongs; int64(n) < got.Done-1 { // the RST at the end may overtake the last one
			t.Errorf("%d pongs for %d messages", n, got.Done)
		}
		return enough
	})
}

// fragmentingServer serves one client: it answers each message with an empty fragment, a ping and two more fragments, all
// cut into writes of seven bytes. It returns the number of right pongs.
func fragmentingServer(ln net.Listener) (pongs int) {
	c, err := ln.Accept()
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return 0
	}
	accept := frame.Accept([]byte(req.Header.Get("Sec-WebSocket-Key")))
	out := []byte("HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nSec-WebSocket-Accept: " + string(accept[:]) + "\r\n\r\n")
	put := func(op byte, fin bool, payload []byte) {
		var b [frame.MaxHeader]byte
		n := frame.Put(b[:], frame.Header{Fin: fin, Opcode: op, Length: len(payload)})
		out = append(append(out, b[:n]...), payload...)
	}
	for {
		for piece := range slices.Chunk(out, 7) {
			if _, err := c.Write(piece); err != nil {
				return pongs
			}
		}
		out = out[:0]
		var b [frame.MaxHeader]byte
		if _, err := io.ReadFull(in, b[:2]); err != nil {
			return pongs
		}
		rest := 4 // the mask
		if b[1]&0x7F == 126 {
			rest += 2
		}
		if _, err := io.ReadFull(in, b[2:2+rest]); err != nil {
			return pongs
		}
		h, _, err := frame.Parse(b[:2+rest])
		if err != nil {
			return pongs
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			return pongs
		}
		frame.Mask(payload, payload, h.Key)
		if h.Opcode == frame.Pong {
			if string(payload) == "still there?" {
				pongs++
			}
			continue
		}
		put(frame.Binary, false, nil)
		put(frame.Ping, true, []byte("still there?"))
		put(frame.Continuation, false, payload[:h.Length/3])
		put(frame.Continuation, true, payload[h.Length/3:])
	}
}

func TestRefusals(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	addr := refusing.Listener.Addr().String()
	if _, err := Relay(t.Context(), Options{Target: addr, Duration: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("relay to a server without WebSockets: error %v, want one with the status", err)
	}
	var got Result
	var err error
	untilEnough(50*time.Millisecond, func(interval time.Duration) bool {
		got, err = Handshakes(t.Context(), Options{Target: addr, Opening: 4, Duration: interval})
		return err != nil || got.Errors.Handshake > 0
	})
	if err != nil || got.Done != 0 || got.Errors.Handshake == 0 {
		t.Errorf("handshakes to a server without WebSockets: %+v, %v", got, err)
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = silent.Addr().String()
	untilEnough(600*time.Millisecond, func(interval time.Duration) bool {
		got, err = Handshakes(t.Context(), Options{Target: addr, Opening: 1, Duration: interval, Patience: time.Millisecond})
		return err != nil || got.Errors.Stalled > 0
	})
	if err != nil || got.Errors.Stalled == 0 {
		t.Errorf("handshakes to a silent server: %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Relay(ctx, Options{Target: addr}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled relay: %v", err)
	}
	_ = silent.Close()
	if _, err := Relay(t.Context(), Options{Target: addr}); err == nil {
		t.Error("relay to a closed port has no error")
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no target":            {},
		"name":                 {Target: "localhost:80"},
		"IPv6":                 {Target: "[::1]:80"},
		"too many connections": {Target: "127.0.0.1:1", Connections: 100_000},
		"negative":             {Target: "127.0.0.1:1", Opening: -1},
		"backwards":            {Target: "127.0.0.1:1", Every: -1},
		"endless":              {Target: "127.0.0.1:1", Duration: 100 * time.Hour},
		"path":                 {Target: "127.0.0.1:1", Path: "x"},
	} {
		if _, err := Relay(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
