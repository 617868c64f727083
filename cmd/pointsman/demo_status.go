package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"
)

// statusLimit is the most that is read of a status answer.
const statusLimit = 1 << 20

// routerView is what the router says about its upstreams.
type routerView struct {
	sessions map[string]int // open sessions by upstream
	healthy  map[string]bool
	held     map[string]time.Time // by upstream: end of the hold, absent without one
}

// takes reports whether an upstream takes its full share of new sessions.
func (v routerView) takes(upstream string) bool {
	_, held := v.held[upstream]
	return v.healthy[upstream] && !held
}

// routerStatus asks a router's admin address.
type routerStatus struct {
	adminURL string
	client   *http.Client
}

func newRouterStatus(adminURL string) *routerStatus {
	return &routerStatus{
		adminURL: adminURL,
		client:   &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second},
	}
}

func (s *routerStatus) close() { s.client.CloseIdleConnections() }

func (s *routerStatus) get(ctx context.Context) (v routerView, err error) {
	err = s.ask(ctx, "/status", func(body io.Reader) error {
		v, err = readRouterView(body)
		return err
	})
	return v, err
}

// drains returns those under way and the last ones that have ended.
func (s *routerStatus) drains(ctx context.Context) (d routerDrains, err error) {
	err = s.ask(ctx, "/drains", func(body io.Reader) error {
		d, err = readRouterDrains(body)
		return err
	})
	return d, err
}

func (s *routerStatus) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.adminURL+path, nil)
	if err != nil {
		return fmt.Errorf("router status: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("router status: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("router status: %s: %s", path, resp.Status)
	}
	if err := read(io.LimitReader(resp.Body, statusLimit)); err != nil {
		return fmt.Errorf("router status: %s: %w", path, err)
	}
	return nil
}

func readRouterView(body io.Reader) (routerView, error) {
	var answer struct {
		Upstreams []struct {
			Name      string    `json:"name"`
			Healthy   bool      `json:"healthy"`
			HeldUntil time.Time `json:"held_until"`
			Sessions  int       `json:"sessions"`
		} `json:"upstreams"`
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return routerView{}, err
	}
	v := routerView{sessions: make(map[string]int), healthy: make(map[string]bool), held: make(map[string]time.Time)}
	for _, u := range answer.Upstreams {
		v.sessions[u.Name], v.healthy[u.Name] = u.Sessions, u.Healthy
		if !u.HeldUntil.IsZero() {
			v.held[u.Name] = u.HeldUntil
		}
	}
	return v, nil
}

// routerDrains are drains as the router tells them.
type routerDrains []struct {
	Cause    string    `json:"cause"`
	Upstream string    `json:"upstream"`
	Found    int       `json:"found"`
	Ended    time.Time `json:"ended"` // zero until then
}

func readRouterDrains(body io.Reader) (routerDrains, error) {
	var answer struct {
		Drains routerDrains `json:"drains"`
	}
	err := json.NewDecoder(body).Decode(&answer)
	return answer.Drains, err
}

// home sums up the drains that lead sessions home from an upstream: how many
// sessions they found, whether there was one, and whether all have ended.
func (drains routerDrains) home(from string) (found int, begun, over bool) {
	over = true
	for _, d := range drains {
		if d.Cause == "failback" && d.Upstream == from {
			found, begun = found+d.Found, true
			over = over && !d.Ended.IsZero()
		}
	}
	return found, begun, begun && over
}

// awaitReady returns once every named upstream takes sessions.
func (s *routerStatus) awaitReady(ctx context.Context, names ...string) error {
	var found error // by the last look that was not cut short
	for {
		v, err := s.get(ctx)
		missing := ""
		for _, name := range names {
			if err == nil && !v.takes(name) {
				missing = name
			}
		}
		switch {
		case err == nil && missing == "":
			return nil
		case err == nil:
			found = fmt.Errorf("router gives %s no sessions", missing)
		case found == nil || ctx.Err() == nil:
			found = err
		}
		if !sleepContext(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), found)
		}
	}
}

// sameSessions compares counts by upstream; an absent one counts as zero.
func sameSessions(a, b map[string]int) bool {
	positive := func(m map[string]int) map[string]int {
		m = maps.Clone(m)
		maps.DeleteFunc(m, func(_ string, n int) bool { return n == 0 })
		return m
	}
	return maps.Equal(positive(a), positive(b))
}

// sleepContext waits for d and reports false when ctx ended first.
func sleepContext(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
