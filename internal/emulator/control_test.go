package emulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// answered runs one request against the client handler and reports through the
// channel when it was answered, and with which status.
func answered(e *Emulator, path string) <-chan int {
	done := make(chan int, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- 0 // aborted without an answer
			}
		}()
		w := httptest.NewRecorder()
		e.dataHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		done <- w.Code
	}()
	return done
}

func control(t *testing.T, e *Emulator, path string) State {
	t.Helper()
	w := httptest.NewRecorder()
	e.controlHandler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/control/"+path, nil))
	if w.Code != 200 {
		t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
	var s State
	if err := json.NewDecoder(w.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func newUnbound(t *testing.T) *Emulator {
	t.Helper()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHangHoldsRequestsUntilServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newUnbound(t)
		control(t, e, "hang")
		done := answered(e, healthPath)
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case status := <-done:
			t.Fatalf("answered %d while hanging", status)
		default:
		}
		control(t, e, "slow?delay=5m") // an unrelated change does not let it go
		synctest.Wait()
		began := time.Now()
		control(t, e, "ok")
		if status := <-done; status != 200 {
			t.Errorf("answered %d once served, want 200", status)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("answered %s after ok, want at once", took)
		}
	})
}

func TestHangEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newUnbound(t)
		control(t, e, "hang")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.awaitAnswer(ctx); err == nil {
			t.Error("awaitAnswer returned nil while hanging")
		}
		aborted := answered(e, healthPath)
		synctest.Wait()
		close(e.closing)
		if status := <-aborted; status != 0 {
			t.Errorf("answered %d at shutdown, want no answer", status)
		}
	})
}

func TestSlowDelaysAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newUnbound(t)
		control(t, e, "slow?delay=200ms")
		began := time.Now()
		if status := <-answered(e, healthPath); status != 200 {
			t.Errorf("status %d", status)
		}
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("health took %s, want 200ms", took)
		}
	})
}

func TestSlowEcho(t *testing.T) {
	e := start(t, Options{})
	c, _ := dial(t, e, "/", nil)
	post(t, e, "slow?delay=60ms")
	began := time.Now()
	checkEcho(t, c, websocket.MessageText, []byte("slowly"))
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("echo took %s, want 60ms at least", took)
	}
}

