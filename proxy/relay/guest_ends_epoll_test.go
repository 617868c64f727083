//go:build linux && !portable

package relay

import (
	"bytes"
	"testing"
	"time"
)

// orderly are the ways to go that leave time to read what was said before.
var orderly = map[string]func(*peer){"fin": (*peer).fin, "close": func(p *peer) { p.conn.Close() }}

// A client that goes while its question is asked, behind its first frame, has a session
// all the same: the upstream gets the frame, and sees that the client is gone.
func TestGuestGoesBeforeJoin(t *testing.T) {
	r := startGuests(t, Options{})
	for name, leave := range orderly {
		for _, ahead := range []int{0, len(helloLine)} { // the frame is read before the join, or is not
			t.Run(name, func(t *testing.T) {
				o := r.opens(t, reading(ahead))
				early := masked(textFrame, "early")
				o.client.send([]byte(helloLine), early)
				o.upstream = r.wantsQuestion(t, questionLine)
				leave(o.client)
				o.upstream.send([]byte(answerLine))
				o.joined()
				o.upstream.bytes(early)
				o.upstream.eof()
				o.hangUp()
				o.end(End{Cause: ClientLost, Client: sent(1, early)})
			})
		}
	}
}

// An upstream that goes right behind its answer and its first frame has a session all
// the same: the client gets the frame, and is told that the upstream is lost.
func TestUpstreamGoesBeforeJoin(t *testing.T) {
	r := startGuests(t, Options{})
	for name, leave := range orderly {
		for _, ahead := range []int{len(answerLine), 2, 1000} {
			t.Run(name, func(t *testing.T) {
				o := r.opens(t, reading(ahead))
				early := unmasked(textFrame, "early")
				o.client.send([]byte(helloLine))
				o.upstream = r.wantsQuestion(t, questionLine)
				o.upstream.send([]byte(answerLine), early)
				leave(o.upstream)
				o.joined()
				o.client.bytes([]byte(welcomeLine), early)
				o.client.wantsClose(1012, "upstream lost")
				o.hangUp()
				o.end(End{Cause: UpstreamLost, Upstream: sent(1, early)})
			})
		}
	}
}

// A Close frame behind the line of one side closes the session.
func TestGuestJoinsClosing(t *testing.T) {
	r := startGuests(t, Options{})
	for _, ahead := range []int{0, len(helloLine)} {
		o := r.opens(t, reading(ahead))
		bye, echo := masked(closeFrame, body(1001, "x")), unmasked(closeFrame, body(1001, ""))
		o.opened(bye, nil)
		o.upstream.bytes(bye)
		o.upstream.send(echo)
		o.client.bytes(echo)
		o.client.eof()
		o.hangUp()
		o.end(End{Cause: ClientClosed, Code: 1001, Reason: "x", Client: sent(0, bye), Upstream: sent(0, echo)})

		o = r.opens(t, reading(ahead))
		bye, echo = unmasked(closeFrame, body(1008, "no")), masked(closeFrame, body(1008, ""))
		o.opened(nil, bye)
		o.client.bytes(bye)
		o.client.send(echo)
		o.upstream.bytes(echo)
		o.upstream.eof()
		o.hangUp()
		o.end(End{Cause: UpstreamClosed, Code: 1008, Reason: "no", Client: sent(0, echo), Upstream: sent(0, bye)})
	}
}

// What breaks the protocol behind the line of one side is found out like any such thing.
func TestGuestJoinsOffending(t *testing.T) {
	r := startGuests(t, Options{})
	o := r.opens(t)
	good, bad := masked(textFrame, "hello"), unmasked(textFrame, "bare")
	o.opened(append(good, bad...), nil)
	o.upstream.bytes(good)
	o.upstream.wantsClose(1002, "client frame is not masked")
	echo := unmasked(closeFrame, body(1002, ""))
	o.upstream.send(echo)
	o.client.wantsClose(1002, "client frame is not masked")
	o.client.eof()
	o.hangUp()
	o.end(End{Cause: ClientOffence, Code: 1002, Reason: "client frame is not masked", Client: sent(1, good, bad), Upstream: sent(0, echo)})
}

// What is said before the join counts for the rate: more than that waits, and comes.
func TestGuestJoinsTooFast(t *testing.T) {
	r := startGuests(t, Options{Rate: Rate{Bytes: 20_000, ByteBurst: 1000}})
	early := bytes.Join([][]byte{masked(binaryFrame, noise[:2000]), masked(binaryFrame, noise[:2500])}, nil)
	for _, ahead := range []int{0, len(helloLine), 1500, 4000} {
		o := r.opens(t, reading(ahead))
		o.opened(early, nil)
		back := unmasked(textFrame, "that passes")
		o.upstream.send(back)
		o.client.bytes(back)
		o.upstream.bytes(early)
		o.hangUp()
		if e := o.anyEnd(); e.Slowed < 50*time.Millisecond || e.Client != sent(2, early) || e.Upstream != sent(1, back) {
			t.Errorf("ended with %+v", e)
		}
	}
}

// A session that was joined by a guest ends with the relay like others.
func TestStopEndsJoinedGuests(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	var all []*opening
	for range 6 {
		o := r.opens(t)
		o.opened(nil, nil)
		all = append(all, o)
	}
	r.stop()
	for _, o := range all {
		o.client.cut()
		o.upstream.cut()
		o.end(End{Cause: Aborted})
	}
}
