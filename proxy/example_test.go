package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// A router inside another program: two upstreams, one of which stands in for the other.
func Example() {
	east, stopEast := emulate("east")
	defer stopEast()
	west, stopWest := emulate("west")
	defer stopWest()

	// What the program knows of each upstream: where it is, what it is for, and how to find out whether it is well.
	var upstreams []*pool.Upstream
	for _, u := range []struct {
		name string
		url  string
		role pool.Role
	}{{"east", east.URL(), pool.Primary}, {"west", west.URL(), pool.Secondary}} {
		location, err := url.Parse(u.url)
		if err != nil {
			fmt.Println(err)
			return
		}
		checker, err := health.New(u.name, health.Options{
			Probe:     health.HTTPProbe(location, health.HTTPOptions{}), // GET /api/health
			InitialUp: true,                                             // take sessions before the first probe
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		upstream, err := pool.NewUpstream(pool.Options{Name: u.name, URL: location, Role: u.role, Checker: checker})
		if err != nil {
			fmt.Println(err)
			return
		}
		upstreams = append(upstreams, upstream)
	}
	set, err := pool.NewSet(pool.Priority, upstreams)
	if err != nil {
		fmt.Println(err)
		return
	}

	router, err := proxy.New(proxy.Options{
		Upstreams: upstreams,
		Routes:    []proxy.Route{{Path: "/chat", Set: set}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx, ln) }() // which also runs the checkers

	visit := func() {
		timed, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		session, answer, err := websocket.Dial(timed, "ws://"+ln.Addr().String()+"/chat", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer session.CloseNow()
		if err := session.Write(timed, websocket.MessageText, []byte("hello")); err != nil {
			fmt.Println(err)
			return
		}
		_, message, err := session.Read(timed)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s from %s\n", message, answer.Header.Get("X-Upstream"))
		_ = session.Close(websocket.StatusNormalClosure, "") // the echo is in: how the good-bye goes does not matter
	}
	visit()
	if err := east.Refuse(true); err != nil { // the primary closes its port and cuts its sessions
		fmt.Println(err)
		return
	}
	visit()

	stop() // every session left gets Close 1001
	fmt.Println("ended:", <-ended)
	// Output:
	// hello from east
	// hello from west
	// ended: <nil>
}

// emulate starts a small echo upstream that answers health checks.
func emulate(name string) (e *emulator.Emulator, stop func()) {
	e, err := emulator.New(emulator.Options{Name: name})
	if err != nil {
		panic(err)
	}
	if stop, err = e.Start(); err != nil {
		panic(err)
	}
	return e, stop
}
