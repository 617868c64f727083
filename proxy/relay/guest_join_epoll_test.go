//go:build linux && !portable

package relay

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How a guest becomes a session in these tests: the client says one line, the upstream
// is asked and answers with another one, and the client is told that.
const (
	helloLine    = "hello\n"
	questionLine = "well?\n"
	answerLine   = "very well\n"
	welcomeLine  = "welcome\n"
)

// opening is a link that is about to come about.
type opening struct {
	*link
	rig      *rig
	at       net.Listener  // where the client comes
	come     time.Duration // what Come returns; patience unless it is set
	ahead    int           // how much is read at once; 0: all that is there
	told     string        // what the client is told; welcomeLine unless it is set
	prepared func(g *Guest)
	done     chan *Session // what has become of it
	hello    []byte        // what was read of the client,
	answer   []byte        // and of the upstream
}

// expect makes a link whose ends are not known yet.
func (r *rig) expect(t testing.TB) *opening {
	return &opening{
		link: &link{t: t, ended: make(chan End, 1), began: time.Now()},
		rig:  r, done: make(chan *Session, 1), told: welcomeLine, come: patience,
	}
}

// opens is expect with a client that has come. Each of setup may change the opening
// before.
func (r *rig) opens(t testing.TB, setup ...func(*opening)) *opening {
	t.Helper()
	o := r.expect(t)
	for _, f := range setup {
		f(o)
	}
	if o.at == nil {
		o.at = listen(t)
	}
	o.client = visit(t, r.receiveAt(t, o.at, Reception{
		Come:     func() time.Duration { return o.come },
		Heard:    o.heard,
		Answered: o.answered,
	}))
	return o
}

// reading sets how much is read ahead.
func reading(ahead int) func(*opening) { return func(o *opening) { o.ahead = ahead } }

// read reads more, and reports whether a line is whole.
func (o *opening) read(from func([]byte) (int, error), into *[]byte) (whole bool) {
	for {
		p := make([]byte, 64<<10)
		if o.ahead > 0 {
			p = p[:o.ahead]
		}
		n, err := from(p)
		*into = append(*into, p[:n]...)
		if err != nil {
			o.t.Errorf("read: %v", err)
			return true
		}
		if n == 0 || o.ahead > 0 && bytes.IndexByte(*into, '\n') >= 0 {
			return bytes.IndexByte(*into, '\n') >= 0
		}
	}
}

// heard waits for the line, as no reception should, and asks.
func (o *opening) heard(g *Guest) {
	if !within(patience, func() bool { return o.read(g.Read, &o.hello) }) {
		o.t.Error("the line does not come")
	}
	if o.prepared != nil {
		o.prepared(g)
	}
	if err := g.Ask(&Question{o.rig.upstream(), []byte(questionLine), patience, patience}); err != nil {
		o.t.Errorf("ask: %v", err)
		g.Close()
	}
}

func (o *opening) answered(g *Guest) {
	if o.read(g.ReadAnswer, &o.answer) {
		o.join(g)
	}
}

// become makes the session of a guest that was answered.
func (o *opening) become(g *Guest) {
	if !within(patience, func() bool { return o.read(g.ReadAnswer, &o.answer) }) {
		o.t.Error("the answer does not come")
	}
	o.join(g)
}

func (o *opening) join(g *Guest) {
	if !g.Say([]byte(o.told)) {
		o.t.Error("the client has gone")
	}
	if len(o.told) > len(welcomeLine) && len(g.unsent) == 0 {
		o.t.Error("the client has taken all at once: this test shows nothing")
	}
	_, early, _ := bytes.Cut(o.hello, []byte("\n"))
	_, earlyAnswer, _ := bytes.Cut(o.answer, []byte("\n"))
	s := g.Join(Pair{FromClient: early, FromUpstream: earlyAnswer, Ended: o.note})
	clear(o.hello) // it is not kept
	clear(o.answer)
	o.done <- s
}

