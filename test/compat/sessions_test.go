//go:build compat && linux

package compat

import (
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	target        = "/chat/room%20one?id=7&name=J%C3%BCrgen"
	authorization = "Bearer of-news"
)

// everyClient runs a test for each client as it is and with permessage-deflate.
func everyClient(t *testing.T, test func(t *testing.T, c client, deflate bool)) {
	for _, c := range clients {
		if !c.always {
			t.Run(title(c.name, false), func(t *testing.T) { test(t, c, false) })
		}
		t.Run(title(c.name, true), func(t *testing.T) { test(t, c, true) })
	}
}

// TestSessions: each client with each server of others.
func TestSessions(t *testing.T) {
	for _, s := range servers {
		t.Run("server="+s.name, func(t *testing.T) {
			everyClient(t, func(t *testing.T, c client, deflate bool) {
				up, port := s.start(t, 0)
				r := startRouter(t, "primary-1", onFreePorts("--primary", localURL(port))...)
				peer := c.start(t)
				open := func() {
					t.Helper()
					peer.do(command{
						Do: "open", URL: r.url + target, Protocols: []string{"chat.v2", "chat.v1"},
						Headers: map[string]string{"Authorization": authorization}, Deflate: deflate,
					})
					peer.wants(event{Event: "open", Protocol: "chat.v1", Deflate: deflate})
					up.wants(event{Event: "session", Path: target, Authorization: authorization, Protocol: "chat.v1", Deflate: deflate})
				}
				open()
				echoesAll(peer, c)
				pings(peer, c, up)
				closes(peer, c, up, open)
				r.ends()
			})
		})
	}
}

// TestEmulator: each client with the upstream that comes with pointsman, which takes the first subprotocol.
func TestEmulator(t *testing.T) {
	r := startRouter(t, "primary-1", onFreePorts("--primary", startEmulator(t))...)
	everyClient(t, func(t *testing.T, c client, deflate bool) {
		peer := c.start(t)
		peer.do(command{Do: "open", URL: r.url + target, Protocols: []string{"chat.v2", "chat.v1"}, Deflate: deflate})
		peer.wants(event{Event: "open", Protocol: "chat.v2", Deflate: deflate})
		echoesAll(peer, c)
		if c.pings {
			peer.do(command{Do: "ping", Data: "are you there?"})
			peer.wants(event{Event: "pong", Data: "are you there?"})
		}
		peer.do(command{Do: "close", Code: 1000, Reason: "done"})
		peer.wants(event{Event: "close", Code: 1000, Reason: "done"})
	})
	r.ends()
}

// echoesAll sends messages of all kinds and sizes, at the borders of the length forms too.
func echoesAll(peer peer, c client) {
	peer.t.Helper()
	for _, text := range []string{"", "hello", "grüße, 世界 🚂", strings.Repeat("a", 125), strings.Repeat("b", 126), strings.Repeat("ä", 40_000)} {
		peer.echoes(message{text: true, data: []byte(text)})
	}
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	for _, size := range []int{1, 65_535, 65_536, 1 << 20} {
		peer.echoes(message{data: noise[:size]})
	}
	peer.echoes(message{data: make([]byte, 1<<20)}) // the opposite of noise
	if c.parts {
		peer.echoes(message{data: noise[:300_000], parts: 7})
		peer.echoes(message{text: true, data: []byte(strings.Repeat("Stück für Stück. ", 1000)), parts: 100})
	}
}

// pings goes from one end to the other, both ways.
func pings(peer peer, c client, up peer) {
	peer.t.Helper()
	if c.pings {
		peer.do(command{Do: "ping", Data: "is the server there?"})
		peer.wants(event{Event: "pong", Data: "is the server there?"})
	}
	up.do(command{Do: "ping", Data: "is the client there?"})
	up.wants(event{Event: "pong", Data: "is the client there?"})
}

// closes ends the open session and several more, from both ends.
func closes(peer peer, c client, up peer, open func()) {
	peer.t.Helper()
	for _, end := range []struct {
		code   int
		reason string
	}{{1000, ""}, {4001, "auf Wiedersehen, bis später"}} {
		closing := event{Event: "close", Code: end.code, Reason: end.reason}
		peer.do(command{Do: "close", Code: end.code, Reason: end.reason})
		up.wants(closing)
		peer.wants(closing)
		open()
	}
	if c.silent {
		peer.do(command{Do: "close"})
		up.wants(event{Event: "close", Code: 1005})
		peer.wants(event{Event: "close", Code: 1005})
		open()
	}
	for _, end := range []struct {
		code   int
		reason string
	}{{1000, "that was all"}, {1011, "out of order"}, {4002, ""}} {
		closing := event{Event: "close", Code: end.code, Reason: end.reason}
		up.do(command{Do: "close", Code: end.code, Reason: end.reason})
		peer.wants(closing)
		if c.terse {
			closing.Reason = ""
		}
		up.wants(closing)
		open()
	}
	// An upstream that is lost is told with a code that asks to come again.
	up.do(command{Do: "cut"})
	up.wants(event{Event: "close", Code: 1006})
	peer.wants(c.lost())

	// A client that is lost is not made up for: the upstream sees it as it is.
	open()
	peer.kill()
	up.wants(event{Event: "close", Code: 1006})
}
