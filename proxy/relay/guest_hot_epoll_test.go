//go:build linux && !portable

package relay

import (
	"testing"

	"golang.org/x/sys/unix"
)

// strangers are the far ends of sessions, made with system calls that do not allocate.
type strangers struct {
	t        testing.TB
	listener int // of upstreams
	door     unix.Sockaddr
	open     []int // the sockets
	buffer   [512]byte
}

// must checks a system call, and returns its result.
func (s *strangers) must(n int, err error) int {
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// takes reads so many bytes.
func (s *strangers) takes(fd, n int) {
	for n > 0 {
		k, err := unix.Read(fd, s.buffer[:n])
		if err == unix.EINTR {
			continue
		}
		if s.must(k, err) == 0 {
			s.t.Fatal("the end of the stream comes too soon")
		}
		n -= k
	}
}

// meet opens a session and sends a frame each way.
func (s *strangers) meet(hello, question, answer, welcome, there, back []byte) {
	client := s.must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	s.must(0, unix.Connect(client, s.door))
	s.must(unix.Write(client, hello))
	upstream := s.accept()
	s.takes(upstream, len(question))
	s.must(unix.Write(upstream, answer))
	s.takes(client, len(welcome))
	s.must(unix.Write(client, there))
	s.takes(upstream, len(there))
	s.must(unix.Write(upstream, back))
	s.takes(client, len(back))
	s.open = append(s.open, client, upstream)
}

// accept takes the next question.
func (s *strangers) accept() int {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(s.listener), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(fd)
		case unix.EINTR:
		default:
			s.t.Fatal(errno)
		}
	}
}

// leave ends all sessions.
func (s *strangers) leave() {
	for _, fd := range s.open {
		s.must(0, unix.Close(fd))
	}
	s.open = s.open[:0]
}

// A whole opening, from the client that comes to the first frames of its session, takes
// a guest, a session and the handle on it, and no more. What a reception allocates comes
// on top of that: this one needs nothing.
func TestOpeningAllocatesLittle(t *testing.T) {
	const openings, most = 100, 3
	r := startGuests(t, Options{Loops: 1})
	hello, question, answer, welcome := []byte(helloLine), []byte(questionLine), []byte(answerLine), []byte(welcomeLine)
	q := Question{r.upstream(), question, patience, patience}
	buffer, failed := make([]byte, 512), false
	ended := make(chan struct{}, openings)
	told := func(End) { ended <- struct{}{} }
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			n, err := g.Read(buffer)
			failed = failed || err != nil || n != len(hello)
			if err := g.Ask(&q); err != nil {
				failed = true
				g.Close()
			}
		},
		Answered: func(g *Guest) {
			n, err := g.ReadAnswer(buffer)
			failed = failed || err != nil || n != len(answer) || !g.Say(welcome)
			g.Join(Pair{Ended: told})
		},
	})
	raw, err := r.listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s := &strangers{t: t, door: &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: portOf(door)}}
	if err := raw.Control(func(fd uintptr) { s.listener, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s.must(s.listener, err))
	// The accept of this test waits, whatever the listener's own would do.
	s.must(0, unix.SetNonblock(s.listener, false))
	s.must(0, unix.SetsockoptTimeval(s.listener, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}))
	there, back := masked(textFrame, "there"), unmasked(textFrame, "back")
	open := func() {
		for range openings {
			s.meet(hello, question, answer, welcome, there, back)
		}
	}
	end := func() {
		s.leave()
		for range openings {
			await(t, ended)
		}
	}
	open() // the tables are large enough after that
	end()
	if n := mallocs(open); n > openings*most+openings/5 {
		t.Errorf("%d allocations in %d openings, %d in each are allowed", n, openings, most)
	}
	end()
	turn := make(chan bool)
	r.relay.After(0, func() { turn <- failed })
	if <-turn {
		t.Error("an opening has failed")
	}
}
