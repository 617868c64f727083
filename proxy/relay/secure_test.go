package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// hand is a session with one far end whose TLS records are made by hand. The
// other one has no TLS.
type hand struct {
	*link
	odd, other *peer
	records    *records
}

// raw sends bytes below TLS, in one write.
func (h *hand) raw(p ...[]byte) {
	h.t.Helper()
	if _, err := h.odd.conn.bed.Write(bytes.Join(p, nil)); err != nil {
		h.t.Fatalf("%s: send records: %v", h.odd.name, err)
	}
}

// eachHand runs f for both sides and the versions of TLS.
func eachHand(t *testing.T, o Options, versions []uint16, f func(t *testing.T, h *hand)) {
	t.Parallel()
	for _, version := range versions {
		for _, d := range []side{client, upstream} {
			var s scheme
			s[d] = version
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				f(t, startSecured(t, o, d, version, byHand).hand(t, d))
			})
		}
	}
}

// hand makes a session with a far end by hand on the given side.
func (r *rig) hand(t *testing.T, d side, setup ...func(*Pair)) *hand {
	t.Helper()
	l := r.join(t, setup...)
	h := &hand{link: l, odd: l.client, other: l.upstream}
	if d == upstream {
		h.odd, h.other = h.other, h.odd
	}
	h.records = h.odd.conn.Conn.(*records)
	return h
}

// traffic orders what the two far ends have sent as client and upstream.
func (h *hand) traffic(odd, other Traffic) (client, upstream Traffic) {
	if h.odd == h.upstream {
		odd, other = other, odd
	}
	return odd, other
}

var (
	bothVersions = []uint16{tls.VersionTLS13, tls.VersionTLS12}
	only13       = []uint16{tls.VersionTLS13}
	only12       = []uint16{tls.VersionTLS12}
)

// Records of all kinds and sizes, new keys between them, delivered in whatever
// pieces: the frames in them arrive as they are, and those of the other side.
func TestRecords(t *testing.T) {
	eachHand(t, Options{}, bothVersions, func(t *testing.T, h *hand) {
		random := randomness(t)
		var sentOdd, sentOther Traffic
		asked := 0
		for _, most := range []int{1, 30, 3000, 1 << 20, 1 << 20} {
			limit := map[int]int{1: 100, 30: 2000}[most]
			if limit == 0 {
				limit = 60_000
			}
			frames, inOdd := conversation(random, h.odd.frameFrom, limit)
			answers, inOther := conversation(random, h.other.frameFrom, limit)
			said, heard := bytes.Join(frames, nil), bytes.Join(answers, nil)
			var group sync.WaitGroup
			var sending, reading error
			group.Go(func() {
				story, asks := h.records.story(random, said)
				asked += asks
				for len(story) > 0 && sending == nil {
					n := min(len(story), 1+random.IntN(most))
					_, sending = h.odd.conn.bed.Write(story[:n])
					story = story[n:]
				}
			})
			group.Go(func() {
				got := make([]byte, len(heard))
				if _, reading = io.ReadFull(h.odd.in, got); reading == nil && !bytes.Equal(got, heard) {
					reading = errors.New("other bytes than were sent")
				}
			})
			go func() { _, _ = h.other.conn.Write(heard) }()
			h.other.bytes(said)
			group.Wait()
			if err := errors.Join(sending, reading); err != nil {
				t.Fatalf("%s: %v", h.odd.name, err)
			}
			sentOdd = Traffic{sentOdd.Bytes + uint64(len(said)), sentOdd.Messages + inOdd}
			sentOther = Traffic{sentOther.Bytes + uint64(len(heard)), sentOther.Messages + inOther}
		}
		h.goodBye(h.traffic(sentOdd, sentOther))
		if h.records.updates != asked {
			t.Errorf("new keys were asked for %d times and came %d times", asked, h.records.updates)
		}
	})
}

