package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// ErrLocal marks an error as our own fault: wrap it to keep an outcome out of the score. See [IsLocal].
var ErrLocal = errors.New("local fault")

// localErrnos are the system's words for "you have run out of something". EAGAIN is here as connect(2) and socket(2) use it:
// no free local port or no memory for now. A socket that would block never shows it: the runtime, or the event loop, waits instead.
var localErrnos = [...]syscall.Errno{
	syscall.EMFILE,
	syscall.ENFILE,
	syscall.EADDRNOTAVAIL,
	syscall.ENOBUFS,
	syscall.ENOMEM,
	syscall.EAGAIN,
}

// IsLocal reports whether err says something about this process or its client, and nothing about the upstream: no descriptors,
// no ports, no memory, the client has gone ([context.Canceled]), or [ErrLocal]. A passed deadline is not local.
func IsLocal(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, ErrLocal) || errors.Is(err, context.Canceled) {
		return true
	}
	for _, errno := range localErrnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	// The resolver flattens the error of its own socket into text, so that only the text is left to look at.
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return strings.HasSuffix(dns.Err, syscall.EMFILE.Error()) || strings.HasSuffix(dns.Err, syscall.ENFILE.Error())
	}
	return false
}

// stalled returns err, or a local error when took is so far beyond the deadline that nobody here was awake to see it pass: the process
// was suspended or starved, so the outcome, good or bad, is about us.
func stalled(what string, took, deadline time.Duration, err error) error {
	if took <= deadline+max(deadline/2, 250*time.Millisecond) {
		return err
	}
	return fmt.Errorf("%w: %s took %v with a deadline of %v: this process stood still",
		ErrLocal, what, took.Round(time.Millisecond), deadline)
}
