//go:build linux && !portable

package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// outcome is what has become of a question.
type outcome struct {
	answer string
	err    error // of reading it, or why there is none
	asked  bool
	late   bool // Answered or Failed was called, not Ask
	took   time.Duration
}

// asks has a client come whose guest asks q, which must be over in one way: the first
// line of the answer is whole or the upstream has gone, the question has failed, or it
// could not be asked. Then the guest is closed.
func (r *rig) asks(t testing.TB, q *Question) (*peer, <-chan outcome) {
	t.Helper()
	came := make(chan outcome, 2)
	began := time.Now()
	tell := func(g *Guest, o outcome) {
		o.took = time.Since(began)
		g.Close()
		came <- o
	}
	var answer string
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if err := g.Ask(q); err != nil {
				tell(g, outcome{err: err})
			}
		},
		Answered: func(g *Guest) {
			more, err := takeAll(g.ReadAnswer, 100)
			if answer += more; err != nil || strings.Contains(answer, "\n") {
				tell(g, outcome{answer: answer, err: err, asked: true, late: true})
			}
		},
		Failed: func(g *Guest, asked bool, err error) {
			if g.fd[upstream] >= 0 {
				t.Error("the connection to the upstream is not closed")
			}
			tell(g, outcome{err: err, asked: asked, late: true})
		},
	})
	c := visit(t, door)
	c.send([]byte("hello"))
	t.Cleanup(func() {
		if len(came) > 0 {
			t.Errorf("and once more: %+v", <-came)
		}
	})
	return c, came
}

// wantsDialError checks that err is about connecting to an address.
func wantsDialError(t testing.TB, err error, address netip.AddrPort, cause error) {
	t.Helper()
	var failure *net.OpError
	if !errors.As(err, &failure) || failure.Op != "dial" || failure.Addr.String() != address.String() || !errors.Is(err, cause) {
		t.Errorf("error %v, want one of a dial of %v: %v", err, address, cause)
	}
}

// An upstream gets the request and nothing else, and its answer can be read, in
// whatever pieces it comes.
func TestAskIsAnswered(t *testing.T) {
	r := startGuests(t, Options{})
	for _, pieces := range [][]string{{"yes\n"}, {"", "yes", ", but ", "slowly", "\n"}, strings.SplitAfter("one byte at a time\n", "")} {
		read := make(chan string, 1)
		door := r.receive(t, Reception{
			Heard: func(g *Guest) {
				if err := g.Ask(&Question{r.upstream(), []byte("well?"), patience, patience}); err != nil {
					t.Errorf("ask: %v", err)
				}
			},
			Answered: func(g *Guest) {
				piece, err := takeAll(g.ReadAnswer, 100)
				if err != nil {
					t.Errorf("read: %v", err)
				}
				if strings.HasSuffix(piece, "\n") {
					g.Close()
				}
				if piece != "" { // it may have come before the loop was told
					read <- piece
				}
			},
		})
		c := visit(t, door)
		c.send([]byte("hello"))
		u := r.wantsQuestion(t, "well?")
		for _, piece := range pieces {
			if u.send([]byte(piece)); piece != "" {
				if got := await(t, read); got != piece {
					t.Errorf("read %q of the answer, want %q", got, piece)
				}
			}
		}
		u.eof()
		c.gone()
	}
}

func TestAskIPv6(t *testing.T) {
	r := startGuests(t, Options{})
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	address := ln.Addr().(*net.TCPAddr).AddrPort()
	c, came := r.asks(t, &Question{address, []byte("six?"), patience, patience})
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	tcp, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	u := newPeer(t, "upstream", true, bare(tcp.(*net.TCPConn)))
	u.bytes([]byte("six?"))
	u.send([]byte("six\n"))
	if o := await(t, came); o.answer != "six\n" || o.err != nil {
		t.Errorf("got %+v", o)
	}
	u.eof()
	c.gone()

	// The local end of this connection is where nobody listens.
	near, err := net.Dial("tcp6", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer ln.Close()
	nobody := near.LocalAddr().(*net.TCPAddr).AddrPort()
	c, came = r.asks(t, &Question{nobody, []byte("six?"), patience, patience})
	o := await(t, came)
	wantsDialError(t, o.err, nobody, syscall.ECONNREFUSED)
	if o.asked {
		t.Error("it is said to have got the question")
	}
	c.gone()
}

// An IPv4 address that is written as an IPv6 one is an IPv4 address.
func TestAskMappedAddress(t *testing.T) {
	r := startGuests(t, Options{})
	mapped := netip.AddrPortFrom(netip.AddrFrom16(r.upstream().Addr().As16()), r.upstream().Port())
	c, came := r.asks(t, &Question{mapped, []byte("four?"), patience, patience})
	r.wantsQuestion(t, "four?").send([]byte("four\n"))
	if o := await(t, came); o.answer != "four\n" || o.err != nil {
		t.Errorf("got %+v", o)
	}
	c.gone()
}

func TestAskNobody(t *testing.T) {
	r := startGuests(t, Options{})
	for range 20 {
		nobody := r.nobodyThere(t)
		c, came := r.asks(t, &Question{nobody, []byte("well?"), patience, patience})
		o := await(t, came)
		wantsDialError(t, o.err, nobody, syscall.ECONNREFUSED)
		if o.asked {
			t.Error("it is said to have got the question")
		}
		c.gone()
	}
}

// An upstream that does not take the connection has the time that connecting may take,
// and no more than there is for all.
func TestAskTheDeaf(t *testing.T) {
	r := startGuests(t, Options{})
	address := deaf(t)
	for _, q := range []Question{
		{Connect: 50 * time.Millisecond, Answer: patience},
		{Connect: patience, Answer: 50 * time.Millisecond},
	} {
		q.Address, q.Request = address, []byte("well?")
		c, came := r.asks(t, &q)
		o := await(t, came)
		wantsDialError(t, o.err, address, os.ErrDeadlineExceeded)
		if o.asked || !o.late || o.took < 50*time.Millisecond {
			t.Errorf("got %+v", o)
		}
		c.gone()
	}
}

// An upstream that does not answer has the time for the answer.
func TestAskTheSilent(t *testing.T) {
	r := startGuests(t, Options{})
	const most = 150 * time.Millisecond // it takes the question before
	for _, says := range []string{"", "half an ans"} {
		c, came := r.asks(t, &Question{r.upstream(), []byte("well?"), patience, most})
		u := r.wantsQuestion(t, "well?")
		u.send([]byte(says))
		o := await(t, came)
		var failure *net.OpError
		if !errors.Is(o.err, os.ErrDeadlineExceeded) || !errors.As(o.err, &failure) || failure.Addr.String() != r.upstream().String() {
			t.Errorf("error %v", o.err)
		}
		if !o.asked || !o.late || o.took < most {
			t.Errorf("got %+v", o)
		}
		u.gone()
		c.gone()
	}
}

// An upstream that goes has answered that.
func TestAskedUpstreamGoes(t *testing.T) {
	r := startGuests(t, Options{})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		for _, says := range []string{"", "half an ans"} {
			c, came := r.asks(t, &Question{r.upstream(), []byte("well?"), patience, patience})
			u := r.wantsQuestion(t, "well?")
			u.send([]byte(says))
			leave(u)
			o := await(t, came)
			switch {
			case o.err == io.EOF && o.answer == says:
			case errors.Is(o.err, syscall.ECONNRESET):
				var failure *net.OpError
				if !errors.As(o.err, &failure) || failure.Op != "read" || failure.Addr.String() != r.upstream().String() {
					t.Errorf("error %v", o.err)
				}
			default:
				t.Errorf("got %+v", o)
			}
			c.gone()
		}
	})
}

