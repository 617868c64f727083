package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// fuzzMaxFrame is the size limit in the tests with strangers' bytes.
const fuzzMaxFrame = 70_000

// verdict is what a plain reading of RFC 6455 says of all that one side sent
// before the end of its stream.
type verdict struct {
	deliver  []byte // must reach the other side
	boundary bool   // deliver ends between two frames
	close    []byte // the Close frame behind that, if there is one
	offence  bool   // a frame that breaks the protocol follows
}

func judge(stream []byte, mask bool) verdict {
	v := verdict{boundary: true}
	inside := false // a fragmented message
	for seen := 0; ; {
		b := stream[seen:]
		if len(b) < 2 {
			return v
		}
		fin, op, size, head := b[0]&0x80 != 0, b[0]&0x0f, uint64(b[1]&0x7f), 2
		control := op >= 8
		switch {
		case b[0]&0x70 != 0, b[1]&0x80 != 0 != mask, op > 2 && op < 8, op > 10,
			control && (!fin || size > 125), op == 8 && size == 1,
			!control && (op == 0) != inside:
			v.offence = true
			return v
		}
		if width := map[uint64]int{126: 2, 127: 8}[size]; width > 0 {
			if head += width; len(b) < head {
				return v
			}
			var long [8]byte
			copy(long[8-width:], b[2:head])
			size = binary.BigEndian.Uint64(long[:])
			if width == 2 && size < 126 || width == 8 && size < 1<<16 {
				v.offence = true
				return v
			}
		}
		if size > fuzzMaxFrame {
			v.offence = true
			return v
		}
		if mask {
			head += 4
		}
		whole := head + int(size)
		if len(b) < head || control && len(b) < whole {
			return v
		}
		if len(b) < whole {
			v.deliver, v.boundary = stream, false
			return v
		}
		if op == 8 {
			v.close = b[:whole]
			return v
		}
		seen += whole
		v.deliver = stream[:seen]
		if !control {
			inside = !fin
		}
	}
}

// ends is how a session ends if it is the given side that ends it.
func (v verdict) ends(d side) Cause {
	switch {
	case v.offence:
		return ClientOffence + Cause(d)
	case v.close != nil:
		return ClientClosed + Cause(d)
	default:
		return ClientLost + Cause(d)
	}
}

// told says whether a side gets a Close frame of our own, if it stands between
// two frames and has not got one of the other side.
type told uint8

const (
	never told = iota
	perhaps
	always
)

// checkArrived checks all that a side got, given what the other one sent. An
// offender may get our verdict in place of the other side's Close frame.
func checkArrived(p *peer, arrived []byte, v verdict, own told, offender bool) error {
	if !bytes.HasPrefix(arrived, v.deliver) {
		return fmt.Errorf("%s: got %d bytes, not the %d that were sent", p.name, len(arrived), len(v.deliver))
	}
	rest := arrived[len(v.deliver):]
	switch {
	case v.close != nil && bytes.Equal(rest, v.close):
		return nil
	case v.close != nil && !offender:
		return fmt.Errorf("%s: got %x in place of the close frame", p.name, rest)
	case v.close != nil:
		own = always
	}
	if len(rest) == 0 && (own < always || !v.boundary) {
		return nil
	}
	r := bytes.NewReader(rest)
	f, err := readFrame(r)
	if err != nil || f.first != closeFrame || f.masked != p.masks || r.Len() > 0 || own == never || !v.boundary {
		return fmt.Errorf("%s: got %x (%v, %v) at the end", p.name, rest, f, err)
	}
	if len(f.payload) > 0 && !wsframe.CodeAllowed(binary.BigEndian.Uint16([]byte(f.payload))) {
		return fmt.Errorf("%s: got %v", p.name, f)
	}
	return nil
}

