package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Door is the admin address of a router, as a URL. Its methods may be called concurrently.
type Door string

const (
	// answerTimeout bounds one request.
	answerTimeout = 5 * time.Second
	// Patience is how long Await waits at most.
	Patience = 60 * time.Second
	// look is how often Await looks.
	look = 10 * time.Millisecond
)

// Status is the part of the router's status that measurements go by.
type Status struct {
	Sessions struct {
		Open int `json:"open"`
	} `json:"sessions"`
	Handshakes struct {
		Refused   int `json:"refused"`
		Abandoned int `json:"abandoned"`
		Failovers int `json:"failovers"`
	} `json:"handshakes"`
	Upstreams []Upstream `json:"upstreams"`
	Drains    []Drain    `json:"drains"`
	Reload    struct {
		Attempts   int    `json:"attempts"`
		Generation int    `json:"generation"`
		OK         bool   `json:"ok"`
		Error      string `json:"error"`
	} `json:"reload"`
}

// Upstream is what the router believes about one upstream.
type Upstream struct {
	Name     string  `json:"name"`
	Healthy  bool    `json:"healthy"`
	Share    float64 `json:"share"`
	Trips    int     `json:"trips"`
	Leaving  bool    `json:"leaving"`
	Sessions int     `json:"sessions"`
	Totals   struct {
		Sessions int `json:"sessions"`
	} `json:"totals"`
}

// Drain is how a drain stands. In a Status are only those that have not ended.
type Drain struct {
	ID       string `json:"id"`
	Cause    string `json:"cause"`
	Upstream string `json:"upstream"`
	State    string `json:"state"`
	Rate     int    `json:"rate"`
	Asked    int    `json:"asked"`
	Left     int    `json:"left"`
}

// Upstream returns the upstream with that name.
func (s Status) Upstream(name string) (Upstream, bool) {
	for _, u := range s.Upstreams {
		if u.Name == name {
			return u, true
		}
	}
	return Upstream{}, false
}

// Healthy reports whether the router believes in every one of these.
func (s Status) Healthy(names ...string) bool {
	for _, name := range names {
		if u, ok := s.Upstream(name); !ok || !u.Healthy {
			return false
		}
	}
	return true
}

// Status asks for the status.
func (d Door) Status(ctx context.Context) (Status, error) {
	var s Status
	if err := d.do(ctx, http.MethodGet, "/status", nil, &s); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// Order gives an order, such as "/drains/1/pause", with a body that becomes JSON (nil for none), and reads the answer into the
// value that answer points at (nil for none). The error holds what the router said.
func (d Door) Order(ctx context.Context, path string, body, answer any) error {
	if err := d.do(ctx, http.MethodPost, path, body, answer); err != nil {
		return fmt.Errorf("order %s: %w", path, err)
	}
	return nil
}

func (d Door) do(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, string(d)+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // the status is the error in any case
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(said)))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

// Await waits until the status is as wanted, for Patience at most, and returns it. The error says what was waited for.
func (d Door) Await(ctx context.Context, what string, met func(Status) bool) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	again := time.NewTicker(look)
	defer again.Stop()
	var last Status
	for {
		s, err := d.Status(ctx)
		if err != nil && ctx.Err() == nil {
			return s, err
		}
		if err == nil {
			if last = s; met(s) {
				return s, nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return s, fmt.Errorf("wait until %s: %w; last seen: %+v", what, context.Cause(ctx), last)
		}
	}
}