// joined waits for the session.
func (o *opening) joined() {
	o.t.Helper()
	o.session = await(o.t, o.done)
	o.rig.mu.Lock()
	o.rig.links = append(o.rig.links, o.link)
	o.rig.mu.Unlock()
}

// opened takes the question, answers and checks that the client is told. What both
// sides say behind their lines goes out with them.
func (o *opening) opened(fromClient, fromUpstream []byte) {
	o.t.Helper()
	o.client.send([]byte(helloLine), fromClient)
	o.upstream = o.rig.wantsQuestion(o.t, questionLine)
	o.upstream.send([]byte(answerLine), fromUpstream)
	o.joined()
	o.client.bytes([]byte(o.told))
}

// exchange checks that a session works, to its end.
func (o *opening) exchange() {
	o.t.Helper()
	if o.session == nil {
		o.joined()
	}
	there, back := masked(textFrame, "there"), unmasked(textFrame, "back")
	o.client.send(there)
	o.upstream.bytes(there)
	o.upstream.send(back)
	o.client.bytes(back)
	o.goodBye(sent(1, there), sent(1, back))
}

func TestGuestJoins(t *testing.T) {
	r := startGuests(t, Options{})
	for range 10 {
		o := r.opens(t)
		o.opened(nil, nil)
		o.exchange()
	}
	o := r.opens(t)
	o.opened(nil, nil)
	o.session.Close(1001, "asked")
	o.client.wantsClose(1001, "asked")
	o.hangUp()
	o.end(End{Cause: Asked, Code: 1001, Reason: "asked"})
}

// What was read behind the lines of both sides comes first, what was not read comes
// next, although nothing of it is news to the loop, and then what is said later.
func TestGuestJoinsInTheMiddle(t *testing.T) {
	r := startGuests(t, Options{})
	fromClient := [][]byte{masked(textFrame, "one"), masked(binaryFrame, noise[:3000]), masked(textFrame, "three")}
	fromUpstream := [][]byte{unmasked(textFrame, "eins"), unmasked(pingFrame, "zwei"), unmasked(binaryFrame, noise[:5000])}
	for _, come := range []time.Duration{0, patience} {
		// Nothing, some bytes, and all of what is there is read before the join.
		for _, ahead := range []int{1, len(answerLine), 8, 500, 0} {
			o := r.opens(t, reading(ahead), func(o *opening) { o.come = come })
			o.opened(bytes.Join(fromClient[:2], nil), bytes.Join(fromUpstream[:2], nil))
			o.upstream.bytes(fromClient[:2]...)
			o.client.bytes(fromUpstream[:2]...)
			o.client.send(fromClient[2])
			o.upstream.send(fromUpstream[2])
			o.upstream.bytes(fromClient[2])
			o.client.bytes(fromUpstream[2])
			o.goodBye(sent(3, fromClient...), sent(2, fromUpstream...))
		}
	}
}

// What the client says while its question is asked is delivered, though the loop knows
// of it since then.
func TestGuestSpeaksWhileAsking(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	o := r.opens(t)
	o.client.send([]byte(helloLine))
	o.upstream = r.wantsQuestion(t, questionLine)
	early := masked(textFrame, "early")
	o.client.send(early)
	o.upstream.send([]byte(answerLine))
	o.joined()
	o.client.bytes([]byte(welcomeLine))
	o.upstream.bytes(early)
	o.goodBye(sent(1, early), Traffic{})
}

