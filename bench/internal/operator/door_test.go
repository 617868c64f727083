package operator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// router answers like the admin address of one whose second upstream becomes healthy with the third look.
func router(t *testing.T) Door {
	t.Helper()
	var looks atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /status":
			healthy := "false"
			if looks.Add(1) >= 3 {
				healthy = "true"
			}
			_, _ = io.WriteString(w, `{"sessions":{"open":7},"upstreams":[{"name":"a","healthy":true,"trips":2},{"name":"b","healthy":`+healthy+`}],
				"drains":[{"id":"1","cause":"failback","state":"waiting","asked":3}],"reload":{"attempts":4,"ok":true}}`)
		case "POST /drains/1/pause":
			body, _ := io.ReadAll(r.Body)
			if string(body) != `{"why":"test"}` || r.Header.Get("Content-Type") != "application/json" {
				http.Error(w, "bad body "+string(body), http.StatusBadRequest)
				return
			}
			_, _ = io.WriteString(w, `{"id":"1","state":"paused"}`)
		default:
			http.Error(w, `{"error":"unknown path"}`, http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return Door(s.URL)
}

func TestStatusAndAwait(t *testing.T) {
	d := router(t)
	s, err := d.Status(t.Context())
	if err != nil || s.Sessions.Open != 7 || s.Healthy("a", "b") || !s.Healthy("a") || s.Healthy("c") || s.Reload.Attempts != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if u, ok := s.Upstream("a"); !ok || u.Trips != 2 {
		t.Errorf("%+v", u)
	}
	if want := (Drain{ID: "1", Cause: "failback", State: "waiting", Asked: 3}); len(s.Drains) != 1 || s.Drains[0] != want {
		t.Errorf("%+v", s.Drains)
	}
	if s, err = d.Await(t.Context(), "both are healthy", func(s Status) bool { return s.Healthy("a", "b") }); err != nil || !s.Healthy("b") {
		t.Errorf("%+v, %v", s, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := d.Await(ctx, "pigs fly", func(Status) bool { return false }); !errors.Is(err, cause) || !strings.Contains(err.Error(), "pigs fly") {
		t.Errorf("error %v", err)
	}
}

func TestOrder(t *testing.T) {
	d := router(t)
	var answer Drain
	if err := d.Order(t.Context(), "/drains/1/pause", map[string]string{"why": "test"}, &answer); err != nil || answer.State != "paused" {
		t.Errorf("%+v, %v", answer, err)
	}
	if err := d.Order(t.Context(), "/drains/9/pause", nil, nil); err == nil || !strings.Contains(err.Error(), "unknown path") {
		t.Errorf("error %v, want what the router said", err)
	}
	if _, err := Door("http://127.0.0.1:1").Status(t.Context()); err == nil {
		t.Error("nobody there, and no error")
	}
	if err := d.Order(t.Context(), "/x", func() {}, nil); err == nil {
		t.Error("a func became JSON")
	}
}
