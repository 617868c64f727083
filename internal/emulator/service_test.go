package emulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// greeter is a service that says its path, and good-bye.
type greeter struct {
	ended chan struct{}
	err   error
}

func (g *greeter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	_ = c.Write(context.Background(), websocket.MessageText, []byte(r.URL.Path))
	ctx := c.CloseRead(context.Background())
	select {
	case <-g.ended:
		_ = c.Close(websocket.StatusGoingAway, "greeter")
	case <-ctx.Done():
	}
}

func (g *greeter) Run(ctx context.Context) error {
	<-ctx.Done()
	close(g.ended)
	return g.err
}

func newGreeter() *greeter { return &greeter{ended: make(chan struct{})} }

// TestService: it gets what is neither a health check nor a control; sessions are booked, and the switches are before it.
func TestService(t *testing.T) {
	e := start(t, Options{Name: "east", Service: newGreeter(), HealthPaths: []string{"/api/health", "/api/v1/health"}})
	base := "http://" + e.Addr()
	for path, want := range map[string]string{
		"/api/health": "OK\n", "/api/v1/health": "OK\n", "/api/hubs": "GET /api/hubs", "/control": "GET /control",
	} {
		if status, h, body := get(t, base+path); status != 200 || body != want || h.Get(NameHeader) != "east" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	c, _ := dial(t, e, "/client", nil)
	if _, data, err := c.Read(testContext(t)); err != nil || string(data) != "/client" {
		t.Fatalf("%q, %v", data, err)
	}
	if s := e.State(); s.Sessions.Open != 1 || s.Sessions.Total != 1 || s.Handshakes.Total != 1 {
		t.Errorf("one session: %+v", s)
	}
	post(t, e, "handshake?status=503")
	if _, resp, err := tryDial(t, e, "/client", nil); resp == nil || resp.StatusCode != 503 {
		t.Errorf("%v, want 503", err)
	}
	post(t, e, "health?status=500")
	if status, _, _ := get(t, base+"/api/v1/health"); status != 500 {
		t.Errorf("health: %d, want 500", status)
	}
	post(t, e, "ok")
	post(t, e, "refuse?sessions=cut")
	if _, _, err := c.Read(testContext(t)); err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("cut session: %v, want an end without Close frame", err)
	}
	if s := e.State(); s.Sessions.Open != 0 || s.Handshakes.Refused != 1 {
		t.Errorf("no session, one refused: %+v", s)
	}
}

// TestServiceEnds: the end of Run is the service's, too, and its error is not lost.
func TestServiceEnds(t *testing.T) {
	g := newGreeter()
	g.err = errors.New("books do not balance")
	e, err := New(Options{Service: g})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	c, _ := dial(t, e, "/", nil)
	if _, _, err := c.Read(testContext(t)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if code := readCode(t, c); code != websocket.StatusGoingAway {
		t.Errorf("code %d, want 1001", code)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "balance") {
		t.Errorf("Run: %v", err)
	}
}
