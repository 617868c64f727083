package relay

import (
	"testing"
)

// early gives the relay bytes that were read behind the handshakes. It must not
// keep them, so they are overwritten after the join.
func earlyBytes(client, upstream []byte) (setup func(*Pair), forget func()) {
	client, upstream = append([]byte(nil), client...), append([]byte(nil), upstream...)
	return func(p *Pair) { p.FromClient, p.FromUpstream = client, upstream },
		func() { clear(client); clear(upstream) }
}

func TestEarlyBytes(t *testing.T) { eachScheme(t, plainAndTLS, testEarlyBytes) }

func testEarlyBytes(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	join := func(t *testing.T, client, upstream []byte) *link {
		setup, forget := earlyBytes(client, upstream)
		l := r.join(t, setup)
		forget()
		return l
	}
	t.Run("whole frames", func(t *testing.T) {
		fromClient := [][]byte{masked(textFrame, "one"), masked(textFrame, "two"), masked(textFrame, "three")}
		fromUpstream := [][]byte{unmasked(textFrame, "eins"), unmasked(pingFrame, "p"), unmasked(textFrame, "zwei")}
		l := join(t, append(fromClient[0], fromClient[1]...), append(fromUpstream[0], fromUpstream[1]...))
		l.client.send(fromClient[2])
		l.upstream.send(fromUpstream[2])
		l.upstream.bytes(fromClient...)
		l.client.bytes(fromUpstream...)
		l.goodBye(sent(3, fromClient...), sent(2, fromUpstream...))
	})
	t.Run("partial frames", func(t *testing.T) {
		fromClient, fromUpstream := masked(binaryFrame, string(make([]byte, 300))), unmasked(pingFrame, "some payload")
		for cut := 1; cut < len(fromUpstream); cut++ {
			l := join(t, fromClient[:cut], fromUpstream[:cut])
			l.client.send(fromClient[cut:])
			l.upstream.send(fromUpstream[cut:])
			l.upstream.bytes(fromClient)
			l.client.bytes(fromUpstream)
			l.goodBye(sent(1, fromClient), sent(0, fromUpstream))
		}
	})
	t.Run("close from the client", func(t *testing.T) {
		hello, bye := masked(textFrame, "hello"), masked(closeFrame, body(1001, "x"))
		l := join(t, append(hello, bye...), nil)
		l.upstream.bytes(hello, bye)
		echo := unmasked(closeFrame, body(1001, ""))
		l.upstream.send(echo)
		l.client.bytes(echo)
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: ClientClosed, Code: 1001, Reason: "x", Client: sent(1, hello, bye), Upstream: sent(0, echo)})
	})
	t.Run("close from the upstream", func(t *testing.T) {
		hello, bye := masked(textFrame, "hello"), unmasked(closeFrame, body(1008, "no"))
		l := join(t, hello, bye)
		l.client.bytes(bye)
		l.upstream.bytes(hello)
		echo := masked(closeFrame, body(1008, ""))
		l.client.send(echo)
		l.upstream.bytes(echo)
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamClosed, Code: 1008, Reason: "no", Client: sent(1, hello, echo), Upstream: sent(0, bye)})
	})
	t.Run("close from both", func(t *testing.T) {
		fromClient, fromUpstream := masked(closeFrame, body(1000, "c")), unmasked(closeFrame, body(1000, "u"))
		l := join(t, fromClient, fromUpstream)
		l.client.bytes(fromUpstream)
		l.upstream.bytes(fromClient)
		l.client.eof()
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: ClientClosed, Code: 1000, Reason: "c", Client: sent(0, fromClient), Upstream: sent(0, fromUpstream)})
	})
	t.Run("violation of the client", func(t *testing.T) {
		hello, bad := masked(textFrame, "hello"), unmasked(textFrame, "bare")
		l := join(t, append(hello, bad...), nil)
		l.upstream.bytes(hello)
		l.upstream.wantsClose(1002, "client frame is not masked")
		echo := unmasked(closeFrame, body(1002, ""))
		l.upstream.send(echo)
		l.client.wantsClose(1002, "client frame is not masked")
		l.client.eof()
		l.hangUp()
		l.end(End{Cause: ClientOffence, Code: 1002, Reason: "client frame is not masked", Client: sent(1, hello, bad), Upstream: sent(0, echo)})
	})
	t.Run("violation of the upstream", func(t *testing.T) {
		hello, bad := unmasked(textFrame, "hello"), masked(textFrame, "masked")
		l := join(t, nil, append(hello, bad...))
		l.client.bytes(hello)
		l.client.wantsClose(1011, "server frame is masked")
		echo := masked(closeFrame, body(1011, ""))
		l.client.send(echo)
		l.upstream.wantsClose(1002, "server frame is masked")
		l.upstream.eof()
		l.hangUp()
		l.end(End{Cause: UpstreamOffence, Code: 1002, Reason: "server frame is masked", Client: sent(0, echo), Upstream: sent(1, hello, bad)})
	})
	t.Run("large", func(t *testing.T) {
		fromClient, fromUpstream := masked(binaryFrame, string(make([]byte, 64<<10))), unmasked(binaryFrame, string(make([]byte, 2<<20)))
		l := join(t, fromClient, fromUpstream)
		l.upstream.bytes(fromClient)
		l.client.bytes(fromUpstream)
		l.goodBye(sent(1, fromClient), sent(1, fromUpstream))
	})
}
