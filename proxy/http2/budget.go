package http2

import (
	"errors"
	"net"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/time/rate"
)

// What a client may send of frames that carry nothing: at once, and each second.
// A thousand such frames are cheap; without end they are an attack
// (CVE-2019-9511 to 9518).
const (
	budgetBurst  = 1000
	budgetRefill = 100
	// resetPrice is what it costs to undo a request that has not been answered
	// with a session, in such frames: an upstream may have been asked.
	resetPrice = 10
	// grantsPerFrame is how many window updates each frame of data is worth that
	// was sent: one for its stream and one for the connection.
	grantsPerFrame = 2
)

// budget is what a client may still send of them.
type budget struct {
	limiter *rate.Limiter
	grants  int // window updates that are earned
}

func newBudget() budget { return budget{limiter: rate.NewLimiter(budgetRefill, budgetBurst)} }

// pay pays for a frame that carries nothing.
func (b *budget) pay(price int) error {
	if b.limiter.AllowN(time.Now(), price) {
		return nil
	}
	return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
}

// payUpdate pays for a window update.
func (b *budget) payUpdate() error {
	if b.grants > 0 {
		b.grants--
		return nil
	}
	return b.pay(1)
}

// earn is for a frame of data that was sent.
func (b *budget) earn() { b.grants = min(b.grants+grantsPerFrame, budgetBurst) }

// errHeadFlood ends a connection whose client sends a head without end.
var errHeadFlood = errors.New("HTTP/2: a head without end")

// input is what the frames are read from. It bounds how much one call to read a
// frame may take, because that call goes on over all CONTINUATION frames, and
// they may be empty.
type input struct {
	conn net.Conn
	left int
}

// Read implements [io.Reader].
func (i *input) Read(p []byte) (int, error) {
	if i.left <= 0 {
		return 0, errHeadFlood
	}
	n, err := i.conn.Read(p[:min(len(p), i.left)])
	i.left -= n
	return n, err
}
