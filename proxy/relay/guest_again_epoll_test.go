//go:build linux && !portable

package relay

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A guest may hang up and ask another upstream, as often as it likes.
func TestAskAfterHangUp(t *testing.T) {
	r := startGuests(t, Options{})
	const most = 20
	answers := 0
	last := make(chan string, 1)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) { r.askFrom(t, g, r.upstream()) },
		Answered: func(g *Guest) {
			line, _, err := takeLine(g.ReadAnswer)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			if answers++; answers == most {
				g.Close()
				last <- line
				return
			}
			g.HangUp()
			r.askFrom(t, g, r.upstream())
		},
	})
	c := visit(t, door)
	c.send([]byte("hello"))
	for i := range most {
		u := r.wantsQuestion(t, "well?")
		if i == most-1 {
			u.send([]byte("yes\n"))
		} else {
			u.send([]byte("no\n"))
		}
		u.eof()
	}
	if s := await(t, last); s != "yes" {
		t.Errorf("the last answer was %q", s)
	}
	c.gone()
}

// askFrom has a guest ask a short question.
func (r *rig) askFrom(t testing.TB, g *Guest, address netip.AddrPort) {
	if err := g.Ask(&Question{address, []byte("well?"), patience, patience}); err != nil {
		t.Errorf("ask: %v", err)
	}
}

// A guest whose question has failed, in whatever way, may ask another upstream, and
// becomes a session in the end.
func TestAskAfterFailure(t *testing.T) {
	r := startGuests(t, Options{})
	nobody, away := r.nobodyThere(t), deaf(t)
	const short = 50 * time.Millisecond
	l := r.expect(t)
	failures := make(chan error, 2)
	// seek asks one upstream after the other, until one can be asked.
	var rest []Question
	seek := func(g *Guest) {
		for len(rest) > 0 {
			q := rest[0]
			rest = rest[1:]
			err := g.Ask(&q)
			if err == nil {
				return
			}
			if q.Address != nobody || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("ask: %v", err)
			}
		}
	}
	rest = []Question{
		{nobody, []byte("1"), patience, patience},
		{away, []byte("2"), short, patience},
		{nobody, []byte("3"), patience, patience},
		{r.upstream(), []byte("silent?"), patience, 2 * short},
		{nobody, []byte("5"), patience, patience},
		{r.upstream(), []byte("well?"), patience, patience},
	}
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if _, _, err := takeLine(g.Read); err != nil {
				t.Errorf("read: %v", err)
			}
			seek(g)
		},
		Failed: func(g *Guest, asked bool, err error) {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				failures <- err
			}
			seek(g)
		},
		Answered: func(g *Guest) { l.become(g) },
	})
	l.client = visit(t, door)
	l.client.send([]byte("hello\n"))
	silent := r.wantsQuestion(t, "silent?")
	silent.gone()
	for range 2 {
		if err := await(t, failures); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("failed: %v", err)
		}
	}
	l.upstream = r.wantsQuestion(t, "well?")
	l.upstream.send([]byte(answerLine))
	l.client.bytes([]byte(welcomeLine))
	l.exchange()
}

// A client that is lost while its question is asked is told of at once. One that has
// only said all that it has to say waits for the answer.
func TestGuestGoesWhileAsking(t *testing.T) {
	r := startGuests(t, Options{})
	eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
		found := make(chan error, 1)
		door := r.receive(t, Reception{
			Heard: func(g *Guest) { r.askFrom(t, g, r.upstream()) },
			Answered: func(g *Guest) {
				_, err := takeEnd(g.Read)
				g.Close()
				found <- err
			},
			Gone: func(g *Guest) {
				g.Close()
				found <- syscall.ECONNRESET
			},
		})
		c := visit(t, door)
		c.send([]byte("hello"))
		u := r.wantsQuestion(t, "well?")
		leave(c)
		if strings.HasSuffix(t.Name(), "reset") {
			if err := await(t, found); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("found out: %v", err)
			}
		} else {
			u.send([]byte("yes\n"))
			if err := await(t, found); err == nil {
				t.Error("the client is still there")
			}
		}
		u.gone()
	})
}
