package relay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// Many sessions talk at once through small sockets; each message carries its
// own checksum, so bytes of one session in another would be seen.
func TestManySessions(t *testing.T) { eachScheme(t, plainAndTLS, testManySessions) }

func testManySessions(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	random := randomness(t)
	const messages = 6
	var group sync.WaitGroup
	for i := range over.times(200) {
		l := r.joinSmall(t)
		seed := random.Uint64()
		group.Go(func() {
			errs := make([]error, 4)
			var session sync.WaitGroup
			for j, d := range []struct {
				from, to *peer
				frame    frameOf
			}{{l.client, l.upstream, masked}, {l.upstream, l.client, unmasked}} {
				session.Go(func() { errs[2*j] = sayChecksummed(d.from, d.frame, seed, messages, i%50 == 0) })
				session.Go(func() { errs[2*j+1] = hearChecksummed(d.to, messages) })
			}
			session.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
			l.hangUp()
		})
	}
	group.Wait()
}

// sayChecksummed sends messages of 1 byte to some 10 KiB, in a session with
// a large one also one of 1 MiB.
func sayChecksummed(from *peer, frame frameOf, seed uint64, messages int, large bool) error {
	random := rand.New(rand.NewPCG(seed, uint64(len(from.name))))
	for i := range messages {
		size := 1 << random.IntN(14)
		if large && i == 0 {
			size = 1 << 20
		}
		p := payload(random, size)
		sum := sha256.Sum256([]byte(p))
		if err := from.sendPieces(random, 16<<10, frame(binaryFrame, string(sum[:])+p)); err != nil {
			return fmt.Errorf("%s sends message %d: %w", from.name, i, err)
		}
	}
	return nil
}

func hearChecksummed(to *peer, messages int) error {
	for i := range messages {
		f, err := readFrame(to.in)
		if err != nil {
			return fmt.Errorf("%s reads message %d: %w", to.name, i, err)
		}
		if f.first != binaryFrame || f.masked != to.masks || len(f.payload) < sha256.Size {
			return fmt.Errorf("%s reads %v", to.name, f)
		}
		if sum := sha256.Sum256([]byte(f.payload[sha256.Size:])); string(sum[:]) != f.payload[:sha256.Size] {
			return fmt.Errorf("%s: message %d of %d bytes is damaged", to.name, i, len(f.payload))
		}
	}
	return nil
}