func TestTimedSwitches(t *testing.T) {
	normal := State{Name: "emulator", Mode: ModeOK, HealthStatus: 200}
	with := func(change func(*State)) State { s := normal; change(&s); return s }
	tests := map[string]State{
		"health?status=503&for=10s":              with(func(s *State) { s.HealthStatus = 503 }),
		"hang?for=10s":                           with(func(s *State) { s.Mode = ModeHang }),
		"reset?for=10s":                          with(func(s *State) { s.Mode = ModeReset }),
		"slow?delay=1.5ms&for=10s":               with(func(s *State) { s.DelayMS = 1.5 }),
		"handshake?status=503&share=0.5&for=10s": with(func(s *State) { s.HandshakeStatus, s.HandshakeShare = 503, 0.5 }),
		"handshake?status=503&for=10s":           with(func(s *State) { s.HandshakeStatus, s.HandshakeShare = 503, 1 }),
	}
	for path, want := range tests {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newUnbound(t)
				if diff := cmp.Diff(want, control(t, e, path)); diff != "" {
					t.Errorf("state in the answer (-want +got):\n%s", diff)
				}
				time.Sleep(10*time.Second - time.Nanosecond)
				synctest.Wait()
				if diff := cmp.Diff(want, e.State()); diff != "" {
					t.Errorf("state just before the end (-want +got):\n%s", diff)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if diff := cmp.Diff(normal, e.State()); diff != "" {
					t.Errorf("state after the end (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLaterSwitchReplacesPendingRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newUnbound(t)
		control(t, e, "health?status=500&for=10s")
		control(t, e, "hang?for=30s")
		time.Sleep(5 * time.Second)
		control(t, e, "health?status=503")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := e.State(); s.HealthStatus != 503 || s.Mode != ModeHang {
			t.Errorf("after 25 s: %+v, want health 503 for good and hang for 30 s", s)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := e.State(); s.HealthStatus != 503 || s.Mode != ModeOK {
			t.Errorf("after 30 s: %+v, want health 503 and mode ok", s)
		}
		control(t, e, "hang?for=10s")
		control(t, e, "ok")
		control(t, e, "hang")
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := e.State(); s.Mode != ModeHang || s.HealthStatus != 200 {
			t.Errorf("ok left a pending restore behind: %+v", s)
		}
	})
}

func TestControlRefuses(t *testing.T) {
	e := newUnbound(t)
	before := e.State()
	tests := []struct {
		method, path string
		want         int
		says         string
	}{
		{"POST", "health", 400, "status"},
		{"POST", "health?status=99", 400, "200 to 599"},
		{"POST", "health?status=ok", 400, "whole number"},
		{"POST", "health?state=503", 400, `"state"`},
		{"POST", "handshake?status=503&share=1.1", 400, "0 to 1"},
		{"POST", "handshake?status=503&share=NaN", 400, "0 to 1"},
		{"POST", "handshake?status=503&share=x", 400, "not a number"},
		{"POST", "handshake?status=200", 400, "300 to 599"},
		{"POST", "slow?delay=200", 400, "200ms"},
		{"POST", "slow?delay=-1s", 400, "negative"},
		{"POST", "slow?delay=1s&for=0s", 400, "above zero"},
		{"POST", "refuse?sessions=maybe", 400, "stay or cut"},
		{"POST", "refuse", 400, "not listening"},
		{"POST", "ok?for=1s", 400, `"for"`},
		{"POST", "hang?for=1s;x", 400, "query"},
		{"GET", "hang", 405, ""},
		{"POST", "state", 405, ""},
		{"POST", "melt", 404, ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		e.controlHandler().ServeHTTP(w, httptest.NewRequest(tt.method, "/control/"+tt.path, nil))
		if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s %s: %d %q, want %d naming %q", tt.method, tt.path, w.Code, w.Body, tt.want, tt.says)
		}
	}
	if diff := cmp.Diff(before, e.State()); diff != "" {
		t.Errorf("refused controls changed the state (-want +got):\n%s", diff)
	}
}

func TestControlAddressOfItsOwn(t *testing.T) {
	e := start(t, Options{Control: "127.0.0.1:0"})
	if e.ControlURL() == "http://"+e.Addr() {
		t.Fatal("control URL is the client address")
	}
	if status, _, body := get(t, e.ControlURL()+"/control/state"); status != 200 || !strings.Contains(body, `"mode": "ok"`) {
		t.Errorf("state: %d %s", status, body)
	}
	// On the client address the path is one like any other.
	c, _ := dial(t, e, "/control/state", nil)
	checkEcho(t, c, websocket.MessageText, []byte("just a path"))
}

// FuzzControlQuery: strangers' queries are refused or understood, and one that
// is understood has only known parameters and a usable duration.
func FuzzControlQuery(f *testing.F) {
	f.Add("status=503&share=0.3&for=10s")
	f.Add("for=-1s")
	f.Add("a=%zz;b")
	f.Add("status=1&status=2&for=9999999h")
	s := controlSwitch{params: []string{"status", "share"}, undo: func() error { return nil }}
	f.Fuzz(func(t *testing.T, query string) {
		q, hold, err := s.parse(query)
		if err != nil {
			return
		}
		if q.Has("for") != (hold > 0) || hold < 0 {
			t.Errorf("query %q: for=%q gave %s", query, q.Get("for"), hold)
		}
		for name := range q {
			if name != "status" && name != "share" && name != "for" {
				t.Errorf("query %q: parameter %q was let through", query, name)
			}
		}
	})
}
