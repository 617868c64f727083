package proxy

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/relay"
)

// frameRow is a frame that breaks RFC 6455 and the code of the verdict on it.
type frameRow struct {
	name string // begins with the number of the row in the table of bad inputs
	bad  []byte
	code uint16
}

// frameLimit is the largest frame that the router of these tests carries.
const frameLimit = 64 << 10

// badFrames returns the rows that hold for both directions; right is masked for
// a client and plain for an upstream, wrong the other one.
func badFrames(right, wrong func(byte, string) []byte) []frameRow {
	rows := []frameRow{
		{"39/40 mask", wrong(textFrame, "x"), 1002},
		{"39/40 mask of a ping", wrong(pingFrame, ""), 1002},
		{"43 ping of 126 bytes", right(pingFrame, strings.Repeat("p", 126)), 1002},
		{"43 pong of 70000 bytes", right(pongFrame, strings.Repeat("p", 70000)), 1002},
		{"43 fragmented ping", right(pingFrame&^0x80, "p"), 1002},
		{"43 fragmented close", right(closeFrame&^0x80, status(1000, "")), 1002},
		{"44 length in 8 bytes for 10", long(right(binaryFrame, ""), 10), 1002},
		{"44 length with its top bit", long(right(binaryFrame, ""), 1<<63|1), 1002},
		{"44 length of 2^62", long(right(binaryFrame, ""), 1<<62), 1009},
		{"45 frame over the limit", right(binaryFrame, strings.Repeat("x", frameLimit+1)), 1009},
		{"45 last fragment over the limit", append(right(textStart, "x"), right(lastPart, strings.Repeat("x", frameLimit+1))...), 1009},
		{"47 continuation without start", right(lastPart, "x"), 1002},
		{"47 message inside a message", append(right(textStart, "x"), right(textFrame, "y")...), 1002},
		{"49 close of 1 byte", right(closeFrame, "x"), 1002},
		{"49 close with 124 bytes of reason", right(closeFrame, status(1000, strings.Repeat("r", 124))), 1002},
	}
	for _, bit := range []byte{0x40, 0x20, 0x10, 0x70} {
		rows = append(rows,
			frameRow{fmt.Sprintf("41 reserved bits %#02x", bit), right(textFrame|bit, "x"), 1002},
			frameRow{fmt.Sprintf("41 reserved bits %#02x in a close", bit), right(closeFrame|bit, status(1000, "")), 1002})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rows = append(rows, frameRow{fmt.Sprintf("42 opcode %d", op), right(0x80|op, "x"), 1002})
	}
	return rows
}

// long gives an empty frame another length, in 8 bytes, with no data behind it.
func long(empty []byte, size uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{empty[0], empty[1] | 127}, size)
	return append(b, empty[2:]...)
}

// TestClientOffences: the upstream gets the verdict as a Close frame, and once
// it has answered, the client gets the same code. What came before is delivered.
func TestClientOffences(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{MaxFrame: frameLimit}}, member{address: s.address()})
	for _, row := range badFrames(masked, plain) {
		t.Run(row.name, func(t *testing.T) {
			c, u := r.open(s)
			c.t, u.t = t, t
			// The router need not read to the end of a bad frame.
			c.offer(string(masked(textFrame, "before")) + string(row.bad))
			u.wants(textFrame, "before")
			f := u.frame()
			if f.first == textStart {
				f = u.frame() // the good start of a bad message
			}
			if f.first != closeFrame || !strings.HasPrefix(f.payload, status(row.code, "")) {
				t.Fatalf("upstream got %v", f)
			}
			u.send(plain(textFrame, "in flight"), plain(closeFrame, f.payload[:2]))
			c.wants(textFrame, "in flight")
			c.wantsClose(row.code)
			u.eof()
			u.Close()
			c.gone()
			c.Close()
			r.wantEnd("client offence")
		})
	}
	if n := r.upstream("east").Totals().Lost; n != 0 {
		t.Errorf("%d client offences count as lost by the upstream", n)
	}
}

// TestUpstreamOffences: the client gets 1011 and the upstream the verdict.
func TestUpstreamOffences(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{MaxFrame: frameLimit}}, member{address: s.address()})
	rows := badFrames(plain, masked)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, u := r.open(s)
			c.t, u.t = t, t
			u.offer(string(plain(textFrame, "before")) + string(row.bad))
			c.wants(textFrame, "before")
			f := c.frame()
			if f.first == textStart {
				f = c.frame()
			}
			if f.first != closeFrame || !strings.HasPrefix(f.payload, status(1011, "")) {
				t.Fatalf("client got %v", f)
			}
			c.send(masked(textFrame, "in flight"), masked(closeFrame, f.payload[:2]))
			u.wants(textFrame, "in flight")
			u.wantsClose(row.code)
			c.eof()
			c.Close()
			u.gone()
			u.Close()
			r.wantEnd("upstream offence")
		})
	}
	if n := r.upstream("east").Totals().Lost; n != uint64(len(rows)) {
		t.Errorf("%d offences of %d count as lost by the upstream", n, len(rows))
	}
}

