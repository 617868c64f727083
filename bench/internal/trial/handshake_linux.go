package trial

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"github.com/pointsman/pointsman/bench/internal/upgrade"
)

// handshakeTimeout is longer than anything that the router waits for.
const handshakeTimeout = 20 * time.Second

// refusal is an answer to a handshake that is no session.
type refusal struct {
	status int
	head   string // the first part of it
}

// Error implements error.
func (r *refusal) Error() string { return "no session: " + r.head }

// handshake opens a session, says how long that took, and ends it with a RST.
func handshake(addr string) (time.Duration, error) {
	request := upgrade.NewRequest(addr, "/")
	key, accept := upgrade.Draw()
	begun := time.Now()
	c, err := net.DialTimeout("tcp", addr, handshakeTimeout)
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}()
	_ = c.SetDeadline(begun.Add(handshakeTimeout)) // a connection that is gone shows with the write
	if _, err := c.Write(request.With(key)); err != nil {
		return 0, err
	}
	in := bufio.NewReader(c)
	var head []byte
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read answer: %w", err)
		}
		if len(line) == 2 {
			break
		}
		head = append(head, line...)
	}
	took := time.Since(begun)
	if !upgrade.Accepted(head, accept) {
		return took, &refusal{upgrade.Status(head), string(head[:min(len(head), 80)])}
	}
	return took, nil
}
