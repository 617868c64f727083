// Package listener keeps a listener alive through a shortage. Its noun is the
// listener.
//
// Invariant: Accept fails only when the listener is closed or broken for good. A
// process that has run out of descriptors, or a client that left while it
// waited, is no reason to stop serving everybody else.
package listener

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/pointsman/pointsman/health"
)

const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// Patient returns ln with an Accept that waits through shortages and returns
// io.EOF once the listener is closed. It calls short, if not nil, each time the
// system had nothing to give. Closing it twice is harmless.
func Patient(ln net.Listener, short func()) net.Listener {
	return &patient{Listener: ln, short: short, closed: make(chan struct{})}
}

type patient struct {
	net.Listener
	short  func()
	once   sync.Once
	closed chan struct{}
	err    error
}

// Accept implements [net.Listener].
func (p *patient) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		conn, err := p.Listener.Accept()
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, net.ErrClosed):
			return nil, io.EOF
		case errors.Is(err, syscall.ECONNABORTED):
			continue
		case !health.IsLocal(err):
			return nil, err
		}
		if p.short != nil {
			p.short()
		}
		select {
		case <-time.After(pause):
		case <-p.closed:
			return nil, io.EOF
		}
	}
}

// Close implements [net.Listener].
func (p *patient) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.err = p.Listener.Close()
	})
	return p.err
}