// story puts data into records of all sizes, among others that say nothing. It
// returns how many of them ask for new keys.
func (r *records) story(random *rand.Rand, data []byte) (story []byte, asks int) {
	sizes := []int{1, 20, 1000, maxPlaintext}
	for useless := 0; len(data) > 0; {
		n := 0
		kind := random.IntN(12)
		if useless == 8 { // more at a time are an attack
			kind = 0
		}
		useless++
		switch {
		case kind < 8:
			n = min(len(data), 1+random.IntN(sizes[random.IntN(len(sizes))]))
			story = r.appendSealed(story, dataRecord, data[:n], random.IntN(2)*random.IntN(maxPlaintext-n+1))
			data = data[n:]
			useless = 0
		case kind == 8: // no data
			story = r.appendSealed(story, dataRecord, nil, random.IntN(2)*random.IntN(50))
		case kind == 9: // a warning
			story = append(story, r.alert(userCanceled)...)
		case r.version != tls.VersionTLS13:
		case kind == 10: // for middle boxes
			story = append(story, changeCipher, 3, 3, 0, 1, 1)
		default:
			ask := random.IntN(2)
			asks += ask
			message := keyUpdate(ask == 1)
			cut := random.IntN(len(message)) // messages may be cut anywhere, too
			if cut > 0 {
				story = append(story, r.record(handshakeRecord, message[:cut])...)
			}
			story = append(story, r.record(handshakeRecord, message[cut:])...)
			r.out.next()
		}
	}
	return story, asks
}

// An upstream may hand out tickets at any time. They are not for the session.
func TestTickets(t *testing.T) {
	t.Parallel()
	h := startSecured(t, Options{}, upstream, tls.VersionTLS13, byHand).hand(t, upstream)
	// A ticket of RFC 8446 §4.6.1: lifetime, age, nonce, ticket, extensions.
	ticket := append([]byte{4, 0, 0, 4 + 4 + 2 + 2 + 200 + 2, 0, 0, 1, 0, 1, 2, 3, 4, 1, 9, 0, 200}, make([]byte, 202)...)
	hello := [][]byte{unmasked(textFrame, "one"), unmasked(textFrame, "two"), unmasked(textFrame, "three")}
	h.raw(h.records.record(handshakeRecord, ticket), h.records.record(dataRecord, hello[0]),
		h.records.record(handshakeRecord, append(ticket, ticket...)), h.records.record(dataRecord, hello[1]),
		h.records.record(handshakeRecord, ticket[:100]))
	h.client.bytes(hello[:2]...)
	h.raw(h.records.record(handshakeRecord, ticket[100:]))
	h.raw(h.records.record(dataRecord, hello[2]))
	h.client.bytes(hello[2])
	h.goodBye(Traffic{}, sent(3, hello...))
}

// A side that asks for new keys without end and reads no answer is not read
// itself at some time: what waits for it stays bounded. Once it reads, all goes
// on.
func TestAnswersNobodyReads(t *testing.T) {
	t.Parallel()
	for _, d := range []side{client, upstream} {
		var s scheme
		s[d] = only13[0]
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			own, door := listen(t), listen(t)
			shortenSegments(t, own)
			shortenSegments(t, door)
			r := prepare(t, Options{Loops: 1}, own, door, s)
			r.secure[d] = byHand
			r.run()
			// Not the smallest buffers: many small writes make the kernel pause there.
			const buffer = 16 << 10
			h := r.hand(t, d, func(p *Pair) { setBuffers(p.Client, buffer); setBuffers(p.Upstream, buffer) })
			setBuffers(h.odd.conn, buffer)
			frame := h.odd.frameFrom(binaryFrame, payload(randomness(t), 1200))
			var flood []byte
			asked := 0
			for i := range frame { // each byte shows that the keys are of use
				for range 14 {
					flood = append(flood, h.records.update(true)...)
					asked++
				}
				flood = append(flood, h.records.record(dataRecord, frame[i:i+1])...)
			}
			written := make(chan error, 1)
			kept := h.odd.fillRaw(flood)
			if held := len(flood) - len(kept); held > mostHeld {
				t.Errorf("%d bytes were taken of a side that reads no answer", held)
			}
			go func() {
				_, err := h.odd.conn.bed.Write(kept)
				written <- err
			}()
			reply := h.other.frameFrom(textFrame, "all here")
			got := make([]byte, len(reply))
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(h.odd.in, got) // and all answers before it
				read <- err
			}()
			h.other.bytes(frame)
			h.other.send(reply)
			if err := <-read; err != nil || !bytes.Equal(got, reply) {
				t.Fatalf("%s: got %q, %v", h.odd.name, got, err)
			}
			h.goodBye(h.traffic(sent(1, frame), sent(1, reply)))
			if err := <-written; err != nil {
				t.Error(err)
			}
			if h.records.updates != asked {
				t.Errorf("new keys were asked for %d times and came %d times", asked, h.records.updates)
			}
		})
	}
}

// fillRaw is fill below TLS.
func (p *peer) fillRaw(b []byte) (rest []byte) {
	below := *p
	below.conn = bare(p.conn.tcp)
	return below.fill(bytes.Clone(b))
}
