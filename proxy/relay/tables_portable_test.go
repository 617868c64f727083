//go:build !linux || portable

package relay

import (
	"net"
	"testing"
	"time"
)

// checkEmpty checks that a relay that has stopped holds nothing of its sessions.
func checkEmpty(t testing.TB, r *Relay) {
	t.Helper()
	if n := len(r.all()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
}

// Any connection will do here, also one that is no socket.
func TestJoinOfPipes(t *testing.T) {
	r := start(t, Options{CloseWait: 50 * time.Millisecond})
	nearClient, farClient := net.Pipe()
	nearUpstream, farUpstream := net.Pipe()
	ended := make(chan End, 1)
	session, err := r.relay.Join(Pair{Client: nearClient, Upstream: nearUpstream, Ended: func(e End) { ended <- e }})
	if err != nil {
		t.Fatal(err)
	}
	_ = farClient.SetDeadline(time.Now().Add(patience))
	_ = farUpstream.SetDeadline(time.Now().Add(patience))
	hello := masked(textFrame, "hello")
	if _, err := farClient.Write(hello); err != nil {
		t.Fatal(err)
	}
	if f, err := readFrame(farUpstream); err != nil || f != (wireFrame{textFrame, true, "hello"}) {
		t.Errorf("upstream: got %v, %v", f, err)
	}
	session.Close(1001, "going")
	if f, err := readFrame(farClient); err != nil || f != (wireFrame{closeFrame, false, body(1001, "going")}) {
		t.Errorf("client: got %v, %v", f, err)
	}
	farClient.Close()
	farUpstream.Close()
	if e := <-ended; e.Cause != Asked || e.Client != sent(1, hello) {
		t.Errorf("ended with %+v", e)
	}
}

// setOwnBuffers is for connections of the relay's own kind; there is none here.
func setOwnBuffers(net.Conn, int) { panic("BUG: a connection of an unknown kind") }
