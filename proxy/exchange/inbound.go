package exchange

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// smallBuffer is what is read ahead of a side that is waited for. A head may make it larger.
const smallBuffer = 4 << 10

// inbound is what comes from one side: a connection and what was read ahead. One goroutine reads; the deadlines are for any.
type inbound struct {
	conn net.Conn
	buf  []byte
	at   int // buf[at:] is not taken yet

	mu      sync.Mutex
	pulled  bool          // nothing more is read
	silence time.Duration // longest wait for a byte, 0 for none
	steady  bool          // silence counts, no fixed time any more
}

// waitUntil bounds the present wait and those to come, until waitFor is called.
func (in *inbound) waitUntil(by time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.pulled && !in.steady {
		_ = in.conn.SetReadDeadline(by)
	}
}

// waitFor bounds each wait from now on; 0 is no bound.
func (in *inbound) waitFor(silence time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.silence, in.steady = silence, true
	if !in.pulled {
		var by time.Time
		if silence > 0 {
			by = time.Now().Add(silence)
		}
		_ = in.conn.SetReadDeadline(by)
	}
}

// pull ends the wait under way and all to come.
func (in *inbound) pull() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pulled = true
	_ = in.conn.SetReadDeadline(time.Unix(1, 0))
}

// loosen undoes all that was said about waiting.
func (in *inbound) loosen() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pulled, in.steady, in.silence = false, false, 0
	_ = in.conn.SetReadDeadline(time.Time{})
}

// arm prepares one wait.
func (in *inbound) arm() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.pulled {
		return os.ErrDeadlineExceeded
	}
	if in.silence > 0 {
		return in.conn.SetReadDeadline(time.Now().Add(in.silence))
	}
	return nil
}

// rest is what was read ahead.
func (in *inbound) rest() []byte { return in.buf[in.at:] }

// drop takes n bytes of it.
func (in *inbound) drop(n int) { in.at += n }

// fill reads more ahead, at least a byte.
func (in *inbound) fill() error {
	if err := in.arm(); err != nil {
		return err
	}
	if in.at > 0 {
		in.buf = in.buf[:copy(in.buf, in.rest())]
		in.at = 0
	}
	if len(in.buf) == cap(in.buf) {
		larger := make([]byte, len(in.buf), max(smallBuffer, 2*cap(in.buf)))
		copy(larger, in.buf)
		in.buf = larger
	}
	n, err := in.conn.Read(in.buf[len(in.buf):cap(in.buf)])
	in.buf = in.buf[:len(in.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// await returns when there is something to take.
func (in *inbound) await() error {
	for len(in.rest()) == 0 {
		if err := in.fill(); err != nil {
			return err
		}
	}
	return nil
}

// Read takes what was read ahead, or else waits for more.
func (in *inbound) Read(p []byte) (int, error) {
	if rest := in.rest(); len(rest) > 0 {
		n := copy(p, rest)
		in.drop(n)
		return n, nil
	}
	if err := in.arm(); err != nil {
		return 0, err
	}
	n, err := in.conn.Read(p)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// head takes the head of an answer. It is valid until the next call.
func (in *inbound) head(l handshake.Limits) ([]byte, error) {
	for seen := 0; ; {
		if rest := in.rest(); len(rest) > seen {
			end, err := handshake.AnswerEnd(rest, seen, l)
			if err != nil {
				return nil, err
			}
			if end > 0 {
				in.drop(end)
				return rest[:end], nil
			}
			seen = len(rest)
		}
		if err := in.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// line takes a line of at most so many bytes, which ends with CRLF, and returns it without. It is valid until the next call. Without
// wait it returns nil when the line is not whole yet.
func (in *inbound) line(most int, wait bool) ([]byte, error) {
	for {
		rest := in.rest()
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			if end < 1 || end-1 > most || rest[end-1] != '\r' {
				return nil, errFraming
			}
			in.drop(end + 1)
			return rest[: end-1 : end-1], nil
		}
		if len(rest) > most+1 {
			return nil, errFraming
		}
		if !wait {
			return nil, nil
		}
		if err := in.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// unexpected is err of a read in the middle of something.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
