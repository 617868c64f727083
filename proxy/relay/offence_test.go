package relay

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// maxFrame is the size limit in the tests of offences.
const maxFrame = 100_000

// offence is a way to break the protocol.
type offence struct {
	name   string
	before []byte // legal and delivered
	bad    []byte
	want   *wsframe.Violation
}

// offences are the breaches one side can commit with frames made by good; bad
// makes them with the mask of the other side.
func offences(good, bad frameOf, wrongMask *wsframe.Violation) []offence {
	before := good(textFrame, "before")
	started := append(good(textFrame, "before"), good(textStart, "begun")...)
	key := []byte{1, 2, 3, 4}
	if good(textFrame, "")[1]&0x80 == 0 {
		key = nil
	}
	long := func(form byte, size uint64) []byte {
		h := header(binaryFrame, 0, key)
		h[1] = h[1]&0x80 | form
		rest := append([]byte(nil), h[2:]...)
		if form == 126 {
			h = binary.BigEndian.AppendUint16(h[:2], uint16(size))
		} else {
			h = binary.BigEndian.AppendUint64(h[:2], size)
		}
		return append(h, rest...)
	}
	list := []offence{
		{"wrong masking", before, bad(textFrame, "x"), wrongMask},
		{"wrong masking of a ping", before, bad(pingFrame, "x"), wrongMask},
		{"rsv1", before, good(0xC1, "x"), wsframe.ErrReservedBits},
		{"rsv2", before, good(0xA1, "x"), wsframe.ErrReservedBits},
		{"rsv3 on a ping", before, good(0x99, "x"), wsframe.ErrReservedBits},
		{"opcode 3", before, good(0x83, "x"), wsframe.ErrOpcode},
		{"opcode 7", before, good(0x87, "x"), wsframe.ErrOpcode},
		{"opcode 11", before, good(0x8B, "x"), wsframe.ErrOpcode},
		{"opcode 15", before, good(0x8F, "x"), wsframe.ErrOpcode},
		{"ping of 126 bytes", before, good(pingFrame, strings.Repeat("p", 126)), wsframe.ErrControlSize},
		{"close of 126 bytes", before, good(closeFrame, body(1000, strings.Repeat("p", 124))), wsframe.ErrControlSize},
		{"fragmented ping", before, good(0x09, "x"), wsframe.ErrControlFin},
		{"fragmented close", before, good(0x08, body(1000, "")), wsframe.ErrControlFin},
		{"125 in 16 bits", before, long(126, 125), wsframe.ErrLength},
		{"65535 in 64 bits", before, long(127, 65535), wsframe.ErrLength},
		{"length with top bit", before, long(127, 1<<63), wsframe.ErrLengthTop},
		{"continuation without start", before, good(lastPart, "x"), wsframe.ErrContinuation},
		{"message inside a message", started, good(textFrame, "x"), wsframe.ErrInterleaved},
		{"close of one byte", before, good(closeFrame, "x"), wsframe.ErrCloseBody},
		{"over the limit", before, header(binaryFrame, maxFrame+1, key), wsframe.ErrTooBig},
		{"2^62 bytes", before, header(binaryFrame, 1<<62, key), wsframe.ErrTooBig},
		{"at once", nil, good(lastPart, "x"), wsframe.ErrContinuation},
	}
	return list
}

// What came before the offence is delivered; the upstream's answers in flight
// still reach the client, and then it gets the verdict.
func TestClientOffence(t *testing.T) { eachScheme(t, plainAndTLS, testClientOffence) }

func testClientOffence(t *testing.T, over scheme) {
	r := start(t, Options{MaxFrame: maxFrame}, over)
	for _, o := range offences(masked, unmasked, wsframe.ErrUnmasked) {
		t.Run(o.name, func(t *testing.T) {
			l := r.join(t)
			after := masked(textFrame, "after")
			l.client.send(o.before, o.bad, after)
			l.upstream.bytes(o.before)
			l.upstream.wantsClose(o.want.Code, o.want.Reason)
			l.client.send(after) // nobody looks at it any more
			inFlight, echo := unmasked(textFrame, "in flight"), unmasked(closeFrame, body(o.want.Code, ""))
			l.upstream.send(inFlight)
			l.client.bytes(inFlight)
			l.upstream.send(inFlight, echo)
			l.client.bytes(inFlight)
			l.client.wantsClose(o.want.Code, o.want.Reason)
			l.client.eof()
			l.upstream.eof()
			l.hangUp()
			l.end(End{Cause: ClientOffence, Code: o.want.Code, Reason: o.want.Reason,
				Client: sent(min(1, uint64(len(o.before))), o.before, o.bad, after, after), Upstream: sent(2, inFlight, inFlight, echo)})
		})
	}
}

