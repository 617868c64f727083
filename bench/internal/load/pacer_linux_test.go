package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// With a pace the answers do not decide how many messages there are.
func TestPace(t *testing.T) {
	addr := serve(t)
	const sessions, every = 10, 20 * time.Millisecond
	var got Result
	var err error
	untilEnough(300*time.Millisecond, func(interval time.Duration) bool {
		got, err = Relay(t.Context(), Options{Target: addr, Connections: sessions, Loops: 2, Every: every, Duration: interval})
		return err != nil || got.Done >= sessions
	})
	most := sessions * (got.Seconds/every.Seconds() + 2) // what was due before may be answered within
	if err != nil || got.Errors.Total() != 0 || got.Done < sessions || float64(got.Done) > most {
		t.Errorf("%+v, at most %.0f are due, %v", got, most, err)
	}
}

// What has to wait for the answer to the message before waits all the same.
func TestPaceCountsFromTheTime(t *testing.T) {
	const answer = 5 * time.Millisecond
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, b, err := c.Read(context.Background())
			if err != nil {
				return
			}
			time.Sleep(answer) // this server is slow
			if c.Write(context.Background(), kind, b) != nil {
				return
			}
		}
	}))
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	const every, interval = answer / 5, 400 * time.Millisecond
	got, err := Relay(t.Context(), Options{Target: addr, Every: every, Duration: interval})
	// After n answers the next message is late by n times what an answer takes more than the pace.
	if least := interval / 4; err != nil || got.Errors.Total() != 0 || got.Latency.Max < float64(least.Microseconds()) {
		t.Errorf("%+v, %v; want a longest latency above %v", got, err, least)
	}
}
