package pool_test

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// twoRegions are upstreams that need no probe.
func twoRegions() []*pool.Upstream {
	var upstreams []*pool.Upstream
	for _, name := range []string{"east-1", "east-2", "west-1"} {
		checker, err := health.New(name, health.Options{Probe: health.TCPProbe(name + ".example:80"), InitialUp: true})
		if err != nil {
			panic(err)
		}
		u, err := pool.NewUpstream(pool.Options{Name: name, URL: &url.URL{Scheme: "ws", Host: name + ".example"}, Checker: checker})
		if err != nil {
			panic(err)
		}
		upstreams = append(upstreams, u)
	}
	return upstreams
}

func names(upstreams []*pool.Upstream) string {
	var all []string
	for _, u := range upstreams {
		all = append(all, u.Name())
	}
	return strings.Join(all, " ")
}

// Clients name their upstream in the query; those that do not, or name one that is not there, go where others go.
func ExamplePolicy_byQuery() {
	policy := pool.Default(pool.Priority)
	policy.Session = pool.Query("endpoint", policy.Session)

	upstreams := twoRegions()
	fmt.Println(policy.Session(pool.Request{Query: "endpoint=west-1"}, upstreams).Name())
	fmt.Println(policy.Session(pool.Request{Query: "endpoint=north-1"}, upstreams[:1]).Name())
	// Output:
	// west-1
	// east-1
}

// Groups of the east are only in the east, and messages to them are sent nowhere else.
func ExamplePolicy_byGroupPrefix() {
	policy := pool.Default(pool.Priority).GroupPrefix("east-", func(u *pool.Upstream) bool {
		return strings.HasPrefix(u.Name(), "east-")
	})

	upstreams := twoRegions()
	fmt.Println(names(policy.Group("east-chat", upstreams)))
	fmt.Println(names(policy.Group("chat", upstreams)))
	// Output:
	// east-1 east-2
	// east-1 east-2 west-1
}

// New clients go to the upstream with the fewest sessions, whatever its role.
func ExamplePolicy_leastLoaded() {
	policy := pool.Default(pool.Priority)
	policy.Session = func(_ pool.Request, candidates []*pool.Upstream) *pool.Upstream {
		least := candidates[0]
		for _, u := range candidates[1:] {
			if u.Sessions() < least.Sessions() {
				least = u
			}
		}
		return least
	}

	set, err := pool.NewSet(policy.Session, twoRegions())
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		lease, err := set.Pick(pool.Request{}, pool.Tried{}) // kept
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(lease.Upstream().Name())
	}
	// Output:
	// east-1
	// east-2
	// west-1
	// east-1
}