func TestUpstreamOffence(t *testing.T) { eachScheme(t, plainAndTLS, testUpstreamOffence) }

func testUpstreamOffence(t *testing.T, over scheme) {
	r := start(t, Options{MaxFrame: maxFrame}, over)
	for _, o := range offences(unmasked, masked, wsframe.ErrMasked) {
		t.Run(o.name, func(t *testing.T) {
			l := r.join(t)
			after := unmasked(textFrame, "after")
			l.upstream.send(o.before, o.bad, after)
			l.client.bytes(o.before)
			l.client.wantsClose(1011, o.want.Reason)
			l.upstream.send(after) // nobody looks at it any more
			inFlight, echo := masked(textFrame, "in flight"), masked(closeFrame, body(1011, ""))
			l.client.send(inFlight)
			l.upstream.bytes(inFlight)
			l.client.send(inFlight, echo)
			l.upstream.bytes(inFlight)
			l.upstream.wantsClose(o.want.Code, o.want.Reason)
			l.client.eof()
			l.upstream.eof()
			l.hangUp()
			l.end(End{Cause: UpstreamOffence, Code: o.want.Code, Reason: o.want.Reason,
				Client: sent(2, inFlight, inFlight, echo), Upstream: sent(min(1, uint64(len(o.before))), o.before, o.bad, after, after)})
		})
	}
}

// A message over the limit ends the session with the frame that makes it so. What
// came before is delivered, the beginning of the message included.
func TestMessageOverTheLimit(t *testing.T) { eachScheme(t, plainAndTLS, testMessageOverTheLimit) }

func testMessageOverTheLimit(t *testing.T, over scheme) {
	const reason = "message over the size limit"
	r := start(t, Options{MaxFrame: maxFrame, MaxMessage: 1000}, over)
	random := randomness(t)
	f := func(name string, fragments ...int) {
		for _, d := range []side{client, upstream} {
			t.Run(fmt.Sprintf("%s from side %d", name, d), func(t *testing.T) {
				l := r.join(t)
				from, to, told := l.client, l.upstream, uint16(1009)
				if d == upstream {
					from, to, told = to, from, 1011
				}
				good := [][]byte{from.frameFrom(textFrame, payload(random, 1000))}
				for i, size := range fragments {
					good = append(good, from.frameFrom([]byte{textStart, middle}[min(i, 1)], payload(random, size)), from.frameFrom(pingFrame, "between"))
				}
				bad := from.frameFrom(binaryFrame, payload(random, 1001))
				if len(fragments) > 0 {
					bad = from.frameFrom(lastPart, "x")
				}
				from.send(append(append([][]byte(nil), good...), bad)...)
				to.bytes(good...)
				to.wantsClose(told, reason)
				echo := to.frameFrom(closeFrame, body(told, ""))
				to.send(echo)
				from.wantsClose(1009, reason)
				l.hangUp()
				traffic := [2]Traffic{sent(1, append(good, bad)...), sent(0, echo)}
				want := End{Cause: ClientOffence + Cause(d), Code: 1009, Reason: reason, Client: traffic[d], Upstream: traffic[d.other()]}
				l.end(want)
			})
		}
	}
	f("whole")
	f("two fragments", 1000)
	f("many fragments", 1, 498, 0, 501)
}

// A frame of exactly the limit passes.
func TestFrameOfTheLimit(t *testing.T) { eachScheme(t, plainAndTLS, testFrameOfTheLimit) }

func testFrameOfTheLimit(t *testing.T, over scheme) {
	l := start(t, Options{MaxFrame: maxFrame}, over).join(t)
	random := randomness(t)
	client, upstream := masked(binaryFrame, payload(random, maxFrame)), unmasked(binaryFrame, payload(random, maxFrame))
	l.talk(random, 1<<20, [][]byte{client}, [][]byte{upstream})
	l.goodBye(sent(1, client), sent(1, upstream))
}

func TestOffenceWithSilentOtherSide(t *testing.T) {
	eachScheme(t, plainAndTLS, testOffenceWithSilentOtherSide)
}

