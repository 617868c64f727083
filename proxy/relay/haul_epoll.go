//go:build linux && !portable

package relay

import (
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// Copying is most of the cost of a large frame: into the loop's buffer and out
// again. Once a side has shown that its frames are large, only their headers
// are read, and the payload goes from socket to socket through a pipe that
// moves pages instead of bytes. BenchmarkBulk pays for it.
const (
	// bulkRead is the size of a read that makes a side worth the pipe.
	bulkRead = 32 << 10
	// bulkFrame is how much of a frame must be left to be worth it.
	bulkFrame = 16 << 10
	// pipeSize is how much one haul moves at most, and so what a stuck session
	// may hold: no more than an ordinary read.
	pipeSize = readSize
)

// pipe carries payload between two sockets within one haul; between hauls it is
// empty. It is opened when it is first needed.
type pipe struct {
	read, write int32
	state       pipeState
}

type pipeState uint8

const (
	pipeUnopened pipeState = iota
	pipeOpen
	pipeUnavailable // no descriptors, or no splice: copying works as well
)

func (p *pipe) open() bool {
	if p.state == pipeUnopened {
		p.state = pipeUnavailable
		var fds [2]int
		if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) == nil {
			p.read, p.write, p.state = int32(fds[0]), int32(fds[1]), pipeOpen
			// The default holds 16 pages; less than that would do too.
			_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
		}
	}
	return p.state == pipeOpen
}

func (p *pipe) close() {
	if p.state == pipeOpen {
		rawClose(p.read)
		rawClose(p.write)
	}
	p.state = pipeUnavailable
}

// haul moves payload of a large frame that from sends. It returns false if the
// ordinary read has to be done instead; nothing has been taken from the socket
// then.
func (l *loop) haul(s *session, from side) bool {
	leg, to := &s.legs[from], &s.legs[from.other()]
	if s.asked || s.condemned(from) || len(leg.held) > 0 || leg.is(muted) || to.any(sentClose|fin|broken) || to.blocked() || to.is(hasTLS) || !l.pipe.open() {
		return false
	}
	m, most, begin := s.limited(from), pipeSize, math.MaxInt
	if m != nil {
		if most = m.hauls(); most == 0 {
			return false
		}
		begin, _ = m.room(0)
	}
	var header []byte
	if leg.scan.AtBoundary() {
		header = l.buffer[headroom : headroom+wsframe.MaxHeader]
		n, errno := rawRead(leg.fd, header)
		if errno == unix.EAGAIN {
			leg.state &^= readable
			return true
		}
		if errno != 0 || n == 0 {
			leg.state &^= bulky // the ordinary read meets it again
			return false
		}
		header = header[:n]
		leg.bytes += uint64(n)
		leg.heard = l.clock
		ahead := leg.scan
		_, messages, result := ahead.ScanFrames(header, begin)
		if result != wsframe.More || ahead.Remaining() < bulkFrame {
			leg.state &^= bulky
			l.deliver(s, from, 0, len(header))
			return true
		}
		leg.scan = ahead
		if m != nil {
			m.take(messages, len(header))
		}
	} else if leg.scan.Remaining() < bulkFrame {
		return false
	}
	s.active = l.clock
	n, errno := splice(leg.fd, l.pipe.write, int(min(leg.scan.Remaining(), uint64(most))))
	if errno != 0 || n == 0 {
		if len(header) > 0 {
			s.send(from.other(), header)
		}
		switch {
		case errno == unix.EAGAIN:
			leg.state &^= readable
		case errno != unix.EINTR:
			leg.state &^= bulky // the ordinary read meets it again
		}
		return true
	}
	leg.heard = l.clock
	leg.bytes += uint64(n)
	leg.scan.Skip(n)
	if m != nil {
		m.take(0, n)
	}
	l.unload(s, from.other(), header, n)
	return true
}

// unload sends a header and the n bytes in the pipe behind it. What the socket
// does not take is kept, and the pipe is empty again.
func (l *loop) unload(s *session, to side, header []byte, n int) {
	t := &s.legs[to]
	if len(header) > 0 {
		sent, errno := rawWriteMore(t.fd, header)
		switch header = header[sent:]; {
		case errno != 0 && errno != unix.EAGAIN:
			l.keepPipe(nil, n)
			s.writeFailed(to)
			return
		case len(header) > 0:
			s.keep(to, header)
		}
	}
	for n > 0 && !t.blocked() {
		moved, errno := splice(l.pipe.read, t.fd, n)
		switch {
		case errno == unix.EAGAIN, errno == 0 && moved == 0:
			t.out = l.keepPipe(t.out, n)
			s.full(to)
			return
		case errno == unix.EINTR:
		case errno != 0:
			l.keepPipe(nil, n)
			s.writeFailed(to)
			return
		}
		n -= moved
	}
	if n > 0 {
		t.out = l.keepPipe(t.out, n)
	}
}

// keepPipe empties the pipe of its n bytes and returns them behind chunk.
func (l *loop) keepPipe(chunk []byte, n int) []byte {
	for n > 0 {
		p := l.buffer[headroom : headroom+min(n, readSize)]
		got, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(l.pipe.read), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || got == 0 {
			panic("BUG: the pipe of a loop does not hold what was put into it")
		}
		chunk = l.chunks.extend(chunk, p[:got])
		n -= int(got)
	}
	return chunk
}

// splice moves up to n bytes between a socket and a pipe.
func splice(from, to int32, n int) (int, syscall.Errno) {
	moved, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n),
		unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if errno != 0 {
		return 0, errno
	}
	return int(moved), 0
}