// TestOpaqueFrames is about what a tunnel does not judge: it passes unchanged.
func TestOpaqueFrames(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{MaxFrame: frameLimit}}, member{address: s.address()})
	for name, frames := range map[string][]frame{
		"44 empty frames":              {{textFrame, true, ""}, {binaryFrame, true, ""}, {pingFrame, true, ""}},
		"45 fragments beyond limit":    {{textStart, true, strings.Repeat("a", frameLimit)}, {lastPart, true, strings.Repeat("b", frameLimit)}},
		"48 invalid UTF-8":             {{textFrame, true, "\xff\xfe"}, {textFrame, true, "\xed\xa0\x80"}, {textFrame, true, "\xc0\xaf"}},
		"48 UTF-8 split in a letter":   {{textStart, true, "\xc3"}, {lastPart, true, "\xa4"}},
		"48 late error":                {{textStart, true, strings.Repeat("a", 5000)}, {lastPart, true, "\xff"}},
		"52 unsolicited pongs":         {{pongFrame, true, ""}, {pongFrame, true, "12345678"}, {pongFrame, true, strings.Repeat("p", 125)}},
		"52 pings between fragments":   {{textStart, true, "a"}, {pingFrame, true, "p"}, {middle, true, "b"}, {pongFrame, true, ""}, {lastPart, true, "c"}},
		"46 empty fragments, then end": {{textStart, true, ""}, {middle, true, ""}, {middle, true, ""}, {lastPart, true, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			c, u := r.open(s)
			c.t, u.t = t, t
			for _, f := range frames {
				c.send(masked(f.first, f.payload))
				u.wants(f.first, f.payload)
				u.send(plain(f.first, f.payload))
				c.wants(f.first, f.payload)
			}
			c.Close()
			u.gone()
			u.Close()
			r.wantEnd("client lost")
		})
	}
	t.Run("46 many fragments of 1 byte", func(t *testing.T) {
		const count = 50_000
		c, u := r.open(s)
		c.t, u.t = t, t
		fragment := string(masked(middle, "x"))
		go c.offer(string(masked(textStart, "")) + strings.Repeat(fragment, count))
		u.wants(textStart, "")
		for range count {
			u.wants(middle, "x")
		}
		c.Close()
		u.gone()
		u.Close()
		r.wantEnd("client lost")
	})
	t.Run("54 garbage with an agreed extension", func(t *testing.T) {
		deflate := newStub(t, func(c *stubConn) {
			if c.reply(with(acceptLine, acceptLine+"Sec-WebSocket-Extensions: permessage-deflate\r\n")) {
				c.handOver()
			}
		})
		r := start(t, Options{}, member{address: deflate.address()})
		c := r.ask(add("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
		c.upgraded()
		u := deflate.session()
		c.send(masked(0xC1, "\x00garbage"), masked(0x41, "truncat"), masked(lastPart, ""))
		u.wants(0xC1, "\x00garbage")
		u.wants(0x41, "truncat")
		u.wants(lastPart, "")
		u.send(plain(0xC2, "\xff\xff"))
		c.wants(0xC2, "\xff\xff")
		u.send(plain(0xA1, "rsv2")) // not of this extension
		c.wantsClose(1011)
		c.send(masked(closeFrame, status(1011, "")))
		u.wantsClose(1002)
		c.Close()
		u.Close()
		r.wantEnd("upstream offence")
	})
}

// TestCloseFrames is rows 49 and 50: the two ends' own good-byes pass as they
// are, whatever code they carry, and what comes behind them does not.
func TestCloseFrames(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address()})
	bodies := []string{"", status(1000, ""), status(3000, "grüß"), status(1012, strings.Repeat("r", 123)), status(4999, "\xff")}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000} {
		bodies = append(bodies, status(code, "odd"))
	}
	for _, body := range bodies {
		t.Run(fmt.Sprintf("49 %.20q", body), func(t *testing.T) {
			c, u := r.open(s)
			c.t, u.t = t, t
			c.send(masked(closeFrame, body), masked(textFrame, "behind"), masked(closeFrame, status(1001, "")))
			u.wants(closeFrame, body)
			u.send(plain(textFrame, "in flight"), plain(closeFrame, body), plain(textFrame, "behind"))
			c.wants(textFrame, "in flight")
			c.wants(closeFrame, body)
			c.eof()
			u.eof()
			c.Close()
			u.Close()
			want := int64(1005)
			if body != "" {
				want = int64(binary.BigEndian.Uint16([]byte(body)))
			}
			if e := r.ended(); e.cause != "client closed" || e.code != want {
				t.Errorf("ended with %+v", e)
			}
		})
	}
	r = start(t, Options{Relay: quickClose}, member{address: s.address()})
	for _, from := range []string{"client", "upstream"} {
		t.Run("50 close of the "+from+" never answered", func(t *testing.T) {
			c, u := r.open(s)
			c.t, u.t = t, t
			began := time.Now()
			if from == "client" {
				c.send(masked(closeFrame, status(1000, "bye")))
				u.wants(closeFrame, status(1000, "bye"))
				c.wantsClose(1000) // from the router, when the wait is over
			} else {
				u.send(plain(closeFrame, status(1000, "bye")))
				c.wants(closeFrame, status(1000, "bye"))
				u.wantsClose(1000)
			}
			c.eof()
			u.eof()
			if took := time.Since(began); took < soon || took > soon+leeway {
				t.Errorf("the end took %v", took)
			}
			c.Close()
			u.Close()
			r.wantEnd(from + " closed")
		})
	}
}
