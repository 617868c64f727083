package proxy

import (
	"strings"
	"testing"
)

// TestBrokenConnections is fault 21 and row 55: one side's connection ends, with
// a FIN or an RST, at every point of a session. The other side is ended once,
// and no code that must not be on the wire is on it.
func TestBrokenConnections(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: quickClose}, member{address: s.address()})
	half := strings.Repeat("x", 5000)
	for _, row := range []struct {
		name  string
		story func(c, u *peer, end func(*peer))
		cause string
	}{
		{"client, idle", func(c, u *peer, end func(*peer)) {
			end(c)
			u.gone() // no Close frame: the client has said none
		}, "client lost"},
		{"client, in a header", func(c, u *peer, end func(*peer)) {
			c.send(masked(textFrame, "before"), masked(binaryFrame, half)[:3])
			u.wants(textFrame, "before")
			end(c)
			u.gone()
		}, "client lost"},
		{"client, in a payload", func(c, u *peer, end func(*peer)) {
			c.send(masked(binaryFrame, half+half)[:8+len(half)])
			u.skip(8 + len(half))
			end(c)
			u.gone()
		}, "client lost"},
		{"client, between fragments", func(c, u *peer, end func(*peer)) {
			c.send(masked(textStart, "start"))
			u.wants(textStart, "start")
			end(c)
			u.gone()
		}, "client lost"},
		{"client, with a frame on its way to it", func(c, u *peer, end func(*peer)) {
			u.send(plain(binaryFrame, half+half)[:4+len(half)])
			c.skip(4 + len(half))
			end(c)
			u.gone()
		}, "client lost"},
		{"client, behind its close", func(c, u *peer, end func(*peer)) {
			c.send(masked(closeFrame, status(1000, "bye")))
			end(c)
			u.wants(closeFrame, status(1000, "bye"))
			u.offer(string(plain(closeFrame, status(1000, "bye"))))
			u.gone()
		}, "client closed"},
		{"client, in its close", func(c, u *peer, end func(*peer)) {
			c.send(masked(closeFrame, status(1000, "bye"))[:7])
			end(c)
			u.gone()
		}, "client lost"},
		{"client, instead of an answer to a close", func(c, u *peer, end func(*peer)) {
			u.send(plain(closeFrame, status(1001, "")))
			c.wantsClose(1001)
			end(c)
			// The router may answer for the client that is gone.
			if f, err := readFrame(u.in); err == nil && (f.first != closeFrame || f.payload != status(1001, "")) {
				u.t.Errorf("upstream got %v", f)
			}
		}, "upstream closed"},
		{"upstream, idle", func(c, u *peer, end func(*peer)) {
			end(u)
			c.wantsClose(1012)
		}, "upstream lost"},
		{"upstream, in a header", func(c, u *peer, end func(*peer)) {
			u.send(plain(textFrame, "before"), plain(binaryFrame, half)[:3])
			c.wants(textFrame, "before")
			end(u)
			c.wantsClose(1012)
		}, "upstream lost"},
		{"upstream, in a payload", func(c, u *peer, end func(*peer)) {
			u.send(plain(binaryFrame, half+half)[:4+len(half)])
			c.skip(4 + len(half))
			end(u)
			c.gone() // a Close frame has no place in a frame
		}, "upstream lost"},
		{"upstream, between fragments", func(c, u *peer, end func(*peer)) {
			u.send(plain(textStart, "start"))
			c.wants(textStart, "start")
			end(u)
			c.wantsClose(1012)
		}, "upstream lost"},
		{"upstream, with a frame on its way to it", func(c, u *peer, end func(*peer)) {
			c.send(masked(binaryFrame, half+half)[:8+len(half)])
			u.skip(8 + len(half))
			end(u)
			c.wantsClose(1012)
		}, "upstream lost"},
		{"upstream, behind its close", func(c, u *peer, end func(*peer)) {
			u.send(plain(closeFrame, status(1001, "bye")))
			end(u)
			c.wants(closeFrame, status(1001, "bye"))
			c.offer(string(masked(closeFrame, status(1001, "bye"))))
			c.gone()
		}, "upstream closed"},
		{"upstream, in its close", func(c, u *peer, end func(*peer)) {
			u.send(plain(closeFrame, status(1001, "bye"))[:4])
			end(u)
			c.wantsClose(1012)
		}, "upstream lost"},
		{"upstream, instead of an answer to a close", func(c, u *peer, end func(*peer)) {
			c.send(masked(closeFrame, status(1000, "bye")))
			u.wantsClose(1000)
			end(u)
			c.wantsClose(1000)
			c.gone()
		}, "client closed"},
		{"both at once", func(c, u *peer, end func(*peer)) {
			end(c)
			end(u)
		}, ""},
	} {
		for how, end := range map[string]func(*peer){"fin": func(p *peer) { p.Close() }, "rst": (*peer).reset} {
			t.Run(row.name+", "+how, func(t *testing.T) {
				lost := r.upstream("east").Totals().Lost
				c, u := r.open(s)
				c.t, u.t = t, t
				row.story(c, u, end)
				c.Close()
				u.Close()
				if e := r.ended(); e.cause != row.cause && row.cause != "" {
					t.Errorf("ended with %+v, want %q", e, row.cause)
				}
				until(t, "the place to be given back", func() bool { return r.Sessions() == 0 })
				if got := r.upstream("east").Totals().Lost - lost; row.cause != "" && (got == 1) != (row.cause == "upstream lost") {
					t.Errorf("%d sessions count as lost by the upstream", got)
				}
			})
		}
	}
	r.stop()
	if len(r.ends) != 0 {
		t.Errorf("%d sessions ended twice", len(r.ends))
	}
}

// skip reads n bytes of whatever.
func (p *peer) skip(n int) {
	p.t.Helper()
	if got, err := p.in.Discard(n); err != nil {
		p.t.Fatalf("%s: got %d of %d bytes: %v", p.name, got, n, err)
	}
}
