package relay

import (
	"testing"
	"time"
)

func TestClientClosesFirst(t *testing.T) { eachScheme(t, plainAndTLS, testClientClosesFirst) }

func testClientClosesFirst(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	hello, bye := masked(textFrame, "hello"), masked(closeFrame, body(1000, "bye"))
	l.client.send(hello, bye)
	l.upstream.bytes(hello, bye)
	last, echo := unmasked(textFrame, "last words"), unmasked(closeFrame, body(1000, ""))
	l.upstream.send(last, echo)
	l.client.bytes(last, echo)
	// The client hears the end of TCP from us, it need not end first.
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientClosed, Code: 1000, Reason: "bye", Client: sent(1, hello, bye), Upstream: sent(1, last, echo)})
}

func TestUpstreamClosesFirst(t *testing.T) { eachScheme(t, plainAndTLS, testUpstreamClosesFirst) }

func testUpstreamClosesFirst(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	hello, bye := unmasked(textFrame, "hello"), unmasked(closeFrame, body(4001, "später"))
	l.upstream.send(hello, bye)
	l.client.bytes(hello, bye)
	last, echo := masked(binaryFrame, "last words"), masked(closeFrame, body(4001, ""))
	l.client.send(last, echo)
	l.upstream.bytes(last, echo)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: UpstreamClosed, Code: 4001, Reason: "später", Client: sent(1, last, echo), Upstream: sent(1, hello, bye)})
}

// Each side gets the other's Close frame, whichever came first (section 7.1.5).
func TestBothCloseAtOnce(t *testing.T) { eachScheme(t, plainAndTLS, testBothCloseAtOnce) }

func testBothCloseAtOnce(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	for range 20 {
		l := r.join(t)
		fromClient, fromUpstream := masked(closeFrame, body(3000, "c")), unmasked(closeFrame, body(3001, "u"))
		l.client.send(fromClient)
		l.upstream.send(fromUpstream)
		l.upstream.bytes(fromClient)
		l.client.bytes(fromUpstream)
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		e := l.anyEnd()
		switch {
		case e.Cause == ClientClosed && e.Code == 3000 && e.Reason == "c":
		case e.Cause == UpstreamClosed && e.Code == 3001 && e.Reason == "u":
		default:
			t.Errorf("ended with %+v", e)
		}
	}
}

func TestCloseWithoutBody(t *testing.T) { eachScheme(t, plainAndTLS, testCloseWithoutBody) }

func testCloseWithoutBody(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	bye := masked(closeFrame, "")
	l.client.send(bye)
	l.upstream.bytes(bye)
	echo := unmasked(closeFrame, "")
	l.upstream.send(echo)
	l.client.bytes(echo)
	l.client.eof()
	l.hangUp()
	l.end(End{Cause: ClientClosed, Code: 1005, Client: sent(0, bye), Upstream: sent(0, echo)})
}

func TestLongestReason(t *testing.T) { eachScheme(t, plainAndTLS, testLongestReason) }

func testLongestReason(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	reason := make([]byte, 123)
	for i := range reason {
		reason[i] = 'a' + byte(i%26)
	}
	bye, echo := unmasked(closeFrame, body(1001, string(reason))), masked(closeFrame, body(1001, ""))
	l.upstream.send(bye)
	l.client.bytes(bye)
	l.client.send(echo)
	l.upstream.bytes(echo)
	l.hangUp()
	l.end(End{Cause: UpstreamClosed, Code: 1001, Reason: string(reason), Client: sent(0, echo), Upstream: sent(0, bye)})
}

// What follows a Close frame is thrown away: data, a second Close, even what
// breaks the protocol.
func TestDataAfterCloseIsIgnored(t *testing.T) {
	eachScheme(t, plainAndTLS, testDataAfterCloseIsIgnored)
}

func testDataAfterCloseIsIgnored(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	bye := masked(closeFrame, body(1000, "first"))
	more := [][]byte{masked(textFrame, "more"), masked(closeFrame, body(1001, "second")), {0xff, 0xff, 0xff}}
	l.client.send(append([][]byte{bye}, more...)...)
	l.client.send(more[0])
	l.upstream.bytes(bye)
	echo := unmasked(closeFrame, body(1000, ""))
	l.upstream.send(echo, unmasked(textFrame, "more"), unmasked(closeFrame, body(1002, "")), []byte{0xff})
	l.client.bytes(echo)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	e := l.anyEnd()
	if e.Cause != ClientClosed || e.Code != 1000 || e.Reason != "first" {
		t.Errorf("ended with %+v", e)
	}
	if e.Client.Messages != 0 || e.Upstream.Messages != 0 {
		t.Errorf("counted messages behind a Close frame: %+v", e)
	}
}

func TestUpstreamNeverAnswersClose(t *testing.T) {
	eachScheme(t, plainAndTLS, testUpstreamNeverAnswersClose)
}

func testUpstreamNeverAnswersClose(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 100 * time.Millisecond}, over).join(t)
	hello, bye := masked(textFrame, "hello"), masked(closeFrame, body(4000, "enough"))
	l.client.send(hello)
	l.upstream.bytes(hello)
	asked := time.Now()
	l.client.send(bye)
	l.upstream.bytes(bye)
	l.client.wantsClose(4000, "enough")
	if waited := time.Since(asked); waited < 90*time.Millisecond {
		t.Errorf("the upstream had %v to answer", waited)
	}
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientClosed, Code: 4000, Reason: "enough", Client: sent(1, hello, bye)})
}

