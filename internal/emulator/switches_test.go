package emulator

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

// post calls a control and fails the test unless it answers 200.
func post(t *testing.T, e *Emulator, control string) State {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, e.ControlURL()+"/control/"+control, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s State
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || resp.StatusCode != 200 {
		t.Fatalf("POST %s: %s, %v", control, resp.Status, err)
	}
	return s
}

func TestRefuseKeepsSessions(t *testing.T) {
	e := start(t, Options{Control: "127.0.0.1:0"})
	before := e.Addr()
	c, _ := dial(t, e, "/", nil)
	checkEcho(t, c, websocket.MessageText, []byte("before"))

	if s := post(t, e, "refuse"); s.Mode != ModeRefuse {
		t.Errorf("mode %q, want refuse", s.Mode)
	}
	if _, _, err := tryDial(t, e, "/", nil); err == nil {
		t.Fatal("dial succeeded while connections are refused")
	}
	checkEcho(t, c, websocket.MessageText, []byte("meanwhile"))

	post(t, e, "ok")
	if e.Addr() != before {
		t.Errorf("address changed from %s to %s", before, e.Addr())
	}
	c2, _ := dial(t, e, "/", nil)
	checkEcho(t, c2, websocket.MessageText, []byte("after"))
}

func TestRefuseCutsSessions(t *testing.T) {
	e := start(t, Options{Control: "127.0.0.1:0"})
	c, _ := dial(t, e, "/", nil)
	checkEcho(t, c, websocket.MessageText, []byte("before"))
	post(t, e, "refuse?sessions=cut")
	if got := readCode(t, c); got != -1 {
		t.Errorf("session ended with code %d, want no Close frame", got)
	}
}

func TestRefuseEndsKeptConnections(t *testing.T) {
	e := start(t, Options{})
	keeping := &http.Client{Transport: &http.Transport{}}
	defer keeping.CloseIdleConnections()
	resp, err := keeping.Get("http://" + e.Addr() + healthPath)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := e.Refuse(false); err != nil {
		t.Fatal(err)
	}
	if resp, err := keeping.Get("http://" + e.Addr() + healthPath); err == nil {
		resp.Body.Close()
		t.Error("health was answered over a kept connection while the port is closed")
	}
	if err := e.Restore(); err != nil {
		t.Fatal(err)
	}
}

// The control shares the listener here: its own answer must still arrive.
func TestResetOverSharedListener(t *testing.T) {
	e := start(t, Options{})
	c, _ := dial(t, e, "/", nil)
	checkEcho(t, c, websocket.MessageText, []byte("before"))
	if s := post(t, e, "reset"); s.Mode != ModeReset {
		t.Errorf("mode %q, want reset", s.Mode)
	}
	if got := readCode(t, c); got != -1 {
		t.Errorf("session ended with code %d, want no Close frame", got)
	}
	if _, _, err := tryDial(t, e, "/", nil); err == nil {
		t.Fatal("dial succeeded while connections are reset")
	}
	if err := e.Serve(); err != nil {
		t.Fatal(err)
	}
	dial(t, e, "/", nil)
}

func TestEveryModeFollowsEveryMode(t *testing.T) {
	e := start(t, Options{})
	enter := map[Mode]func() error{
		ModeOK:     e.Serve,
		ModeRefuse: func() error { return e.Refuse(true) },
		ModeHang:   e.Hang,
		ModeReset:  e.Reset,
	}
	for from, enterFrom := range enter {
		for to, enterTo := range enter {
			if err := enterFrom(); err != nil {
				t.Fatalf("enter %s: %v", from, err)
			}
			if err := enterTo(); err != nil {
				t.Fatalf("%s to %s: %v", from, to, err)
			}
			if got := e.State().Mode; got != to {
				t.Errorf("%s to %s: mode is %s", from, to, got)
			}
			if err := e.Serve(); err != nil {
				t.Fatalf("leave %s: %v", to, err)
			}
			dial(t, e, "/", nil)
		}
	}
}

func TestFailedHandshakes(t *testing.T) {
	e := start(t, Options{Name: "east"})
	post(t, e, "handshake?status=502&share=0.3")
	refused := 0
	for range 10 {
		if _, resp, err := tryDial(t, e, "/", nil); err != nil {
			if resp == nil || resp.StatusCode != 502 {
				t.Fatalf("dial: %v, want status 502", err)
			}
			refused++
		}
	}
	if refused != 3 {
		t.Errorf("%d of 10 handshakes refused, want 3", refused)
	}
	if s := e.State(); s.Handshakes != (HandshakeCounts{Total: 10, Refused: 3}) {
		t.Errorf("counts %+v", s.Handshakes)
	}
	if status, _, _ := get(t, "http://"+e.Addr()+healthPath); status != 200 {
		t.Errorf("health %d while handshakes fail, want 200", status)
	}
}

func TestRefusalIsSpreadEvenly(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1} {
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.FailHandshakes(503, share); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := 1; i <= 1000; i++ {
			if e.switches.refusal() != 0 {
				refused++
			}
			if d := float64(i)*share - float64(refused); d < -1e-6 || d >= 1 {
				t.Fatalf("share %v: %d of %d refused", share, refused, i)
			}
		}
	}
}
