package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// talk sends what both sides say at once and reads it at the other end, which
// must get the very same bytes. Pieces of up to most bytes go into one write.
func (l *link) talk(random *rand.Rand, most int, fromClient, fromUpstream [][]byte) {
	l.t.Helper()
	seeds := [2]uint64{random.Uint64(), random.Uint64()}
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i, d := range []struct {
		from, to *peer
		frames   [][]byte
	}{{l.client, l.upstream, fromClient}, {l.upstream, l.client, fromUpstream}} {
		group.Go(func() {
			pieces := rand.New(rand.NewPCG(seeds[i], 0))
			if err := d.from.sendPieces(pieces, most, d.frames...); err != nil {
				errs[2*i] = fmt.Errorf("%s sends: %w", d.from.name, err)
			}
		})
		group.Go(func() {
			want := bytes.Join(d.frames, nil)
			got := make([]byte, len(want))
			if n, err := io.ReadFull(d.to.in, got); err != nil {
				errs[2*i+1] = fmt.Errorf("%s reads %d of %d bytes: %w", d.to.name, n, len(want), err)
			} else if !bytes.Equal(got, want) {
				errs[2*i+1] = fmt.Errorf("%s reads other bytes than were sent", d.to.name)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		l.t.Fatal(err)
	}
}

// goodBye lets the client close the session, which must have counted this.
func (l *link) goodBye(client, upstream Traffic) {
	l.t.Helper()
	bye, echo := masked(closeFrame, body(1000, "done")), unmasked(closeFrame, body(1000, "done"))
	l.client.send(bye)
	l.upstream.bytes(bye)
	l.upstream.send(echo)
	l.client.bytes(echo)
	l.client.eof()
	l.upstream.eof()
	l.hangUp()
	client.Bytes += uint64(len(bye))
	upstream.Bytes += uint64(len(echo))
	l.end(End{Cause: ClientClosed, Code: 1000, Reason: "done", Client: client, Upstream: upstream})
}

// randomness is a generator whose seed is shown when the test fails.
func randomness(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("random seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// frameOf makes whole frames as one side sends them.
type frameOf func(first byte, payload string) []byte

// noise is where payloads are taken from.
var noise = func() string {
	b := make([]byte, 2<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(b)
	return string(b)
}()

// payload is some bytes that are seldom the same twice.
func payload(random *rand.Rand, size int) string {
	start := random.IntN(len(noise) - size)
	return noise[start : start+size]
}

// conversation is what one side may say: messages of every size around the
// forms of the length field up to most bytes, whole and in fragments, with
// control frames between them.
func conversation(random *rand.Rand, frame frameOf, most int) (frames [][]byte, messages uint64) {
	sizes := [...]int{0, 1, 2, 124, 125, 126, 127, 1000, 4095, 65535, 65536, 65537, 300_000}
	part := func() string { return payload(random, min(most, sizes[random.IntN(len(sizes))])) }
	control := func() {
		if random.IntN(3) == 0 {
			first := []byte{pingFrame, pongFrame}[random.IntN(2)]
			frames = append(frames, frame(first, payload(random, random.IntN(126))))
		}
	}
	for range 1 + random.IntN(6) {
		control()
		messages++
		if random.IntN(2) == 0 {
			frames = append(frames, frame([]byte{textFrame, binaryFrame}[random.IntN(2)], part()))
			continue
		}
		frames = append(frames, frame(textStart, part()))
		for range random.IntN(4) {
			control()
			frames = append(frames, frame(middle, part()))
		}
		control()
		frames = append(frames, frame(lastPart, part()))
	}
	return frames, messages
}

func TestMessagesBothWays(t *testing.T) { eachScheme(t, everywhere, testMessagesBothWays) }

func testMessagesBothWays(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	client := [][]byte{masked(textFrame, "grüß"), masked(binaryFrame, "\x00\xff"), masked(textFrame, ""),
		masked(textStart, "frag"), masked(pingFrame, "between"), masked(middle, "men"), masked(pongFrame, "too"), masked(lastPart, "ted")}
	upstream := [][]byte{unmasked(textFrame, "hello"), unmasked(0x02, "a"), unmasked(pingFrame, ""), unmasked(lastPart, "b"), unmasked(binaryFrame, "")}
	for _, f := range client {
		l.client.send(f)
		l.upstream.bytes(f)
	}
	for _, f := range upstream {
		l.upstream.send(f)
		l.client.bytes(f)
	}
	l.goodBye(sent(4, client...), sent(3, upstream...))
}

func TestEverySize(t *testing.T) { eachScheme(t, everywhere, testEverySize) }

func testEverySize(t *testing.T, over scheme) {
	l := start(t, Options{}, over).join(t)
	random := randomness(t)
	var client, upstream [][]byte
	for _, size := range []int{0, 1, 125, 126, 127, 4096, 65535, 65536, 65537, 256<<10 - 14, 256 << 10, 1 << 20} {
		payload := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		client = append(client, masked(binaryFrame, payload))
		upstream = append(upstream, unmasked(binaryFrame, payload))
	}
	l.talk(random, 4<<20, client, upstream)
	l.goodBye(sent(12, client...), sent(12, upstream...))
}

// Bits of agreed extensions pass: RSV1 as permessage-deflate sets it, others
// everywhere.
func TestReservedBits(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	deflate := r.join(t, func(p *Pair) { p.RSV = 0x40 })
	client := [][]byte{masked(0xC1, "z"), masked(0x41, "z"), masked(pingFrame, ""), masked(lastPart, "z"), masked(textFrame, "plain")}
	upstream := [][]byte{unmasked(0xC2, "z")}
	deflate.talk(randomness(t), 100, client, upstream)
	deflate.goodBye(sent(3, client...), sent(1, upstream...))

	unknown := r.join(t, func(p *Pair) { p.RSV = 0x70 })
	client = [][]byte{masked(0x71, "a"), masked(0xA9, "ping"), masked(0xF0, "b")}
	upstream = [][]byte{unmasked(0x92, "a")}
	unknown.talk(randomness(t), 100, client, upstream)
	unknown.goodBye(sent(1, client...), sent(1, upstream...))
}

func TestByteByByte(t *testing.T) { eachScheme(t, plainAndTLS, testByteByByte) }

func testByteByByte(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	for range 4 {
		l := r.join(t)
		client, inClient := conversation(random, masked, 127)
		upstream, inUpstream := conversation(random, unmasked, 127)
		l.talk(random, 1, client, upstream)
		l.goodBye(sent(inClient, client...), sent(inUpstream, upstream...))
	}
}

func TestRandomPieces(t *testing.T) { eachScheme(t, everywhere, testRandomPieces) }

func testRandomPieces(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	random := randomness(t)
	for i := range over.times(15) {
		l := r.join(t)
		client, inClient := conversation(random, masked, 1<<20)
		upstream, inUpstream := conversation(random, unmasked, 1<<20)
		l.talk(random, []int{3000, 70_000, 1 << 20}[i%3], client, upstream)
		l.goodBye(sent(inClient, client...), sent(inUpstream, upstream...))
	}
}
