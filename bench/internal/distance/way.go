package distance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize = 16 << 10
	// chunks is how many may be under way in one direction; then the sender has to wait.
	chunks = 256
)

// Way is a way to a server. Make it with Listen.
type Way struct {
	ln        net.Listener
	target    string
	roundTrip time.Duration
	cancel    context.CancelFunc
	group     sync.WaitGroup
}

// Listen opens a way to target, an address with a port, on a free port of 127.0.0.1. A round trip on it takes that much longer. It carries
// nothing any more when ctx has ended. The caller must call Close.
func Listen(ctx context.Context, target string, roundTrip time.Duration) (*Way, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a way to %s: %w", target, err)
	}
	w := &Way{ln: ln, target: target, roundTrip: roundTrip}
	ctx, w.cancel = context.WithCancel(ctx)
	w.group.Go(func() { w.accept(ctx) })
	return w, nil
}

// Addr is where it begins.
func (w *Way) Addr() string { return w.ln.Addr().String() }

// Close ends the way. Calling it twice is fine.
func (w *Way) Close() {
	w.cancel()
	_ = w.ln.Close()
	w.group.Wait()
}

func (w *Way) accept(ctx context.Context) {
	for {
		near, err := w.ln.Accept()
		if err != nil {
			return // by Close; whoever needs the way will say so otherwise
		}
		w.group.Go(func() { w.carry(ctx, near.(*net.TCPConn), time.Now()) })
	}
}

// carry is the life of one connection.
func (w *Way) carry(ctx context.Context, near *net.TCPConn, begun time.Time) {
	defer near.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	there, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.target)
	if err != nil {
		_ = near.SetLinger(0) // as a refusal that comes late
		return
	}
	far := there.(*net.TCPConn)
	defer far.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	open := begun.Add(w.roundTrip) // what TCP's handshake would have taken
	var group sync.WaitGroup
	group.Go(func() { w.move(ctx, cancel, far, near, open) })
	group.Go(func() { w.move(ctx, cancel, near, far, time.Time{}) })
	group.Wait()
}

// chunk is what was sent at one moment; nil data is the end of the stream.
type chunk struct {
	data []byte
	due  time.Time
}

// move passes on what comes from one end when it is due at the other; nothing leaves before open. An error other than the end of the stream
// ends both directions.
func (w *Way) move(ctx context.Context, cancel context.CancelFunc, to, from *net.TCPConn, open time.Time) {
	queue := make(chan chunk, chunks)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(queue)
		for {
			b := make([]byte, chunkSize)
			n, err := from.Read(b)
			sent := time.Now()
			if sent.Before(open) {
				sent = open
			}
			c := chunk{b[:n], sent.Add(w.roundTrip / 2)}
			if err != nil {
				c.data = nil
			}
			select {
			case queue <- c:
			case <-ctx.Done():
				return
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					cancel()
				}
				return
			}
		}
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c := range queue {
		timer.Reset(time.Until(c.due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			continue // until the reader has ended
		}
		if c.data == nil {
			_ = to.CloseWrite()
			continue
		}
		if _, err := to.Write(c.data); err != nil {
			cancel()
		}
	}
	group.Wait()
}
