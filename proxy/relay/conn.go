package relay

import (
	"errors"
	"net"
	"os"
	"time"
)

// Quiet reports whether a connection that waits for its session is as good as new:
// the other end has neither ended it nor said anything. What TLS says by itself
// behind its handshake, such as session tickets (RFC 8446 §4.6.1), does not count
// and is taken in. A connection that is not quiet is of no use any more, for
// bytes of it may be lost.
//
// conn comes from [Relay.Dial], or from [Client] over that, and is used by nobody
// else at this time. Quiet does not wait; in the portable variant it does, for a
// millisecond, and may still miss what has only just come. The read deadline of
// conn is none afterwards.
func Quiet(conn net.Conn) bool {
	var one [1]byte
	_ = conn.SetReadDeadline(moment(conn))
	n, err := conn.Read(one[:])
	_ = conn.SetReadDeadline(time.Time{})
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// SetUserTimeout sets how long bytes sent on a connection of [Relay.Dial], or
// [Client] over that, may stay unacknowledged before it fails (TCP_USER_TIMEOUT,
// RFC 5482 §1; in milliseconds); 0 means the system's own time, which is long. In the
// portable variant it does nothing.
func SetUserTimeout(conn net.Conn, d time.Duration) { setUserTimeout(conn, d) }
