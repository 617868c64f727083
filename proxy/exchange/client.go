package exchange

import (
	"errors"
	"net"
	"slices"
	"time"
)

// Client is the connection of a client, on which one request comes after the other. It is a [net.Conn] whose Read gives first what was
// read ahead, so that whoever reads the next head finds it there. It is for one goroutine at a time; Close and HangUp are for any.
type Client struct {
	net.Conn
	in *inbound
}

// NewClient makes a client of an ordinary connection, on which one goroutine may read while another writes, and of what was read behind
// the head of the first request; that is copied.
func NewClient(conn net.Conn, early []byte) *Client {
	in := &inbound{conn: conn}
	in.buf = append(make([]byte, 0, max(smallBuffer, len(early))), early...)
	return &Client{Conn: conn, in: in}
}

// Read implements [net.Conn].
func (c *Client) Read(p []byte) (int, error) {
	if rest := c.in.rest(); len(rest) > 0 {
		n := copy(p, rest)
		c.in.drop(n)
		return n, nil
	}
	return c.Conn.Read(p)
}

// Unread puts bytes back in front of what was read ahead; they are copied.
func (c *Client) Unread(p []byte) {
	if len(p) > 0 {
		c.in.buf, c.in.at = slices.Concat(p, c.in.rest()), 0
	}
}

// Rest takes what was read ahead. It is the caller's until the next call.
func (c *Client) Rest() []byte {
	rest := c.in.rest()
	c.in.drop(len(rest))
	return rest
}

// Await waits until the next request begins, for that long at most, or for [Client.HangUp]. Then the error is not nil.
func (c *Client) Await(idle time.Duration) error {
	if len(c.in.rest()) > 0 {
		return nil
	}
	c.in.waitUntil(time.Now().Add(idle))
	return c.in.await()
}

// HangUp ends an [Client.Await], the present one or the next.
func (c *Client) HangUp() { c.in.pull() }

// CloseWrite ends our stream; what the client still sends can be read.
func (c *Client) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
