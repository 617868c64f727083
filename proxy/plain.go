package proxy

import (
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// takesPlain reports whether the route answers a plain request itself.
func (r *Route) takesPlain(request *handshake.Request) bool {
	return r.desk != nil && r.desk.takes(request)
}

// answerPlain answers a plain request at the desk of its route, and reports
// whether another request may follow on the connection.
func (c *clientConn) answerPlain() (again bool) {
	_ = c.Conn.SetDeadline(time.Time{}) // what follows has deadlines of its own
	p := c.proxy
	in := c.content()
	out, err := p.serveDesk(c, in)
	if err != nil {
		c.refuse(err)
		return false
	}
	p.counters.plain.Add(1)
	keep := in.whole() && c.mayStay() && !p.stopping.Load()
	c.out = out.append(c.out[:0], c.request.Method, keep)
	c.say(c.out)
	if !keep {
		c.refused = true
		return false
	}
	c.head, c.plain, c.ticket = c.head[:0], false, nil
	return c.Conn.SetDeadline(time.Now().Add(c.world.options.Limits.HeaderTimeout)) == nil
}

// mayStay reports whether the client keeps its connection for another request. A
// stream of HTTP/2 carries one.
func (c *clientConn) mayStay() bool { return !c.streams() && !c.request.WantsClose() }