// Frames for a client that has not taken all that it is told yet come behind that.
func TestGuestIsToldInPart(t *testing.T) {
	r := startGuests(t, Options{})
	early, unread := unmasked(binaryFrame, noise[:2000]), unmasked(textFrame, "unread")
	later, reply := unmasked(binaryFrame, noise[:200_000]), masked(textFrame, "reply")
	for _, ahead := range []int{0, len(answerLine) + len(early), len(answerLine)} {
		ln := listen(t)
		shortenSegments(t, ln)
		o := r.opens(t, reading(ahead), func(o *opening) {
			o.at, o.told = ln, noise[:1<<20]
			o.prepared = func(g *Guest) {
				_ = unix.SetsockoptInt(int(g.fd[client]), unix.SOL_SOCKET, unix.SO_SNDBUF, smallBuffer)
			}
		})
		o.client.send([]byte(helloLine))
		o.upstream = r.wantsQuestion(t, questionLine)
		o.upstream.send([]byte(answerLine), early, unread)
		o.joined()
		wrote := background(func() error { _, err := o.upstream.conn.Write(later); return err })
		o.client.bytes([]byte(o.told), early, unread, later)
		if err := await(t, wrote); err != nil {
			t.Errorf("write: %v", err)
		}
		o.client.send(reply)
		o.upstream.bytes(reply)
		o.goodBye(sent(1, reply), sent(3, early, unread, later))
	}
}

// A request that had to wait for room is no harm to the session: it still gets word of
// room later.
func TestGuestJoinsAfterMuchAsking(t *testing.T) {
	r := startGuests(t, Options{})
	o := r.expect(t)
	o.client = visit(t, r.receive(t, Reception{
		Heard: func(g *Guest) {
			if err := g.Ask(&Question{r.upstream(), hugeRequest, patience, patience}); err != nil {
				t.Errorf("ask: %v", err)
			}
			if !g.armed {
				t.Error("the socket has taken all: this test shows nothing")
			}
			o.read(g.Read, &o.hello)
		},
		Answered: o.answered,
	}))
	o.client.send([]byte(helloLine))
	o.upstream = r.wantsQuestion(t, noise[:10])
	o.upstream.bytes(hugeRequest[10:])
	o.upstream.send([]byte(answerLine))
	o.joined()
	o.client.bytes([]byte(welcomeLine))
	large := masked(binaryFrame, strings.Repeat(noise, 4))
	wrote := background(func() error { _, err := o.client.conn.Write(large); return err })
	back := unmasked(textFrame, "I do not read yet")
	o.upstream.send(back)
	o.client.bytes(back)
	o.upstream.bytes(large)
	if err := await(t, wrote); err != nil {
		t.Errorf("write: %v", err)
	}
	o.goodBye(sent(1, large), sent(1, back))
}

// Whatever each side sends, in whatever pieces, from the first byte on, and however
// much of it is read before the join: the other side gets just that.
func TestGuestJoinIsExact(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	random := randomness(t)
	for i := range 120 {
		come := patience
		if i%3 == 0 {
			come = 0
		}
		ahead := []int{0, 1, 1 + random.IntN(20), 1 + random.IntN(4000)}[random.IntN(4)]
		o := r.opens(t, reading(ahead), func(o *opening) { o.come = come })
		most := []int{3, 100, 5000}[random.IntN(3)]
		c, messagesC := conversation(random, masked, min(100*most, 3000))
		u, messagesU := conversation(random, unmasked, min(100*most, 3000))
		seeds := [2]uint64{random.Uint64(), random.Uint64()}
		errs := make([]error, 2)
		var group sync.WaitGroup
		say := func(d side, p *peer, line string, frames [][]byte) {
			group.Go(func() {
				pieces := rand.New(rand.NewPCG(seeds[d], 0))
				errs[d] = p.sendPieces(pieces, most, append([][]byte{[]byte(line)}, frames...)...)
			})
		}
		say(client, o.client, helloLine, c)
		o.upstream = r.wantsQuestion(t, questionLine)
		say(upstream, o.upstream, answerLine, u)
		o.joined()
		o.client.bytes(append([][]byte{[]byte(welcomeLine)}, u...)...)
		o.upstream.bytes(c...)
		group.Wait()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		o.goodBye(sent(messagesC, c...), sent(messagesU, u...))
	}
}