func TestClientNeverAnswersClose(t *testing.T) {
	eachScheme(t, plainAndTLS, testClientNeverAnswersClose)
}

func testClientNeverAnswersClose(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 100 * time.Millisecond}, over).join(t)
	bye := unmasked(closeFrame, body(1012, "restart"))
	asked := time.Now()
	l.upstream.send(bye)
	l.client.bytes(bye)
	l.upstream.wantsClose(1012, "restart")
	if waited := time.Since(asked); waited < 90*time.Millisecond {
		t.Errorf("the client had %v to answer", waited)
	}
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: UpstreamClosed, Code: 1012, Reason: "restart", Upstream: sent(0, bye)})
}

// A Close frame without body is answered like that at the end of the wait, and
// one whose code may not stand on the wire not with that code.
func TestCloseAnsweredForSilentSide(t *testing.T) {
	eachScheme(t, plainAndTLS, testCloseAnsweredForSilentSide)
}

func testCloseAnsweredForSilentSide(t *testing.T, over scheme) {
	r := start(t, Options{CloseWait: 50 * time.Millisecond}, over)
	empty := r.join(t)
	bye := masked(closeFrame, "")
	empty.client.send(bye)
	empty.upstream.bytes(bye)
	empty.client.wants(closeFrame, "")
	empty.client.eof()
	empty.hangUp()
	empty.end(End{Cause: ClientClosed, Code: 1005, Client: sent(0, bye)})

	forbidden := r.join(t)
	bye = masked(closeFrame, body(1006, "oops"))
	forbidden.client.send(bye)
	forbidden.upstream.bytes(bye) // frames pass as they are, good and bad codes
	forbidden.client.wantsClose(1001, "oops")
	forbidden.client.eof()
	forbidden.hangUp()
	forbidden.end(End{Cause: ClientClosed, Code: 1006, Reason: "oops", Client: sent(0, bye)})
}

// The end of the session does not depend on ends of streams from the peers.
func TestNobodyEndsTCP(t *testing.T) { eachScheme(t, plainAndTLS, testNobodyEndsTCP) }

func testNobodyEndsTCP(t *testing.T, over scheme) {
	l := start(t, Options{CloseWait: 500 * time.Millisecond}, over).join(t)
	bye, echo := masked(closeFrame, body(1000, "")), unmasked(closeFrame, body(1000, ""))
	l.client.send(bye)
	l.upstream.bytes(bye)
	l.upstream.send(echo)
	l.client.bytes(echo)
	l.client.eof()
	l.upstream.eof()
	// Neither far end is closed here.
	l.end(End{Cause: ClientClosed, Code: 1000, Client: sent(0, bye), Upstream: sent(0, echo)})
}

// A peer may end TCP right behind its Close frame: that is no loss.
func TestEndOfStreamBehindClose(t *testing.T) { eachScheme(t, plainAndTLS, testEndOfStreamBehindClose) }

func testEndOfStreamBehindClose(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	t.Run("client", func(t *testing.T) {
		l := r.join(t)
		bye, last, echo := masked(closeFrame, body(1001, "")), unmasked(textFrame, "last"), unmasked(closeFrame, body(1001, ""))
		l.client.send(bye)
		l.client.fin()
		l.upstream.bytes(bye)
		l.upstream.send(last, echo)
		l.client.bytes(last, echo)
		l.client.eof()
		l.upstream.eof()
		l.upstream.fin()
		l.end(End{Cause: ClientClosed, Code: 1001, Client: sent(0, bye), Upstream: sent(1, last, echo)})
	})
	t.Run("upstream", func(t *testing.T) {
		l := r.join(t)
		bye, last, echo := unmasked(closeFrame, body(1001, "")), masked(textFrame, "last"), masked(closeFrame, body(1001, ""))
		l.upstream.send(bye)
		l.upstream.fin()
		l.client.bytes(bye)
		l.client.send(last, echo)
		l.upstream.bytes(last, echo)
		l.client.eof()
		l.upstream.eof()
		l.client.fin()
		l.end(End{Cause: UpstreamClosed, Code: 1001, Client: sent(1, last, echo), Upstream: sent(0, bye)})
	})
	t.Run("client gone at once", func(t *testing.T) {
		l := r.join(t)
		bye := masked(closeFrame, body(1001, ""))
		l.client.send(bye)
		l.client.conn.Close()
		l.upstream.bytes(bye)
		l.upstream.send(unmasked(closeFrame, body(1001, "")))
		l.upstream.gone()
		l.upstream.conn.Close()
		if e := l.anyEnd(); e.Cause != ClientClosed || e.Code != 1001 {
			t.Errorf("ended with %+v", e)
		}
	})
}

// The first Close frame names the cause, also when the other side is lost
// instead of answering it.
func TestLostInsteadOfAnswer(t *testing.T) { eachScheme(t, plainAndTLS, testLostInsteadOfAnswer) }

func testLostInsteadOfAnswer(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	t.Run("upstream", func(t *testing.T) {
		l := r.join(t)
		bye := masked(closeFrame, body(4002, "bye"))
		l.client.send(bye)
		l.upstream.bytes(bye)
		l.upstream.fin()
		l.client.wantsClose(4002, "bye")
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: ClientClosed, Code: 4002, Reason: "bye", Client: sent(0, bye)})
	})
	t.Run("client", func(t *testing.T) {
		l := r.join(t)
		bye := unmasked(closeFrame, body(4002, "bye"))
		l.upstream.send(bye)
		l.client.bytes(bye)
		l.client.fin()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamClosed, Code: 4002, Reason: "bye", Upstream: sent(0, bye)})
	})
}
