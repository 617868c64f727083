package echo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
)

// Server is a WebSocket echo server. Make it with Listen; call Run once.
type Server struct {
	// Yields lets its threads have a processor only when nobody else wants it (SCHED_IDLE). Set it before Run.
	Yields bool
	addr   netip.AddrPort
	loops  []*loop
}

// Listen opens addr, an IPv4 address and port (port 0 picks a free one), once for each of the loops. name, which may be empty, is
// told to each client in NameHeader. secure is the server's side of TLS, nil for none. The caller must call Run, which closes what
// Listen opened.
func Listen(addr string, loops int, name string, secure *tls.Config) (*Server, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if !at.Addr().Is4() {
		return nil, fmt.Errorf("listen on %s: not an IPv4 address", addr)
	}
	if loops < 1 {
		return nil, fmt.Errorf("listen on %s: %d loops, want at least 1", addr, loops)
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
		return nil, fmt.Errorf("listen on %s: name %q is not printable ASCII", addr, name)
	}
	s := &Server{addr: at}
	common := &shared{name: name, tls: secure}
	for range loops {
		l, err := newLoop(s.addr, common)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("listen on %s: %w", s.addr, err)
		}
		s.loops = append(s.loops, l)
		s.addr = l.addr // the others share the port that the first one got
	}
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.addr.String() }

// Run serves until ctx ends, which is no error, or a loop cannot go on. All sockets are closed when it returns.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(s.loops))
	var wg sync.WaitGroup
	for i, l := range s.loops {
		wg.Go(func() {
			defer cancel() // one loop less would change every figure
			if errs[i] = epoll.OwnThread(s.Yields); errs[i] == nil {
				errs[i] = l.run()
			}
		})
	}
	<-ctx.Done()
	for _, l := range s.loops {
		l.stopped.Store(true)
		l.poller.Wake()
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Server) close() {
	for _, l := range s.loops {
		l.close()
	}
}

func newLoop(addr netip.AddrPort, common *shared) (*loop, error) {
	fd, addr, err := listen(addr)
	if err != nil {
		return nil, err
	}
	p, err := epoll.New(256)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := p.AddListener(fd, listenerSlot); err != nil {
		p.Close()
		_ = unix.Close(fd)
		return nil, err
	}
	return &loop{shared: common, addr: addr, listener: fd, poller: p, conns: make([]*conn, 1), buf: make([]byte, readBuffer)}, nil
}

// listen opens a non-blocking listener and returns it with the address it really has.
func listen(addr netip.AddrPort) (int, netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, addr, fmt.Errorf("create socket: %w", err)
	}
	for _, o := range [...]struct{ level, name int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY}, // accepted sockets inherit it: one call less per session
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			_ = unix.Close(fd)
			return 0, addr, fmt.Errorf("set socket option %d: %w", o.name, err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return 0, addr, fmt.Errorf("read own address: %w", err)
	}
	if in4, ok := name.(*unix.SockaddrInet4); ok {
		addr = netip.AddrPortFrom(addr.Addr(), uint16(in4.Port))
	}
	return fd, addr, nil
}
