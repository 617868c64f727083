package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// start runs an emulator until the test ends.
func start(t *testing.T, opts Options) *Emulator {
	t.Helper()
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e
}

// testContext bounds what should take milliseconds.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// client keeps no connections: an idle one would be a goroutine left over.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func tryDial(t *testing.T, e *Emulator, path string, opts *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	opts.HTTPClient = client
	c, resp, err := websocket.Dial(testContext(t), e.URL()+path, opts)
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
		c.SetReadLimit(-1)
	}
	return c, resp, err
}

func dial(t *testing.T, e *Emulator, path string, opts *websocket.DialOptions) (*websocket.Conn, *http.Response) {
	t.Helper()
	c, resp, err := tryDial(t, e, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c, resp
}

func checkEcho(t *testing.T, c *websocket.Conn, kind websocket.MessageType, message []byte) {
	t.Helper()
	ctx := testContext(t)
	if err := c.Write(ctx, kind, message); err != nil {
		t.Fatal(err)
	}
	gotKind, got, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if gotKind != kind || !bytes.Equal(got, message) {
		t.Fatalf("echo of %v, %d bytes: got %v, %d bytes, not the same", kind, len(message), gotKind, len(got))
	}
}

func readCode(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	_, _, err := c.Read(testContext(t))
	if err == nil {
		t.Fatal("read succeeded on a session that should have ended")
	}
	return websocket.CloseStatus(err)
}

func get(t *testing.T, url string) (status int, h http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestEcho(t *testing.T) {
	e := start(t, Options{Name: "east"})
	c, resp := dial(t, e, "/any/path?q=1", nil)
	if got := resp.Header.Get(NameHeader); got != "east" {
		t.Errorf("%s = %q, want east", NameHeader, got)
	}
	for _, m := range []struct {
		kind websocket.MessageType
		size int
	}{
		{websocket.MessageText, 0},
		{websocket.MessageText, 125},
		{websocket.MessageBinary, 126},
		{websocket.MessageBinary, 65535},
		{websocket.MessageText, 65536},
		{websocket.MessageBinary, keepBuffer * 4},
		{websocket.MessageText, 1},
	} {
		checkEcho(t, c, m.kind, bytes.Repeat([]byte{'a'}, m.size))
	}
	if s := e.State(); s.Messages != 7 || s.Sessions.Total != 1 || s.Sessions.Open != 1 || s.Handshakes.Total != 1 {
		t.Errorf("state after 7 messages in 1 session: %+v", s)
	}
}

func TestHandshakeChoices(t *testing.T) {
	e := start(t, Options{})
	tests := map[string]struct {
		opts           websocket.DialOptions
		wantProtocol   string
		wantExtensions string
	}{
		"nothing offered": {},
		"first subprotocol wins": {
			opts:         websocket.DialOptions{Subprotocols: []string{"json.reliable.webpubsub.azure.v1", "chat"}},
			wantProtocol: "json.reliable.webpubsub.azure.v1",
		},
		"compression with context takeover": {
			opts:           websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1},
			wantExtensions: "permessage-deflate",
		},
		"compression without": {
			opts:           websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1},
			wantExtensions: "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		},
		"foreign origin": {
			opts: websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, resp := dial(t, e, "/", &tt.opts)
			if got := c.Subprotocol(); got != tt.wantProtocol {
				t.Errorf("subprotocol %q, want %q", got, tt.wantProtocol)
			}
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != tt.wantExtensions {
				t.Errorf("extensions %q, want %q", got, tt.wantExtensions)
			}
			for range 3 {
				checkEcho(t, c, websocket.MessageText, []byte(strings.Repeat("again and ", 100)))
			}
		})
	}
}

func TestFirstOffered(t *testing.T) {
	h := http.Header{"Sec-Websocket-Protocol": {" , ", "b ,a", "c"}}
	if got := firstOffered(h); len(got) != 1 || got[0] != "b" {
		t.Errorf("firstOffered = %q, want b", got)
	}
}

func TestPlainRequests(t *testing.T) {
	e := start(t, Options{Name: "west"})
	base := "http://" + e.Addr()
	status, h, body := get(t, base+healthPath)
	if status != 200 || body != "OK\n" || h.Get(NameHeader) != "west" {
		t.Errorf("health: %d %q from %q", status, body, h.Get(NameHeader))
	}
	if status, _, _ := get(t, base+"/chat"); status != http.StatusUpgradeRequired {
		t.Errorf("plain GET: %d, want 426", status)
	}
}