// hugeRequest is more than sockets hold of what nobody reads.
var hugeRequest = bytes.Repeat([]byte(noise), 4)

// A request that the socket takes in pieces arrives whole, and then it is time for the
// answer.
func TestAskMuch(t *testing.T) {
	r := startGuests(t, Options{})
	c, came := r.asks(t, &Question{r.upstream(), hugeRequest, patience, patience})
	u := r.wantsQuestion(t, noise[:100])
	u.bytes(hugeRequest[100:])
	if len(came) > 0 {
		t.Fatalf("before the answer: %+v", <-came)
	}
	u.send([]byte("enough\n"))
	if o := await(t, came); o.answer != "enough\n" || o.err != nil {
		t.Errorf("got %+v", o)
	}
	u.eof()
	c.gone()
}

// An answer that comes while the request is still being sent is not lost: it is told when
// all has been sent.
func TestAskIsAnsweredEarly(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	c, came := r.asks(t, &Question{r.upstream(), hugeRequest, patience, patience})
	u := r.wantsQuestion(t, noise[:100])
	u.send([]byte("I know\n"))
	turn := make(chan bool, 1)
	r.relay.After(0, func() { turn <- true }) // by then the loop has been told of it
	await(t, turn)
	if len(came) > 0 {
		t.Fatalf("before the whole request: %+v", <-came)
	}
	u.bytes(hugeRequest[100:])
	if o := await(t, came); o.answer != "I know\n" || o.err != nil {
		t.Errorf("got %+v", o)
	}
	c.gone()
}

// Who does not take the whole request has not got the question: neither one that stops
// reading nor one that goes.
func TestAskTooMuch(t *testing.T) {
	r := startGuests(t, Options{})
	c, came := r.asks(t, &Question{r.upstream(), hugeRequest, 150 * time.Millisecond, patience})
	u := r.wantsQuestion(t, noise[:100])
	o := await(t, came)
	wantsDialError(t, o.err, r.upstream(), os.ErrDeadlineExceeded)
	if o.asked || !o.late || o.took < 150*time.Millisecond {
		t.Errorf("got %+v", o)
	}
	c.gone()
	u.conn.Close()

	c, came = r.asks(t, &Question{r.upstream(), hugeRequest, patience, patience})
	r.wantsQuestion(t, noise[:100]).reset()
	if o := await(t, came); o.asked || !o.late || !errors.Is(o.err, syscall.ECONNRESET) && !errors.Is(o.err, syscall.EPIPE) {
		t.Errorf("got %+v", o)
	}
	c.gone()
}

// A question for which there is no descriptor is not asked, and the guest is as it was.
func TestAskWithoutDescriptor(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	heard, short, plenty := make(chan bool, 1), make(chan bool), make(chan bool)
	came := make(chan error, 1)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			heard <- true
			<-short
			came <- g.Ask(&Question{r.upstream(), []byte("well?"), patience, patience})
			<-plenty
			if err := g.Ask(&Question{r.upstream(), []byte("now?"), patience, patience}); err != nil {
				t.Errorf("ask: %v", err)
			}
		},
		Answered: func(g *Guest) { g.Close() },
	})
	c := visit(t, door)
	c.send([]byte("hello"))
	await(t, heard)
	back := fitting(t, 0)
	close(short)
	err := await(t, came)
	back()
	close(plenty)
	wantsDialError(t, err, r.upstream(), syscall.EMFILE)
	u := r.wantsQuestion(t, "now?")
	u.send([]byte("yes\n"))
	u.gone()
	c.gone()
}
