package relay

import (
	"bytes"
	"strings"
	"testing"
)

// mostHeld is more than a stuck session and the small sockets around it can
// hold, and less than what is sent to it here.
const mostHeld = 400 << 10

// One side floods, the other does not read: the sender is held up by then, what
// is between them stays bounded, other sessions of the same loop go on, and
// nothing is lost.
func testBackPressure(t *testing.T, over scheme, ends func(*link) (from, to *peer)) {
	r := startSmall(t, Options{Loops: 1}, over)
	l := r.joinSmall(t)
	others := make([]*link, 10)
	for i := range others {
		others[i] = r.join(t)
	}
	from, to := ends(l)
	const count = 30
	var frames [][]byte
	random := randomness(t)
	for range count {
		frames = append(frames, from.frameFrom(binaryFrame, payload(random, 60_000)))
	}
	flood := bytes.Join(frames, nil)
	rest := from.fill(flood)
	if held := len(flood) - len(rest); held > mostHeld {
		t.Errorf("%d bytes are under way to a side that does not read", held)
	}
	for i, other := range others {
		question, answer := masked(textFrame, strings.Repeat("?", i)), unmasked(binaryFrame, payload(random, 100_000))
		for range 10 {
			other.client.send(question)
			other.upstream.bytes(question)
		}
		other.talk(random, 50_000, [][]byte{question}, [][]byte{answer})
	}
	// The other direction of the stuck session goes on, too.
	back := to.frameFrom(textFrame, "still there")
	to.send(back)
	from.bytes(back)
	again := from.fill(rest)
	if held := len(flood) - len(again); held > mostHeld+mostHeld/4 {
		t.Errorf("%d more bytes were taken, %d are under way now", len(rest)-len(again), held)
	}
	rest = again
	taken := make(chan error, 1)
	go func() {
		_, err := from.conn.Write(rest)
		taken <- err
	}()
	to.bytes(frames...)
	if err := <-taken; err != nil {
		t.Errorf("%s: %v", from.name, err)
	}
	traffic := [2]Traffic{sent(1, back), sent(count, frames...)}
	if from == l.client {
		traffic[0], traffic[1] = traffic[1], traffic[0]
	}
	l.goodBye(traffic[0], traffic[1])
	for _, other := range others {
		other.hangUp()
	}
}

func TestClientDoesNotRead(t *testing.T) {
	eachScheme(t, eitherSide, func(t *testing.T, over scheme) {
		testBackPressure(t, over, func(l *link) (from, to *peer) { return l.upstream, l.client })
	})
}

func TestUpstreamDoesNotRead(t *testing.T) {
	eachScheme(t, eitherSide, func(t *testing.T, over scheme) {
		testBackPressure(t, over, func(l *link) (from, to *peer) { return l.client, l.upstream })
	})
}

// Neither side reads while both send: each direction waits for itself.
func TestNeitherSideReads(t *testing.T) { eachScheme(t, plainAndTLS, testNeitherSideReads) }

func testNeitherSideReads(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	l := r.joinSmall(t)
	random := randomness(t)
	const count = 30
	var flood, rest [2][]byte
	peers := [2]*peer{l.client, l.upstream}
	for d, p := range peers {
		for range count {
			flood[d] = append(flood[d], p.frameFrom(binaryFrame, payload(random, 30_000))...)
		}
		rest[d] = p.fill(flood[d])
	}
	taken := make(chan error, 2)
	for d, p := range peers {
		go func() {
			_, err := p.conn.Write(rest[d])
			taken <- err
		}()
	}
	l.client.bytes(flood[1])
	l.upstream.bytes(flood[0])
	for range peers {
		if err := <-taken; err != nil {
			t.Error(err)
		}
	}
	l.goodBye(sent(count, flood[0]), sent(count, flood[1]))
}

// The end of TCP towards a side waits until all that stands before it has gone.
func TestEndBehindUnreadBytes(t *testing.T) { eachScheme(t, everywhere, testEndBehindUnreadBytes) }

func testEndBehindUnreadBytes(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	large, bye := unmasked(binaryFrame, payload(randomness(t), 60_000)), unmasked(closeFrame, body(1001, "bye"))
	l, p := r.meet(t)
	setBuffers(p.Client, smallBuffer)
	setBuffers(l.client.conn, smallBuffer)
	p.FromUpstream = append(append([]byte(nil), large...), bye...) // taken at once
	r.carry(l, p)
	echo := masked(closeFrame, body(1001, ""))
	l.client.send(echo)
	l.upstream.bytes(echo)
	l.upstream.eof()
	l.upstream.fin()
	l.client.bytes(large, bye)
	l.client.eof()
	l.client.fin()
	l.end(End{Cause: UpstreamClosed, Code: 1001, Reason: "bye", Client: sent(0, echo), Upstream: sent(1, large, bye)})
}
