package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestStreamsEnd ends sessions in every way there is, from either side.
func TestStreamsEnd(t *testing.T) {
	normal := status(1000, "")
	for _, row := range []struct {
		name  string
		end   func(t *testing.T, r *rig, c *stream, up *peer)
		cause string
	}{
		{"client closes", func(t *testing.T, _ *rig, c *stream, up *peer) {
			c.send(t, masked(closeFrame, normal))
			up.wantsClose(1000)
			up.send(plain(closeFrame, normal))
			c.wantsClose(t, 1000)
			c.wantsEnd(t)
			c.out.Close()
			up.eof()
			up.Close()
		}, "client closed"},
		{"upstream closes", func(t *testing.T, _ *rig, c *stream, up *peer) {
			up.send(plain(closeFrame, normal))
			c.wantsClose(t, 1000)
			c.send(t, masked(closeFrame, normal))
			up.wantsClose(1000)
			up.Close()
			c.wantsEnd(t)
			c.out.Close()
		}, "upstream closed"},
		{"client ends its stream", func(t *testing.T, _ *rig, c *stream, up *peer) {
			c.send(t, masked(textFrame, "last"))
			c.out.Close()
			up.wants(textFrame, "last")
			up.eof()
			up.send(plain(textFrame, "too late?"))
			c.wants(t, textFrame, "too late?")
			up.Close()
		}, "client lost"},
		{"client resets its stream", func(t *testing.T, _ *rig, c *stream, up *peer) {
			c.reset()
			up.eof()
			up.Close()
		}, "client lost"},
		{"upstream is lost", func(t *testing.T, _ *rig, c *stream, up *peer) {
			up.reset()
			c.wantsClose(t, 1012)
			c.send(t, masked(closeFrame, status(1012, "")))
			c.wantsEnd(t)
			c.out.Close()
		}, "upstream lost"},
		{"drain", func(t *testing.T, r *rig, c *stream, up *peer) {
			r.relay.CloseAll(1012, "moved")
			c.wantsClose(t, 1012)
			c.send(t, masked(closeFrame, status(1012, "")))
			up.wantsClose(1012)
			up.Close()
			c.wantsEnd(t)
			c.out.Close()
		}, "asked"},
		{"offence", func(t *testing.T, _ *rig, c *stream, up *peer) {
			c.send(t, plain(textFrame, "without a mask"))
			up.wantsClose(1002)
			up.Close()
			c.wantsClose(t, 1002)
			c.wantsEnd(t)
			c.out.Close()
		}, "client offence"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newAccepter(t)
			r, client := startStreams(t, Options{}, member{address: s.address()})
			other := client.open() // which does not notice
			otherUp := s.session()
			c := client.open()
			up := s.session()
			c.send(t, masked(textFrame, "hello"))
			up.wants(textFrame, "hello")
			row.end(t, r, c, up)
			if row.name != "drain" {
				r.wantEnd(row.cause)
				other.send(t, masked(textFrame, "still here"))
				otherUp.wants(textFrame, "still here")
			}
			if n := client.dialed.Load(); n != 1 {
				t.Errorf("there were %d connections, want 1", n)
			}
		})
	}
}

// TestStreamsLost cuts the connection below many sessions.
func TestStreamsLost(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	const many = 20
	var ups []*peer
	for range many {
		client.open()
		ups = append(ups, s.session())
	}
	client.last.Close()
	for _, up := range ups {
		up.gone()
		up.Close()
	}
	for range many {
		r.wantEnd("client lost")
	}
	until(t, "the streams to be counted out", func() bool { return r.counters.streams.Load() == 0 })
}

// TestStreamsWithoutASession: streams that wait, or that nobody reads the answer of, have no descriptors, and do not keep others out.
func TestStreamsWithoutASession(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	raw := client.raw("")
	_, _ = io.WriteString(raw.Conn, http2.ClientPreface)
	_ = raw.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	const many = 90
	for i := range uint32(many) {
		raw.block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "router.example"}, {":path", "/"}} {
			_ = raw.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		_ = raw.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: raw.block.Bytes(), EndHeaders: true, EndStream: true})
	}
	until(t, "all to be there", func() bool { return r.counters.streams.Load() == many })
	if n := r.filesUsed(); n != 1 {
		t.Errorf("one connection counts as %d descriptors", n)
	}
	c := client.open() // a connection and a session: the upstream's, and a pair
	up := s.session()
	until(t, "the session to be counted", func() bool { return r.filesUsed() == 2+3 })
	c.reset()
	up.gone()
	up.Close()
	r.wantEnd("client lost")
	raw.Conn.Close()
	until(t, "all to be counted out", func() bool {
		n := &r.counters
		return n.streams.Load() == 0 && n.streamsAtGate.Load() == 0 && n.streamFiles.Load() == 0 && n.open.Load() == 0
	})
}

// TestStreamsShutdown ends the router. The sessions get a Close frame, and the
// connection a good-bye.
func TestStreamsShutdown(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	c := client.open()
	up := s.session()
	r.cancel()
	c.wantsClose(t, 1001)
	if other, err := client.ask(http.MethodConnect, "/", http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}); err == nil && other.StatusCode != 503 {
		t.Errorf("a router that ends answered %s", other.Status)
	}
	c.send(t, masked(closeFrame, status(1001, "")))
	up.wantsClose(1001)
	up.Close()
	c.wantsEnd(t)
	c.out.Close()
	r.stop()
	r.wantEnd("asked")
}

// TestStreamsCut ends the router while clients do not care: one that does not
// answer the Close frame, one that takes nothing, one without a session.
func TestStreamsCut(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, client := startStreams(t, Options{Shutdown: Shutdown{Deadline: 2 * time.Second}, Relay: relay.Options{WriteTimeout: -1}}, member{address: s.address()})
	client.open()
	s.session()
	second := newStreamClient(t, r.address, client.config.RootCAs)
	second.open()
	s.session().fill(plain(binaryFrame, strings.Repeat("y", 64<<10)))
	third := newStreamClient(t, r.address, client.config.RootCAs)
	if got, err := third.ask(http.MethodGet, "/", nil); err != nil || got.StatusCode != 426 {
		t.Errorf("got %v, %v", got, err)
	}
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > patience {
		t.Errorf("the end took %v", took)
	}
}

// TestStreamsHandshakeCut ends the router while an upstream is being asked.
func TestStreamsHandshakeCut(t *testing.T) {
	balanced(t)
	asked := make(chan struct{})
	s := newStub(t, func(c *stubConn) {
		if c.readHead() {
			close(asked)
			c.hold()
		}
	})
	o := Options{Shutdown: Shutdown{Deadline: time.Second}, Failover: Failover{HandshakeTimeout: 3 * time.Second}}
	r, client := startStreams(t, o, member{address: s.address()})
	answers := make(chan int, 1)
	go func() {
		c, err := client.ask(http.MethodConnect, "/", http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}})
		if err == nil {
			answers <- c.StatusCode
		} else {
			answers <- 0
		}
	}()
	<-asked
	r.stop()
	if got := <-answers; got == 200 {
		t.Error("a session was opened")
	}
}
