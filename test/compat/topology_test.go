//go:build compat && linux

package compat

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// An app server of one region, for either service: it is told what clients there send. Of who comes and goes it may hear at any time
// after that has been seen elsewhere, so it does not count that.
type regional struct {
	*httptest.Server
	t    *testing.T
	told chan string // users
}

func startRegional(t *testing.T) *regional {
	t.Helper()
	a := &regional{t: t, told: make(chan string, 1000)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*") // Web PubSub asks with OPTIONS first
		if r.Method == http.MethodPost && r.Header.Get("X-ASRS-Category") != "connections" {
			a.told <- r.Header.Get("ce-userId") + r.Header.Get("X-ASRS-User-Id")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(a.Close)
	return a
}

// handler are the flags of an instance that tells it what clients send. Only Web PubSub can be told to tell of nothing else.
func (a *regional) handler(mode string) []string {
	if mode == "signalr" {
		return []string{"--event-handler", a.URL + "/{category}"}
	}
	return []string{"--event-handler", a.URL, "--events", ""}
}

// hears waits until exactly these users have sent something here, and nobody did elsewhere.
func (a *regional) hears(elsewhere *regional, users ...string) {
	a.t.Helper()
	var got []string
	for range users {
		select {
		case user := <-a.told:
			got = append(got, user)
		case <-time.After(patience):
			a.t.Fatalf("heard of %v, want %v", got, users)
		}
	}
	slices.Sort(got)
	slices.Sort(users)
	if diff := gocmp.Diff(users, got); diff != "" {
		a.t.Errorf("who has sent something (-want +got):\n%s", diff)
	}
	if n := len(elsewhere.told); n != 0 {
		a.t.Errorf("%d messages went to the other region", n)
	}
}

// users are the names in a part of a crowd.
func users(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

// send has users send something to their app server.
func (c *crowd) send(all ...string) {
	for _, user := range all {
		c.do(crowdCommand{Do: "event", User: user, Text: "hello"})
	}
}

// TestTopologies: clients are led to the region of their router, in both ways, and when it dies to the other one. What they send goes to
// the app server of the region where they are, and of no other. Of two routers each has its own region as primary.
func TestTopologies(t *testing.T) {
	const each = 10
	for _, mode := range []string{"webpubsub", "signalr"} {
		for _, via := range []string{"proxy", "direct"} {
			for _, active := range []bool{false, true} {
				name := fmt.Sprintf("%s, via %s, active-passive", mode, via)
				if active {
					name = fmt.Sprintf("%s, via %s, active-active", mode, via)
				}
				t.Run(name, func(t *testing.T) {
					appEast, appWest := startRegional(t), startRegional(t)
					g := startRegions(t, mode, appEast.handler(mode), appWest.handler(mode))
					route := fmt.Sprintf("routes: [{protocol: %s, negotiate: {open: true, via: %s}}]", mode, via)
					f := g.front(t, "primary", "secondary", route)
					c := startCrowd(t, mode+"_crowd.js", f.connection)
					eastern, western := users("east", each), []string(nil)
					c.do(crowdCommand{Do: "join", Count: each, Prefix: "east", Negotiate: f.http})
					c.comes(each, time.Now())
					if active {
						mirrored := g.front(t, "secondary", "primary", route)
						western = users("west", each)
						c.do(crowdCommand{Do: "join", Count: each, Prefix: "west", Negotiate: mirrored.http})
						c.comes(each, time.Now())
					}
					g.east.comesTo(len(eastern))
					g.west.comesTo(len(western))
					c.send(eastern...)
					appEast.hears(appWest, slices.Clone(eastern)...)
					c.send(western...)
					appWest.hears(appEast, slices.Clone(western)...)

					died := time.Now()
					g.east.kill()
					moved := c.comes(each, died)
					t.Logf("failover: %v", moved)
					g.west.comesTo(len(eastern) + len(western))
					c.send(eastern...)
					appWest.hears(appEast, slices.Clone(eastern)...)

					g.east = g.east.again(t)
					f.waitHealthy("east")
					if via == "proxy" {
						c.comes(each, time.Time{})
						g.east.comesTo(len(eastern))
						g.west.comesTo(len(western))
					}
					c.do(crowdCommand{Do: "join", Count: each, Prefix: "new", Negotiate: f.http})
					c.comes(each, time.Now())
					c.send(users("new", each)...)
					appEast.hears(appWest, users("new", each)...)
				})
			}
		}
	}
}
