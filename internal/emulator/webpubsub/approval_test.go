package webpubsub

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestValidation: events go only where they are welcome.
func TestValidation(t *testing.T) {
	for name, tt := range map[string]struct {
		origin string
		agrees int
		status int
	}{
		"everybody":     {"*", 200, 101},
		"a list":        {"other.example, EMULATOR.example:9001", 204, 101},
		"somebody else": {"other.example", 200, 500},
		"nobody":        {"", 200, 500},
		"refused":       {"*", 403, 500},
		"not found":     {"*", 404, 500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, r := startApp(t, Options{Events: []string{EventConnect}})
				a.origin, a.agrees = tt.origin, tt.agrees
				try := func(status int) {
					t.Helper()
					conn, response, err := r.try(login{})
					if response == nil || response.StatusCode != status {
						t.Fatalf("%v, want %d", err, status)
					}
					if conn != nil {
						conn.CloseNow()
					}
				}
				try(tt.status)
				if tt.status == 101 {
					time.Sleep(approvedFor - time.Nanosecond)
					try(101)
					time.Sleep(time.Nanosecond)
					try(101)
					if a.asked != 2 {
						t.Errorf("asked %d times, want 2", a.asked)
					}
					return
				}
				if len(a.seen) != 0 {
					t.Errorf("%d events for an app server that has not agreed", len(a.seen))
				}
				// Asked again after 1, 2, 4 ... seconds, 60 at most; meanwhile nothing is sent.
				each := map[bool]int{true: 2, false: 1}[tt.agrees == 404] // OPTIONS, then GET
				for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
					if a.asked != each*(i+1) {
						t.Fatalf("asked %d times, want %d", a.asked, each*(i+1))
					}
					time.Sleep(pause*time.Second - time.Nanosecond)
					try(500)
					if a.asked != each*(i+1) {
						t.Fatalf("asked too early, after %v", pause*time.Second)
					}
					time.Sleep(time.Nanosecond)
					try(500)
				}
				a.mu.Lock()
				a.origin, a.agrees = "*", 200
				a.mu.Unlock()
				time.Sleep(time.Minute)
				try(101)
			})
		})
	}
}
