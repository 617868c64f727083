package admin

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// TestSpares: operators see what the spare connections of an upstream are good for.
func TestSpares(t *testing.T) {
	checker, err := health.New("east", health.Options{Probe: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.NewUpstream(pool.Options{Name: "east", URL: &url.URL{Scheme: "ws", Host: "east"}, Checker: checker, Spares: 2})
	if err != nil {
		t.Fatal(err)
	}
	spares := u.NewSpares(func(c net.Conn) { c.Close() })
	for range 3 { // one more than there is room for
		near, far := net.Pipe()
		defer far.Close()
		spares.Add(near)
	}
	defer spares.Close()
	for range 4 {
		u.CountSpare(true)
	}
	if diff := cmp.Diff(Spares{Ready: 2, Used: 4, Wasted: 1}, describe(u, false, time.Now()).Spares); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
