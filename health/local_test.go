package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestIsLocal(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("dial east: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", err)})
	}
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"marked", fmt.Errorf("pipe: %w", ErrLocal), true},
		{"client gone", fmt.Errorf("dial east: %w", context.Canceled), true},
		{"joined", errors.Join(io.EOF, ErrLocal), true},
		{"EMFILE", dial(syscall.EMFILE), true},
		{"ENFILE", dial(syscall.ENFILE), true},
		{"EADDRNOTAVAIL", dial(syscall.EADDRNOTAVAIL), true},
		{"ENOBUFS", dial(syscall.ENOBUFS), true},
		{"ENOMEM", dial(syscall.ENOMEM), true},
		{"EAGAIN", dial(syscall.EAGAIN), true},
		{"resolver without descriptors", dial(&net.DNSError{Err: "dial udp 10.0.0.1:53: socket: too many open files", Name: "east"}), true},
		{"no such host", dial(&net.DNSError{Err: "no such host", Name: "east", IsNotFound: true}), false},
		{"ECONNREFUSED", dial(syscall.ECONNREFUSED), false},
		{"ECONNRESET", dial(syscall.ECONNRESET), false},
		{"ETIMEDOUT", dial(syscall.ETIMEDOUT), false},
		{"EHOSTUNREACH", dial(syscall.EHOSTUNREACH), false},
		{"deadline", dial(context.DeadlineExceeded), false},
		{"i/o timeout", dial(os.ErrDeadlineExceeded), false},
		{"EOF", io.ErrUnexpectedEOF, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := IsLocal(row.err); got != row.want {
				t.Fatalf("IsLocal(%v) = %v", row.err, got)
			}
		})
	}
}
