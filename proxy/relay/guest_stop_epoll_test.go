//go:build linux && !portable

package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Whoever is a guest when the relay stops is seen off, however far it has come, and
// nobody is left: neither those at the door nor those who were handed over.
func TestStopSeesGuestsOff(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	away := deaf(t)
	const each = 6
	type failure struct {
		asked bool
		err   error
	}
	handed, failed, over := make(chan net.Conn, 4*each), make(chan failure, 4*each), make(chan bool, 4*each)
	stages := make(chan bool, 4*each)
	how := Reception{
		Come: func() time.Duration { stages <- true; return time.Hour },
		Heard: func(g *Guest) {
			said, _, err := takeLine(g.Read)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			switch said {
			case "away":
				err = g.Ask(&Question{away, []byte("well?"), time.Hour, time.Hour})
			case "asked":
				err = g.Ask(&Question{r.upstream(), []byte("well?"), time.Hour, time.Hour})
			default:
				conn, _ := g.Conns()
				handed <- conn
			}
			if err != nil {
				t.Errorf("ask: %v", err)
			}
			stages <- true
		},
		Failed: func(g *Guest, asked bool, err error) {
			failed <- failure{asked, err}
			if g.Client().Port()%2 == 0 {
				g.Close()
				return
			}
			conn, none := g.Conns()
			if none != nil {
				t.Error("there is an upstream")
			}
			handed <- conn
		},
		Over: func(g *Guest) { over <- true },
	}
	door := r.receive(t, how)
	var far []*peer
	for range each {
		far = append(far, visit(t, door))
		await(t, stages)
		for _, line := range []string{"away", "asked", "handed over"} {
			c := visit(t, door)
			far = append(far, c)
			c.send([]byte(line + "\n"))
			if await(t, stages); line == "asked" {
				far = append(far, r.wantsQuestion(t, "well?"))
			}
			await(t, stages)
		}
	}
	how.Room = func() bool { return false }
	far = append(far, visit(t, r.receive(t, how)))
	reading := make(map[int]<-chan error)
	for i := range each {
		conn := await(t, handed)
		reading[i] = background(func() error { _, err := conn.Read(make([]byte, 1)); return err })
	}
	r.stop()
	for _, p := range far {
		p.gone()
	}
	asked := 0
	for range 2 * each {
		f := await(t, failed)
		if !errors.Is(f.err, net.ErrClosed) {
			t.Errorf("failed: %v", f.err)
		}
		if f.asked {
			asked++
		}
	}
	if asked != each {
		t.Errorf("%d of %d upstreams are said to have got the question", asked, each)
	}
	for range each {
		await(t, over)
	}
	for _, result := range reading {
		wantsClosed(t, "read", result)
	}
	for len(handed) > 0 {
		conn := <-handed
		wantsClosed(t, "read", background(func() error { _, err := conn.Read(make([]byte, 1)); return err }))
	}
	if len(failed)+len(over) > 0 {
		t.Errorf("%d have failed twice, %d were over twice", len(failed), len(over))
	}
	if _, err := net.Dial("tcp4", door.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a door of a relay that has stopped: %v", err)
	}
	if err := door.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("close of it: %v", err)
	}
}

// Guests come, ask, are handed over and become sessions while the relay stops. Each
// that has come is heard or its time is over, each question has one outcome, each
// session one end, and all is closed.
func TestStopAmongGuests(t *testing.T) {
	r := startGuests(t, Options{}) // for its listener: upstreams that answer or not
	var upstreams sync.WaitGroup
	defer upstreams.Wait()
	defer r.listener.Close()
	upstreams.Go(func() {
		for n := 0; ; n++ {
			conn, err := r.listener.Accept()
			if err != nil {
				return
			}
			upstreams.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				if n%2 == 0 {
					_, _ = conn.Write([]byte("yes\n"))
				}
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("an upstream's connection is left open")
				}
			})
		}
	})
	for round := range 15 {
		var came, heard, over, asked, answered, failed, joined, ended atomic.Int32
		other := start(t, Options{Loops: 2})
		var goroutines sync.WaitGroup
		door := other.receive(t, Reception{
			Come: func() time.Duration {
				if n := came.Add(1); n%4 == 0 {
					return 0
				}
				return patience
			},
			Heard: func(g *Guest) {
				n := heard.Add(1)
				if n%5 == 0 {
					g.Close()
					return
				}
				if n%5 == 1 {
					conn, _ := g.Conns()
					goroutines.Go(func() {
						_, _ = conn.Read(make([]byte, 100))
						conn.Close()
					})
					return
				}
				if err := g.Ask(&Question{r.upstream(), []byte("well?"), patience, patience}); err != nil {
					t.Errorf("ask: %v", err)
					g.Close()
					return
				}
				asked.Add(1)
			},
			Answered: func(g *Guest) {
				line, _, _ := takeLine(g.ReadAnswer)
				answered.Add(1)
				if line != "yes" || !g.Say([]byte("yes\n")) {
					g.Close()
					return
				}
				joined.Add(1)
				g.Join(Pair{Ended: func(End) { ended.Add(1) }})
			},
			Failed: func(g *Guest, _ bool, err error) {
				if failed.Add(1); !errors.Is(err, net.ErrClosed) {
					t.Errorf("failed: %v", err)
				}
				g.Close()
			},
			Over: func(*Guest) { over.Add(1) },
		})
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() {
				for n := range 100 + 10*round {
					n += i
					c, err := net.Dial("tcp4", door.Addr().String())
					if err != nil {
						return
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					if n%4 != 0 {
						_, _ = c.Write([]byte("x"))
					}
					if n%3 == 0 {
						c.Close() // whatever becomes of it
						continue
					}
					clients.Go(func() {
						defer c.Close()
						if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error("a client's connection is left open")
						}
					})
				}
			})
		}
		if most := int32(20 * round); !within(patience, func() bool { return came.Load() >= most }) {
			t.Error("nobody comes")
		}
		other.stop()
		clients.Wait()
		goroutines.Wait()
		if came.Load() != heard.Load()+over.Load() {
			t.Errorf("%d have come, %d were heard, of %d the time was over", came.Load(), heard.Load(), over.Load())
		}
		if asked.Load() != answered.Load()+failed.Load() {
			t.Errorf("%d have asked, %d were answered, %d have failed", asked.Load(), answered.Load(), failed.Load())
		}
		if joined.Load() != ended.Load() {
			t.Errorf("%d sessions, %d ends", joined.Load(), ended.Load())
		}
		checkNoGuests(t, other.relay)
	}
}
