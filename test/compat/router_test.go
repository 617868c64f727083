//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A router is a running "pointsman serve".
type router struct {
	*process
	url   string // for clients
	admin string
}

// startRouter returns a router once the upstream that shall be healthy first is. Names are primary-1, secondary-1 and so
// on, unless args are a configuration file.
func startRouter(t *testing.T, healthy string, args ...string) *router {
	t.Helper()
	r := &router{process: launch(t, "router", binary, append([]string{"serve"}, args...)...)}
	r.url = r.after("pointsman: listening on ")
	r.admin = r.after("pointsman: admin on ")
	r.waitHealthy(healthy)
	return r
}

// onFreePorts are the flags of a router that listens anywhere.
func onFreePorts(flags ...string) []string {
	return append([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, flags...)
}

// waitHealthy returns when the router believes that the named upstream is healthy; "" waits for none.
func (r *router) waitHealthy(name string) {
	r.t.Helper()
	if name != "" {
		r.wait(name, true)
	}
}

// waitDown returns when the router believes that the named upstream is not healthy.
func (r *router) waitDown(name string) {
	r.t.Helper()
	r.wait(name, false)
}

func (r *router) wait(name string, healthy bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for _, u := range r.status().Upstreams {
			if u.Name == name && u.Healthy == healthy {
				return
			}
		}
		time.Sleep(10 * time.Millisecond) // it can only be asked, it does not tell
	}
	r.t.Fatalf("upstream %s has not become healthy=%v in %v", name, healthy, patience)
}

// status is the part of GET /status that the tests look at.
type status struct {
	Sessions  struct{ Open, Total int }
	Upstreams []struct {
		Name     string
		Healthy  bool
		Sessions int
	}
}

func (r *router) status() (s status) {
	r.t.Helper()
	client := http.Client{Timeout: patience}
	res, err := client.Get(r.admin + "/status")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		r.t.Fatalf("status: %v", err)
	}
	return s
}

// ends asks the router to end, and checks that it does so in good order.
func (r *router) ends() {
	r.t.Helper()
	if code := r.terminate(); code != 0 {
		r.t.Errorf("router ended with exit code %d", code)
	}
}

// startEmulator starts "pointsman upstream" and returns its URL.
func startEmulator(t *testing.T) string {
	t.Helper()
	p := launch(t, "emulator", binary, "upstream", "--listen", "127.0.0.1:0", "--mode", "echo")
	return p.after("pointsman upstream: listening on ")
}

// title tells what of a client is tested.
func title(name string, deflate bool) string {
	if deflate {
		return fmt.Sprintf("client=%s,deflate", name)
	}
	return fmt.Sprintf("client=%s", name)
}
