package http2

import (
	"time"

	h2 "golang.org/x/net/http2"
)

// leaving is how far a connection is on its way to an end in good order.
type leaving uint8

const (
	staying leaving = iota
	warned          // the first GOAWAY: requests that are on their way are still taken
	left            // the second: it says which one was the last
)

// goodbyeWait is how long the client may take to answer the ping behind the
// first GOAWAY.
const goodbyeWait = time.Second

// goodbyePing is how that answer is known.
var goodbyePing = [8]byte{'g', 'o', 'o', 'd', '-', 'b', 'y', 'e'}

// Leave ends the connection in good order (RFC 9113 §6.8): the client is told to
// open no more streams, and the connection ends when the last one is closed. It
// may be called at any time, by anyone, and does not wait.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave()
}

// leave is the first step. The caller holds mu.
func (c *Conn) leave() {
	if c.finished || c.leaving != staying {
		return
	}
	c.leaving = warned
	_ = c.frames.WriteGoAway(mostWindow, h2.ErrCodeNo, nil)
	_ = c.frames.WritePing(false, goodbyePing)
	c.goodbye = time.AfterFunc(goodbyeWait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.left()
	})
}

// left is the second step: every request that the client sent before it knew has
// come. The caller holds mu.
func (c *Conn) left() {
	if c.finished || c.leaving != warned {
		return
	}
	c.leaving = left
	c.goodbye.Stop()
	if len(c.streams) > 0 {
		_ = c.frames.WriteGoAway(c.last, h2.ErrCodeNo, nil)
	}
	c.settle() // says it otherwise
}