func TestBadMessages(t *testing.T) {
	e := start(t, Options{MaxMessage: 1000})
	tests := map[string]struct {
		kind    websocket.MessageType
		message []byte
		want    websocket.StatusCode
	}{
		"text that is not UTF-8": {websocket.MessageText, []byte("\xff\xfe"), websocket.StatusInvalidFramePayloadData},
		"above the limit":        {websocket.MessageBinary, make([]byte, 1001), websocket.StatusMessageTooBig},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := dial(t, e, "/", nil)
			checkEcho(t, c, websocket.MessageBinary, []byte("\xff\xfe"))
			checkEcho(t, c, websocket.MessageBinary, make([]byte, 1000))
			if err := c.Write(testContext(t), tt.kind, tt.message); err != nil {
				t.Fatal(err)
			}
			if got := readCode(t, c); got != tt.want {
				t.Errorf("close code %d, want %d", got, tt.want)
			}
		})
	}
}

func TestStopSaysGoingAway(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	codes := make(chan websocket.StatusCode, 3)
	for range cap(codes) {
		c, _ := dial(t, e, "/", nil)
		checkEcho(t, c, websocket.MessageText, []byte("hello"))
		go func() {
			_, _, err := c.Read(context.Background())
			codes <- websocket.CloseStatus(err)
		}()
	}
	stop()
	for range cap(codes) {
		if got := <-codes; got != websocket.StatusGoingAway {
			t.Errorf("close code %d, want 1001", got)
		}
	}
	if s := e.State(); s.Sessions.Open != 0 {
		t.Errorf("%d sessions left after stop", s.Sessions.Open)
	}
	stop() // twice is fine
	if _, _, err := tryDial(t, e, "/", nil); err == nil {
		t.Error("dial succeeded after stop")
	}
	if err := e.Refuse(false); err != nil {
		t.Errorf("refuse after stop: %v", err)
	}
	if err := e.Restore(); !errors.Is(err, ErrClosed) {
		t.Errorf("restore after stop: %v, want ErrClosed", err)
	}
}

func TestStopCutsSilentClient(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the close grace")
	}
	took := stopWithSilentClient(t)
	// A machine that stands still makes it late, and seldom so every time.
	for try := 1; took > 2*closeGrace && try < 5; try++ {
		took = stopWithSilentClient(t)
	}
	if took > 2*closeGrace {
		t.Errorf("stop took %s with a silent client, want the grace of %s", took, closeGrace)
	}
}

// stopWithSilentClient returns how long an emulator takes to stop, which must be
// the grace at least.
func stopWithSilentClient(t *testing.T) (took time.Duration) {
	t.Helper()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dial(t, e, "/", nil) // never reads, so never answers the Close frame
	// The 101 is out before the session is counted.
	for deadline := time.Now().Add(time.Minute); e.State().Sessions.Open == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the session does not count within a minute")
		}
		runtime.Gosched()
	}
	began := time.Now()
	stop()
	if took = time.Since(began); took < closeGrace {
		t.Errorf("stop took %s with a silent client, want the grace of %s", took, closeGrace)
	}
	return took
}

func TestRunOnce(t *testing.T) {
	e := start(t, Options{})
	// Start's Run may not have begun yet: the session proves that it has.
	dial(t, e, "/", nil)
	if err := e.Run(t.Context()); err == nil {
		t.Error("second Run returned nil")
	}
	other, err := New(Options{Listen: e.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil {
		t.Error("Run on a port in use returned nil")
	}
	withControl, err := New(Options{Control: e.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := withControl.Listen(); err == nil {
		t.Error("Listen with the control port in use returned nil")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"name with line break": {Name: "a\r\nb"},
		"address without port": {Listen: "127.0.0.1"},
		"control without port": {Control: "127.0.0.1"},
		"negative limit":       {MaxMessage: -1},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: New returned nil", name)
		}
	}
}

func TestURLOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9001": "ws://127.0.0.1:9001",
		"[::]:9001":      "ws://127.0.0.1:9001",
		"0.0.0.0:9001":   "ws://127.0.0.1:9001",
		"[::1]:9001":     "ws://[::1]:9001",
		"":               "",
	} {
		if got := urlOf("ws", addr); got != want {
			t.Errorf("urlOf(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestPortIsTakenBack(t *testing.T) {
	d := newDoor()
	if err := d.open("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// A connection keeps the port from being given to a process that asks for any.
	client, err := net.Dial("tcp", d.address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	inside, err := d.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	if err := d.shut(); err != nil {
		t.Fatal(err)
	}
	// Somebody else sits on the port for a moment.
	other, err := net.Listen("tcp", d.address())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { other.Close() })
	if err := d.reopen(); err != nil {
		t.Fatalf("reopen: %v", err)
	}
}