// tell lets both sides send what they like, in pieces, and end their streams,
// and checks all that arrives at both.
func tell(t testing.TB, r *rig, random *rand.Rand, most int, fromClient, fromUpstream []byte) {
	t.Helper()
	l := r.join(t)
	errs := make([]error, 2)
	var arrived [2][]byte
	var group sync.WaitGroup
	for i, d := range []struct {
		peer   *peer
		stream []byte
	}{{l.client, fromClient}, {l.upstream, fromUpstream}} {
		pieces := rand.New(rand.NewPCG(random.Uint64(), 0))
		group.Go(func() {
			_ = d.peer.sendPieces(pieces, most, d.stream)
			_ = d.peer.conn.CloseWrite()
		})
		group.Go(func() { arrived[i], errs[i] = io.ReadAll(d.peer.in) })
	}
	group.Wait()
	c, u := judge(fromClient, true), judge(fromUpstream, false)
	// The end of a client without a Close frame is passed on as it is. That the
	// upstream has offended it is told if that came first.
	toUpstream := never
	switch {
	case c.offence:
		toUpstream = always
	case u.offence:
		toUpstream = perhaps
	}
	err := errors.Join(append(errs,
		checkArrived(l.client, arrived[0], u, always, c.offence),
		checkArrived(l.upstream, arrived[1], c, toUpstream, u.offence))...)
	if err != nil {
		t.Errorf("client sent %d bytes %s, upstream %d bytes %s: %v",
			len(fromClient), excerpt(fromClient), len(fromUpstream), excerpt(fromUpstream), err)
	}
	e := l.anyEnd()
	if want := (Traffic{Bytes: uint64(len(fromClient)), Messages: e.Client.Messages}); e.Client != want {
		t.Errorf("client: counted %+v, want %+v", e.Client, want)
	}
	if want := (Traffic{Bytes: uint64(len(fromUpstream)), Messages: e.Upstream.Messages}); e.Upstream != want {
		t.Errorf("upstream: counted %+v, want %+v", e.Upstream, want)
	}
	if end := c.ends(client); e.Cause != end && e.Cause != u.ends(upstream) {
		t.Errorf("ended with %+v, want %v or %v", e, end, u.ends(upstream))
	}
	l.hangUp()
	// The links of thousands of tales need not be kept.
	r.mu.Lock()
	r.links = r.links[:0]
	r.mu.Unlock()
}

func excerpt(b []byte) string { return fmt.Sprintf("%x", b[:min(len(b), 50)]) }

// spoil makes what a stranger may send of what an honest side says.
func spoil(random *rand.Rand, frame frameOf, frames [][]byte) []byte {
	at := random.IntN(len(frames) + 1)
	switch random.IntN(6) {
	case 0:
		frames = append(frames[:at:at], append([][]byte{frame(closeFrame, body(1000, "bye"))}, frames[at:]...)...)
	case 1:
		frames = append(frames[:at:at], frame(closeFrame, ""))
	}
	b := bytes.Join(frames, nil)
	switch random.IntN(6) {
	case 0:
		b = b[:random.IntN(len(b)+1)]
	case 1:
		if len(b) > 0 {
			b[random.IntN(min(len(b), 300))] ^= 1 << random.IntN(8)
		}
	case 2:
		b = append(b, 0xff, 0x80, 0, 0)
	}
	return b
}

// Whatever both sides send: all that is legal arrives, nothing else does, and a
// side that stands between two frames is told of the end.
func TestStories(t *testing.T) { eachScheme(t, plainAndTLS, testStories) }

func testStories(t *testing.T, over scheme) {
	r := start(t, Options{MaxFrame: fuzzMaxFrame, CloseWait: 2 * time.Minute}, over)
	random := randomness(t)
	for i := range over.times(400) {
		limits := []int{10, 127, 2000, 66_000, 80_000}
		c, _ := conversation(random, masked, limits[i%5])
		u, _ := conversation(random, unmasked, limits[random.IntN(5)])
		most := []int{50, 5000, 200_000}[random.IntN(3)]
		if i%5 > 1 {
			most = max(most, 3000)
		}
		tell(t, r, random, most, spoil(random, masked, c), spoil(random, unmasked, u))
	}
}

// FuzzSession runs over real sockets, so the same input need not cover the same
// code twice: run it with -fuzzminimizetime 10x, or all the time goes into
// making inputs smaller.
func FuzzSession(f *testing.F) {
	hello, bye := masked(textFrame, "hello"), masked(closeFrame, body(1000, "bye"))
	f.Add(append(hello, bye...), append(unmasked(textFrame, "hello"), unmasked(closeFrame, "")...), uint64(1))
	f.Add(masked(0x83, ""), unmasked(binaryFrame, "some payload")[:5], uint64(2))
	f.Add(hello[:3], masked(textFrame, "masked"), uint64(3))
	f.Add(append(hello, hello[:5]...), append(unmasked(textStart, "a"), unmasked(pingFrame, "b")...), uint64(4))
	f.Add(bye[:8], header(binaryFrame, fuzzMaxFrame+1, nil), uint64(5))
	f.Add([]byte{}, []byte{}, uint64(6))
	r := start(f, Options{MaxFrame: fuzzMaxFrame, Loops: 1})
	f.Fuzz(func(t *testing.T, fromClient, fromUpstream []byte, seed uint64) {
		if len(fromClient)+len(fromUpstream) > 1<<20 {
			t.Skip("too long")
		}
		random := rand.New(rand.NewPCG(seed, 0))
		tell(t, r, random, 1+random.IntN(100), fromClient, fromUpstream)
	})
}
