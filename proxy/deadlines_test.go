package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// soon is a time-out that tests wait for.
const soon = 250 * time.Millisecond

// leeway is how late on a busy machine may come what is to come at once, or at
// the end of a time-out. It is shorter than the time-outs that are out of the way.
const leeway = 20 * time.Second

// TestSlowHeads is about clients that never finish their head.
func TestSlowHeads(t *testing.T) {
	balanced(t)
	upstream := newAccepter(t)
	r := start(t, Options{Limits: Limits{HeaderTimeout: soon}}, member{address: upstream.address()})
	unhurried := start(t, Options{}, member{address: upstream.address()})

	// timed checks that the connection ends at the deadline, not before.
	timed := func(t *testing.T, began time.Time) {
		t.Helper()
		if took := time.Since(began); took < soon || took > soon+leeway {
			t.Errorf("ended after %v, the deadline is %v", took, soon)
		}
	}
	for name, start := range map[string]string{
		"19 request line never ended": "GET /cha",
		"19 one letter":               "G",
		"19 head never ended":         strings.TrimSuffix(goodHead, "\r\n"),
		"19 half a line end":          strings.TrimSuffix(goodHead, "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			c := r.ask(start)
			c.t = t
			c.refused(start, 408)
			timed(t, began)
		})
	}
	t.Run("19 byte by byte", func(t *testing.T) {
		began := time.Now()
		c := r.dial()
		c.t = t
		var group sync.WaitGroup
		group.Go(func() { // each byte comes in time, the head does not
			for i := range goodHead {
				if _, err := io.WriteString(c, goodHead[i:i+1]); err != nil {
					return
				}
				if !within(soon/8, func() bool { return false }) && time.Since(began) > patience {
					return
				}
			}
		})
		c.refused(goodHead, 408)
		timed(t, began)
		c.Close()
		group.Wait()
	})
	t.Run("21 nothing", func(t *testing.T) {
		began := time.Now()
		c := r.dial()
		c.t = t
		c.eof() // nothing was asked, so nothing is answered
		timed(t, began)
	})
	t.Run("21 nothing, then the end", func(t *testing.T) {
		c := unhurried.dial()
		c.t = t
		_ = c.CloseWrite()
		c.eof()
	})
	t.Run("21 half a head, then the end", func(t *testing.T) {
		c := unhurried.ask(goodHead[:40])
		c.t = t
		_ = c.CloseWrite()
		c.eof()
	})
	t.Run("21 half a head, then a reset", func(t *testing.T) {
		before := unhurried.Totals().Abandoned
		c := unhurried.ask(goodHead[:40])
		c.t = t
		c.reset()
		until(t, "the client to be given up", func() bool { return unhurried.Totals().Abandoned == before+1 })
	})
	r.stop()
	unhurried.stop()
	upstream.stop()
	if n := upstream.conns.Load(); n != 0 {
		t.Errorf("%d connections reached the upstream", n)
	}
}

// TestManySlowHeads is fault 17: slow clients do not keep others out, and none
// outlives its deadline.
func TestManySlowHeads(t *testing.T) {
	balanced(t)
	upstream := newAccepter(t)
	r := start(t, Options{Limits: Limits{HeaderTimeout: time.Second}}, member{address: upstream.address()})
	began := time.Now()
	slow := make([]*peer, 300)
	for i := range slow {
		slow[i] = r.ask(goodHead[:i%len(goodHead)])
	}
	c, u := r.open(upstream)
	c.send(masked(textFrame, "between them"))
	u.wants(textFrame, "between them")
	for _, s := range slow {
		if _, err := io.Copy(io.Discard, s.in); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > time.Second+leeway {
		t.Errorf("the last slow client was closed after %v", took)
	}
	c.Close()
	u.gone()
	u.Close()
}

// TestHoldLong has sessions that are open for longer than anything may take that is none.
func TestHoldLong(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	const limit = 200 * time.Millisecond
	o := Options{Limits: Limits{HeaderTimeout: limit}, Failover: Failover{ConnectTimeout: patience, HandshakeTimeout: patience}}
	r := start(t, o, member{address: s.address()})
	c, up := r.open(s)
	secure, config := startTLS(t, o, member{address: s.address()})
	with := secure.dialTLS(config)
	if status := with.asks(t, goodHead); status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", status)
	}
	upWith := s.session()
	time.Sleep(2 * limit) // what must not end them has had its time
	up.say(string(plain(textFrame, "hello")))
	c.wants(textFrame, "hello")
	upWith.say(string(plain(textFrame, "hello")))
	if f, err := readFrame(with.in); err != nil || f.payload != "hello" {
		t.Fatalf("with TLS: got %v, %v", f, err)
	}
}

// TestRefusedBody checks that a client which keeps sending behind a refused head
// gets its answer, and is not listened to for ever.
func TestRefusedBody(t *testing.T) {
	balanced(t)
	upstream := newAccepter(t)
	r := start(t, Options{}, member{address: upstream.address()})
	c := r.ask(strings.Replace(add("Content-Length: 1000000000"), "GET", "POST", 1))
	var group sync.WaitGroup
	group.Go(func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	c.refused("POST", 405)
	group.Wait() // the connection is closed, although the body has not ended
}

// TestEarlyFrames is row 14: frames sent before the 101 are no HTTP. They wait
// and then come in order.
func TestEarlyFrames(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8<<10) // 128 KiB
	early := append(append(masked(textFrame, "first"), masked(binaryFrame, long)...), masked(textFrame, "third")...)
	for _, row := range []struct {
		name   string
		before bool // the frames come in the segment of the head
	}{{"14 with the head", true}, {"14 behind the head", false}} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			asked, go101 := make(chan struct{}), make(chan struct{})
			upstream := newStub(t, func(c *stubConn) {
				if !c.readHead() {
					return
				}
				close(asked)
				if !c.await(go101) {
					return
				}
				if c.in.Buffered() > 0 {
					t.Error("frames came before the 101")
				}
				if c.accept() {
					c.handOver()
				}
			})
			r := start(t, Options{}, member{address: upstream.address()})
			c := r.dial()
			var group sync.WaitGroup
			group.Go(func() { // no one reads the long frame before the 101
				if row.before {
					c.offer(goodHead + string(early))
				} else {
					c.offer(goodHead)
					<-asked
					c.offer(string(early))
				}
			})
			<-asked
			close(go101)
			c.upgraded()
			u := upstream.session()
			u.wants(textFrame, "first")
			u.wants(binaryFrame, long)
			u.wants(textFrame, "third")
			group.Wait()
			c.Close()
			u.gone()
			u.Close()
		})
	}
}
