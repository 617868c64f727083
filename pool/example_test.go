package pool_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// A router of your own decides what it cares about and leaves the rest to a built-in one. This one sends paths below /beta/ to
// the upstream called beta while it is available, and nobody else there.
func ExampleRouter() {
	beta := func(r pool.Request, candidates []*pool.Upstream) *pool.Upstream {
		var others [8]*pool.Upstream // room on the stack for small sets
		rest := others[:0]
		for _, u := range candidates {
			if u.Name() != "beta" {
				rest = append(rest, u)
			} else if strings.HasPrefix(r.Path, "/beta/") {
				return u
			}
		}
		if len(rest) == 0 {
			return nil
		}
		return pool.Priority(r, rest)
	}

	var upstreams []*pool.Upstream
	for _, name := range []string{"stable", "beta"} {
		checker, err := health.New(name, health.Options{
			Probe:     health.TCPProbe(name + ".example:80"),
			InitialUp: true, // this example does not run the checker
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		u, err := pool.NewUpstream(pool.Options{
			Name:    name,
			URL:     &url.URL{Scheme: "ws", Host: name + ".example"},
			Checker: checker,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		upstreams = append(upstreams, u)
	}
	set, err := pool.NewSet(beta, upstreams)
	if err != nil {
		fmt.Println(err)
		return
	}

	pick := func(path string) {
		lease, err := set.Pick(pool.Request{Path: path}, pool.Tried{})
		if err != nil {
			fmt.Println(path, err)
			return
		}
		defer lease.Release()
		fmt.Println(path, lease.Upstream().Name())
	}
	pick("/chat")
	pick("/beta/chat")
	for range 3 {
		upstreams[1].Checker().Lost(context.DeadlineExceeded)
	}
	pick("/beta/chat")
	// Output:
	// /chat stable
	// /beta/chat beta
	// /beta/chat stable
}

// The primary goes and comes back. While it is held, the secondary keeps the new sessions, and nobody is sent home.
func ExampleSet_Home() {
	var upstreams []*pool.Upstream
	for i, name := range []string{"east", "west"} {
		checker, err := health.New(name, health.Options{
			Probe:     health.TCPProbe(name + ".example:80"),
			InitialUp: true, // this example does not run the checkers
			Hold:      10 * time.Second,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		u, err := pool.NewUpstream(pool.Options{
			Name: name, URL: &url.URL{Scheme: "ws", Host: name + ".example"}, Role: []pool.Role{pool.Primary, pool.Secondary}[i], Checker: checker,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		upstreams = append(upstreams, u)
	}
	set, err := pool.NewSet(pool.Priority, upstreams)
	if err != nil {
		fmt.Println(err)
		return
	}

	show := func(when string) {
		lease, err := set.Pick(pool.Request{}, pool.Tried{})
		if err != nil {
			fmt.Println(when, err)
			return
		}
		defer lease.Release()
		fmt.Printf("%s: %s takes it, home %v\n", when, lease.Upstream().Name(), set.Home(lease.Upstream()))
	}
	show("before")
	upstreams[0].Checker().Suspend(time.Minute, "failover drill")
	show("away")
	upstreams[0].Checker().Resume()
	show("held")
	// Output:
	// before: east takes it, home false
	// away: west takes it, home false
	// held: west takes it, home false
}
