package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// visitor is one client of the mixed test, without the patience of a [peer]:
// its errors are returned.
type visitor struct {
	*net.TCPConn
	in *bufio.Reader
}

func (r *rig) visit(head string) (*visitor, error) {
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	v := &visitor{conn.(*net.TCPConn), bufio.NewReaderSize(conn, 1024)}
	_, err = io.WriteString(v, head)
	return v, err
}

// wants reads an answer with this status.
func (v *visitor) wants(code int) error {
	a, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if code != 101 {
		_, err = io.Copy(io.Discard, a.Body)
	}
	a.Body.Close()
	if a.StatusCode != code {
		return fmt.Errorf("got %s, want %d", a.Status, code)
	}
	return err
}

// frame reads a frame that begins like this.
func (v *visitor) frame(first byte) error {
	f, err := readFrame(v.in)
	if err == nil && f.first != first {
		err = fmt.Errorf("got %v, want %#02x", f, first)
	}
	return err
}

// greet opens a session at path and has one message echoed.
func (r *rig) greet(path string) (*visitor, error) {
	v, err := r.visit(asking(path))
	if err != nil {
		return v, err
	}
	if err := v.wants(101); err != nil {
		return v, err
	}
	if _, err := v.Write(masked(textFrame, "hello")); err != nil {
		return v, err
	}
	return v, v.frame(textFrame)
}

// vanishing is a client that leaves once the upstream has its handshake.
type vanishing struct{ asked, gone chan struct{} }

// mixedUpstream is a stub's script: it does what the path says.
func mixedUpstream(vanished *sync.Map) func(*stubConn) {
	return func(c *stubConn) {
		if !c.readHead() {
			return
		}
		switch path := c.asked.URL.Path; path {
		case "/404":
			c.reply("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			return
		case "/503":
			c.reply("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			return
		case "/vanish":
			who, _ := vanished.Load(c.asked.URL.RawQuery)
			close(who.(vanishing).asked)
			if c.await(who.(vanishing).gone) {
				c.accept()
				c.hold()
			}
			return
		default:
			if !c.accept() {
				return
			}
			c.echo(path)
		}
	}
}

// echo echoes messages and ends as path says.
func (c *stubConn) echo(path string) {
	for {
		f, err := readFrame(c.in)
		switch {
		case err != nil:
			return
		case f.first == closeFrame:
			_, _ = c.Write(plain(closeFrame, f.payload))
			c.hold()
			return
		}
		if _, err := c.Write(plain(f.first, f.payload)); err != nil {
			return
		}
		switch path {
		case "/close":
			_, _ = c.Write(plain(closeFrame, status(1000, "")))
			c.hold()
			return
		case "/end":
			return
		case "/reset":
			reset(c)
			return
		}
	}
}

// sum is what the visits add up to.
type sum struct{ handshakes, accepted, refused, abandoned, failed, lost, visits atomic.Uint64 }

// TestMixedEndings lets thousands of clients come and go in every way at once.
// Afterwards nothing is left, and every total is exact.
func TestMixedEndings(t *testing.T) {
	balanced(t)
	vanished := new(sync.Map)
	upstream := newStub(t, mixedUpstream(vanished))
	r := start(t, Options{Relay: quickClose}, member{address: upstream.address()})
	var total sum
	var number atomic.Uint64

	session := func(path string, end func(v *visitor) error) func() error {
		return func() error {
			total.handshakes.Add(1)
			total.accepted.Add(1)
			v, err := r.greet(path)
			if v == nil {
				return err
			}
			defer v.Close()
			if err != nil {
				return err
			}
			return end(v)
		}
	}
	refused := func(head string, code int, handshake bool) func() error {
		return func() error {
			if total.refused.Add(1); handshake {
				total.handshakes.Add(1)
			}
			v, err := r.visit(head)
			if v == nil {
				return err
			}
			defer v.Close()
			return v.wants(code) // a head may be refused while it is being sent
		}
	}
	kinds := map[string]func() error{
		"client closes": session("/", func(v *visitor) error {
			_, err := v.Write(masked(closeFrame, status(1000, "")))
			return errors.Join(err, v.frame(closeFrame))
		}),
		"upstream closes": session("/close", func(v *visitor) error {
			err := v.frame(closeFrame)
			_, werr := v.Write(masked(closeFrame, status(1000, "")))
			return errors.Join(err, werr)
		}),
		"client ends":   session("/", func(*visitor) error { return nil }),
		"client resets": session("/", func(v *visitor) error { return v.SetLinger(0) }),
		"upstream ends": func() error {
			total.lost.Add(1)
			return session("/end", func(v *visitor) error { return v.frame(closeFrame) })()
		},
		"upstream resets": func() error {
			total.lost.Add(1)
			return session("/reset", func(v *visitor) error { return v.frame(closeFrame) })()
		},
		"bad key":         refused(keyed("x"), 400, false),
		"malformed head":  refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, false),
		"plain request":   refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426, false),
		"upstream's 404":  refused(asking("/404"), 404, true),
		"upstream's 503":  func() error { total.failed.Add(1); return refused(asking("/503"), 503, true)() },
		"says nothing":    func() error { return r.leave(&total, "", nil) },
		"leaves the head": func() error { return r.leave(&total, goodHead[:33], nil) },
		"vanishes before its 101": func() error {
			total.handshakes.Add(1)
			id, who := fmt.Sprint(number.Add(1)), vanishing{make(chan struct{}), make(chan struct{})}
			vanished.Store(id, who)
			defer close(who.gone)
			return r.leave(&total, asking("/vanish?"+id), who.asked)
		},
	}
	visits := 10_000
	if raceEnabled || testing.Short() {
		visits = 5_000
	}
	var plan []string
	for len(plan) < visits {
		for kind := range kinds {
			plan = append(plan, kind)
		}
	}
	crowd(64, 1, func(i int) {
		for ; i < len(plan); i += 64 {
			total.visits.Add(1)
			if err := kinds[plan[i]](); err != nil {
				t.Errorf("%s: %v", plan[i], err)
				return
			}
		}
	})
	until(t, "all sessions to end", func() bool { return r.Sessions() == 0 })
	r.checkTotals(&total)
}

// leave is a client that resets its connection, once asked is closed if it is
// given, without having got an answer.
func (r *rig) leave(total *sum, head string, asked <-chan struct{}) error {
	total.abandoned.Add(1)
	v, err := r.visit(head)
	if v == nil {
		return err
	}
	defer v.Close()
	if asked != nil {
		select {
		case <-asked:
		case <-time.After(patience):
			return errors.New("the handshake has not reached the upstream")
		}
	}
	return errors.Join(err, v.SetLinger(0))
}

// checkTotals compares the router's counters with what the clients have counted.
func (r *rig) checkTotals(total *sum) {
	r.t.Helper()
	want := Totals{
		Handshakes: total.handshakes.Load(), Accepted: total.accepted.Load(), Refused: total.refused.Load(),
		Abandoned: total.abandoned.Load(), Ended: total.accepted.Load(),
	}
	until(r.t, "those who left to be counted", func() bool { return r.Totals().Abandoned >= want.Abandoned })
	if got := r.Totals(); got != want {
		r.t.Errorf("totals %+v\nwant   %+v", got, want)
	}
	u := r.upstream("east")
	if n := u.Sessions(); n != 0 {
		r.t.Errorf("%d places not given back", n)
	}
	got := u.Totals()
	if got.HandshakeFailures != total.failed.Load() || got.Lost != total.lost.Load() {
		r.t.Errorf("upstream's totals %+v, want %d failures, %d lost", got, total.failed.Load(), total.lost.Load())
	}
}
