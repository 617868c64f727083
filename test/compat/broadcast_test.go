//go:build compat && linux

package compat

import (
	"testing"
	"time"
)

// TestBroadcast: an app server's SDK sends to all, in one call to the router. Some clients are on each region: those who came before
// the primary refused newcomers, and those who came afterwards. While a region does not take the call the SDK is told who was left out.
func TestBroadcast(t *testing.T) {
	const each = 20
	g := startRegions(t, "webpubsub", nil, nil)
	f := g.front(t, "primary", "secondary", "failback: {drain: {enabled: false}}")
	c := startCrowd(t, "webpubsub_crowd.js", f.connection)
	c.do(crowdCommand{Do: "join", Count: each, Prefix: "before"})
	c.comes(each, time.Now())
	early := crowd{c.process, c.there, c.left}

	g.east.misbehaves("refuse?sessions=stay")
	f.waitDown("east")
	late := crowd{c.process, make(map[string]bool), c.left}
	late.do(crowdCommand{Do: "join", Count: each, Prefix: "after", Reliable: true})
	late.comes(each, time.Now())
	g.west.comesTo(each)
	late.sendsToAll("to whom it may reach", "east")

	g.east.misbehaves("ok")
	f.waitHealthy("east")
	for user := range late.there {
		early.there[user] = true
	}
	early.sendsToAll("to everybody", "")
	early.sendsToAll("nobody has heard that twice", "")
	f.ends()
}

// sendsToAll has the app server send to all, wants everybody who is there to hear it once, and the SDK to be told who was left out.
func (c *crowd) sendsToAll(text, left string) {
	c.t.Helper()
	c.do(crowdCommand{Do: "sendToAll", Text: text})
	heard := make(map[string]bool)
	for sent := false; !sent || len(heard) < len(c.there); {
		e := c.next()
		c.takes(e, text, heard)
		if e.Event == "sent" {
			sent = true
			if e.Status != 202 || e.Partial != left {
				c.t.Errorf("the SDK got status %d, partial %q, %s; want 202 and %q", e.Status, e.Partial, e.Text, left)
			}
		}
	}
}
