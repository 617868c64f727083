//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A crowd is a process with many clients of one vendor.
type crowd struct {
	*process
	there map[string]bool  // who is connected
	left  map[string]int64 // when who was told that it is not, Unix ms
}

func startCrowd(t *testing.T, script string, args ...string) *crowd {
	t.Helper()
	return &crowd{launch(t, "crowd", "node", append([]string{"node/" + script}, args...)...), make(map[string]bool), make(map[string]int64)}
}

// crowdCommand is what a crowd is told; see the scripts.
type crowdCommand struct {
	Do        string `json:"do"`
	Count     int    `json:"count,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	Reliable  bool   `json:"reliable,omitempty"`
	Negotiate string `json:"negotiate,omitempty"`
	User      string `json:"user,omitempty"`
	Text      string `json:"text,omitempty"`
}

// crowdEvent is what a crowd tells.
type crowdEvent struct {
	Event   string
	User    string
	At      int64 // Unix ms
	Text    string
	Status  int
	Partial string
}

func (c *crowd) do(x crowdCommand) {
	c.t.Helper()
	line, err := json.Marshal(x)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		c.t.Fatalf("tell the crowd to %s: %v", x.Do, err)
	}
}

// next is the next event of a crowd in which nobody gives up.
func (c *crowd) next() crowdEvent {
	c.t.Helper()
	var e crowdEvent
	if line := c.line(); json.Unmarshal([]byte(line), &e) != nil {
		c.t.Fatalf("the crowd wrote %q", line)
	}
	switch e.Event {
	case "stopped":
		c.t.Fatalf("%s has given up: %s", e.User, e.Text)
	case "disconnected":
		delete(c.there, e.User)
		c.left[e.User] = e.At
	case "connected":
		c.there[e.User] = true
	}
	return e
}

// comes reads until n have connected, and returns how long each of them was without service since then, or since it was told
// later, if it was.
func (c *crowd) comes(n int, since time.Time) gaps {
	c.t.Helper()
	var all gaps
	for len(all) < n {
		if e := c.next(); e.Event == "connected" {
			all = append(all, time.Duration(e.At-max(c.left[e.User], since.UnixMilli()))*time.Millisecond)
		}
	}
	slices.Sort(all)
	return all
}

// takes notes that somebody has heard text, which everybody hears once.
func (c *crowd) takes(e crowdEvent, text string, heard map[string]bool) {
	c.t.Helper()
	if e.Event != "message" {
		return
	}
	if e.Text != text || heard[e.User] {
		c.t.Errorf("%s heard %q, once too often or wrong", e.User, e.Text)
	}
	heard[e.User] = true
}

// gaps are times without service, the shortest first.
type gaps []time.Duration

func (g gaps) String() string {
	at := func(share float64) time.Duration { return g[int(share*float64(len(g)-1))] }
	return fmt.Sprintf("%d clients without service: median %v, 90%% %v, 99%% %v, longest %v", len(g), at(0.5), at(0.9), at(0.99), at(1))
}

// open is how many sessions the instance has.
func (s *service) open() int {
	s.t.Helper()
	client := http.Client{Timeout: patience}
	response, err := client.Get(s.control + "/control/state")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var state struct{ Sessions struct{ Open int } }
	if err := json.NewDecoder(response.Body).Decode(&state); err != nil {
		s.t.Fatal(err)
	}
	return state.Sessions.Open
}

// comesTo waits until the instance has so many sessions.
func (s *service) comesTo(n int) {
	s.t.Helper()
	var open int
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if open = s.open(); open == n {
			return
		}
	}
	s.t.Fatalf("%s has %d sessions, want %d", s.name, open, n)
}

// misbehaves turns a switch of the instance.
func (s *service) misbehaves(how string) {
	s.t.Helper()
	client := http.Client{Timeout: patience}
	response, err := client.Post(s.control+"/control/"+how, "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		s.t.Fatalf("control %s: %d %s", how, response.StatusCode, text)
	}
}
