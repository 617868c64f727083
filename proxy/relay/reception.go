package relay

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// ErrNoReception means that a listener cannot be received from in the loops: it is
// not one of TCP, or there are no loops.
var ErrNoReception = errors.New("no reception: connections have to be accepted")

// Reception says what becomes of the clients of a listener before they are joined,
// each of which is a [Guest]. What it says, the loops do themselves: such a client
// needs no goroutine. Its funcs are called by loops, those about one guest one
// after the other. They must not block: all sessions of the loop wait for them.
//
// Who would have to be waited for, for another reason than its two sockets, is
// handed over to a goroutine: [Guest.Conns].
type Reception struct {
	// Room reports whether one more client may be accepted. If not, it is asked
	// again after some milliseconds.
	Room func() bool
	// Come is called for each client that was accepted, and returns how long it may take
	// until its request is whole. If that is 0, nothing is waited for: Heard is called at
	// once, and has to decide.
	Come func() time.Duration
	// Heard is called when the guest has said something or has gone; at times it is
	// called for nothing. It reads, and then asks, hands over, refuses or closes; or, once
	// it has read all that there is, it may wait for more, and is called again.
	Heard func(*Guest)
	// Late is called when the guest's time was over before its request was whole. It may
	// hand over, refuse or close; if it does nothing, the guest is closed.
	Late func(*Guest)
	// Answered is called when the upstream that was asked has said something or has
	// gone. It reads, and then joins, hands over or closes; if that was not enough yet,
	// it may also wait for more.
	Answered func(*Guest)
	// Failed is called when the upstream that was asked could not be connected, or the
	// time was over, which is an error that [os.ErrDeadlineExceeded] is part of; its
	// connection is closed. It tells whether the upstream had got the question. It hands
	// over, refuses, closes, or asks another one.
	Failed func(g *Guest, asked bool, err error)
	// Gone is called when the client has gone while an upstream was being asked, which
	// nobody needs to answer any more. It closes.
	Gone func(*Guest)
	// Over is called for a guest that was closed by its loop, because its time was over,
	// because it was refused, or because the loop ends. Nothing is to be done with it.
	Over func(*Guest)
	// Broken is told why a client could not be accepted, which may be a shortage; it
	// is tried again after a pause. Neither it nor Come may close the listener.
	Broken func(error)
}

// Receive takes ln over and has the loops accept its clients. It returns what closes
// it; once that has been done nobody comes any more. The error is ErrNoReception,
// and ln is untouched, or another one, and ln is closed.
func (r *Relay) Receive(ln net.Listener, reception Reception) (net.Listener, error) {
	return r.receive(ln, &reception)
}

// Question is what a [Guest] asks an upstream.
type Question struct {
	Address netip.AddrPort // without a zone
	Request []byte         // sent at once; it must stay as it is until the upstream has said something
	// Connect is how long it may take until the upstream has taken the request, Answer
	// how long in all.
	Connect, Answer time.Duration
}