func testOffenceWithSilentOtherSide(t *testing.T, over scheme) {
	r := start(t, Options{CloseWait: 50 * time.Millisecond}, over)
	t.Run("client", func(t *testing.T) {
		l := r.join(t)
		bad := masked(0x83, "")
		l.client.send(bad)
		l.upstream.wantsClose(1002, "reserved opcode")
		l.client.wantsClose(1002, "reserved opcode")
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: ClientOffence, Code: 1002, Reason: "reserved opcode", Client: sent(0, bad)})
	})
	t.Run("upstream", func(t *testing.T) {
		l := r.join(t)
		bad := unmasked(0x83, "")
		l.upstream.send(bad)
		l.client.wantsClose(1011, "reserved opcode")
		l.upstream.wantsClose(1002, "reserved opcode")
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamOffence, Code: 1002, Reason: "reserved opcode", Upstream: sent(0, bad)})
	})
}

// The other side may be in the middle of a frame at the end of the wait: then
// the offender gets the plain end.
func TestOffenceWithUnfinishedFrameOfOtherSide(t *testing.T) {
	eachScheme(t, plainAndTLS, testOffenceWithUnfinishedFrameOfOtherSide)
}

func testOffenceWithUnfinishedFrameOfOtherSide(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 50 * time.Millisecond}, over).join(t)
	part := unmasked(binaryFrame, payload(randomness(t), 1000))[:500]
	l.upstream.send(part)
	l.client.bytes(part)
	l.client.send(masked(0x83, ""))
	l.upstream.wantsClose(1002, "reserved opcode")
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientOffence, Code: 1002, Reason: "reserved opcode", Client: sent(0, masked(0x83, "")), Upstream: sent(1, part)})
}

// The other side is lost instead of answering: the offender gets the verdict.
func TestOffenceAndLoss(t *testing.T) { eachScheme(t, plainAndTLS, testOffenceAndLoss) }

func testOffenceAndLoss(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		l := r.join(t)
		bad := masked(0x83, "")
		l.client.send(bad)
		l.upstream.wantsClose(1002, "reserved opcode")
		inFlight := unmasked(textFrame, "in flight")
		l.upstream.send(inFlight)
		l.client.bytes(inFlight)
		leave(l.upstream)
		l.client.wantsClose(1002, "reserved opcode")
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: ClientOffence, Code: 1002, Reason: "reserved opcode", Client: sent(0, bad), Upstream: sent(1, inFlight)})
	})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		l := r.join(t)
		bad := unmasked(0x83, "")
		l.upstream.send(bad)
		l.client.wantsClose(1011, "reserved opcode")
		leave(l.client)
		l.upstream.wantsClose(1002, "reserved opcode")
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamOffence, Code: 1002, Reason: "reserved opcode", Upstream: sent(0, bad)})
	})
}

// Both sides break the protocol: each has heard of one offence, the client of the
// second one, which is the upstream's answer to the first.
func TestBothOffend(t *testing.T) { eachScheme(t, plainAndTLS, testBothOffend) }

func testBothOffend(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	badClient, badUpstream := masked(0x83, ""), unmasked(lastPart, "")
	l.client.send(badClient)
	l.upstream.wantsClose(1002, "reserved opcode")
	l.upstream.send(badUpstream)
	l.client.wantsClose(1011, "continuation without a message")
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientOffence, Code: 1002, Reason: "reserved opcode", Client: sent(0, badClient), Upstream: sent(0, badUpstream)})
}

// An offence after the other side's Close frame changes nothing about the end.
func TestOffenceInsteadOfAnswer(t *testing.T) { eachScheme(t, plainAndTLS, testOffenceInsteadOfAnswer) }

func testOffenceInsteadOfAnswer(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	t.Run("client", func(t *testing.T) {
		l := r.join(t)
		bye, bad := unmasked(closeFrame, body(1000, "bye")), masked(0x83, "")
		l.upstream.send(bye)
		l.client.bytes(bye)
		l.client.send(bad)
		l.upstream.wantsClose(1002, "reserved opcode")
		l.upstream.eof()
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamClosed, Code: 1000, Reason: "bye", Client: sent(0, bad), Upstream: sent(0, bye)})
	})
	t.Run("upstream", func(t *testing.T) {
		l := r.join(t)
		bye, bad := masked(closeFrame, body(1000, "bye")), unmasked(0x83, "")
		l.client.send(bye)
		l.upstream.bytes(bye)
		l.upstream.send(bad)
		l.client.wantsClose(1011, "reserved opcode")
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: ClientClosed, Code: 1000, Reason: "bye", Client: sent(0, bye), Upstream: sent(0, bad)})
	})
}
