package http2

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	h2 "golang.org/x/net/http2"
)

// after runs a test in virtual time, in which began is its beginning.
func after(t *testing.T, test func(t *testing.T, since func() time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		test(t, func() time.Duration { return time.Since(began) })
	})
}

// TestSlowGreeting says the preface slowly. The deadline is the one that stands on
// the connection.
func TestSlowGreeting(t *testing.T) {
	for _, row := range []struct{ name, send string }{
		{"nothing", ""}, {"half a preface", h2.ClientPreface[:10]}, {"no settings", h2.ClientPreface},
		{"half of the settings", h2.ClientPreface + raw(h2.FrameSettings, 0, 0, setting(h2.SettingEnablePush, 0))[:11]},
	} {
		t.Run(row.name, func(t *testing.T) {
			after(t, func(t *testing.T, since func() time.Duration) {
				r := &rig{t: t}
				r.connect(Options{IdleTimeout: time.Hour}, echo, func() { _ = r.conn.conn.SetReadDeadline(time.Now().Add(3 * time.Second)) })
				r.listen()
				go r.offer(row.send)
				if err := r.ended(); !errors.Is(err, os.ErrDeadlineExceeded) || since() != 3*time.Second {
					t.Errorf("ended after %v with %v", since(), err)
				}
				r.finish()
			})
		})
	}
}

// TestIdle has no stream for a while: at first, behind a session, and with frames
// that open none.
func TestIdle(t *testing.T) {
	const idle = 7 * time.Second
	wantIdle := func(r *rig, since func() time.Duration, after time.Duration, last uint32) {
		t.Helper()
		if e := r.wantsGoAway(h2.ErrCodeNo); e.number != last {
			t.Errorf("got %v, want last stream %d", e, last)
		}
		r.wantsEnd()
		if err := r.ended(); err != nil || since() != after {
			t.Errorf("ended after %v with %v, want %v", since(), err, after)
		}
	}
	t.Run("at first", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, echo)
			wantIdle(r, since, idle, 0)
		})
	})
	t.Run("behind a session", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, echo)
			id := r.open()
			time.Sleep(10 * idle) // that long the session is silent
			r.do(r.frames.WriteData(id, true, nil))
			r.wants(h2.FrameData)
			wantIdle(r, since, 11*idle, id)
		})
	})
	t.Run("with pings", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, echo)
			go func() {
				for range 6 {
					time.Sleep(time.Second)
					r.offer(raw(h2.FramePing, 0, 0, "12345678"))
				}
			}()
			wantIdle(r, since, idle, 0)
		})
	})
	t.Run("with half a head", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, echo)
			go func() {
				r.offer(raw(h2.FrameHeaders, 0, 1, "\x82"))
				for range 6 {
					time.Sleep(time.Second)
					r.offer(raw(h2.FrameContinuation, 0, 1, "\x87"))
				}
			}()
			wantIdle(r, since, idle, 0)
		})
	})
	t.Run("with a request that takes its time", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, func(s *Stream) {
				defer s.Close()
				time.Sleep(20 * time.Second) // a slow upstream
				if _, err := io.WriteString(s, "HTTP/1.1 503 X\r\n\r\n"); err != nil {
					t.Error(err)
				}
			})
			id := r.ask(true, tunnel())
			if e := r.wants(h2.FrameHeaders); e.field(":status") != "503" {
				t.Errorf("got %v", e)
			}
			wantIdle(r, since, 20*time.Second, id)
		})
	})
	t.Run("with refused requests", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{IdleTimeout: idle}, func(s *Stream) {
				defer s.Close()
				if _, err := io.WriteString(s, "HTTP/1.1 404 X\r\n\r\n"); err != nil {
					t.Error(err)
				}
			})
			var last uint32
			for range 6 {
				time.Sleep(time.Second)
				last = r.ask(true, tunnel())
				r.wants(h2.FrameHeaders)
			}
			wantIdle(r, since, idle, last)
		})
	})
}

// TestNeverASession: requests that follow each other closely do not keep a connection that never has a session. Each is answered until the
// client has been told.
func TestNeverASession(t *testing.T) {
	after(t, func(t *testing.T, since func() time.Duration) {
		const idle, takes = 5 * time.Second, 2 * time.Second
		var served sync.WaitGroup
		r := start(t, Options{IdleTimeout: idle}, func(s *Stream) {
			served.Go(func() {
				defer s.Close()
				if _, err := readHead(s); err != nil {
					t.Error(err)
				}
				time.Sleep(takes)
				_, _ = io.WriteString(s, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
			})
		})
		answered := 0
		asked, told := 0, time.Duration(0)
		for since() < time.Minute && told == 0 {
			r.ask(true, list(":method", "GET", ":scheme", "https", ":authority", "router.example", ":path", "/"))
			asked++
			time.Sleep(takes / 2)
			for len(r.events) > 0 {
				switch e := r.event(); e.kind {
				case h2.FrameHeaders:
					answered++
				case h2.FrameGoAway:
					told = since()
				}
			}
		}
		if told < idle || told > idle+2*takes {
			t.Fatalf("told after %v", told)
		}
		for e := range r.events {
			if e.kind == h2.FrameHeaders {
				answered++
			}
		}
		if answered != asked {
			t.Errorf("%d of %d requests were answered", answered, asked)
		}
		if err := r.ended(); err != nil {
			t.Error(err)
		}
		served.Wait()
	})
}

// TestClientTakesNothing writes to a client that does not read. What it sends
// meanwhile is no help.
func TestClientTakesNothing(t *testing.T) {
	after(t, func(t *testing.T, since func() time.Duration) {
		r := &rig{t: t}
		r.connect(Options{IdleTimeout: time.Hour, WriteTimeout: 11 * time.Second}, echo, func() {})
		r.greet()
		go r.offer(raw(h2.FramePing, 0, 0, "12345678"))
		if err := r.ended(); !errors.Is(err, os.ErrDeadlineExceeded) || since() != 11*time.Second {
			t.Errorf("ended after %v with %v", since(), err)
		}
		r.finish()
	})
}

// TestClientTakesSlowly reads a little at a time, which is slow but no standstill.
func TestClientTakesSlowly(t *testing.T) {
	after(t, func(t *testing.T, since func() time.Duration) {
		streams := make(chan *Stream, 1)
		r := &rig{t: t}
		r.connect(Options{WriteTimeout: 11 * time.Second}, handOver(streams), func() {})
		r.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 20})
		r.do(r.frames.WriteWindowUpdate(0, 1<<20))
		r.ask(false, tunnel())
		s := <-streams
		const size = 1 << 20
		written := make(chan error, 1)
		go func() {
			_, err := s.Write(make([]byte, size))
			s.Close()
			written <- err
		}()
		for got, buffer := 0, make([]byte, writePiece); got < size; {
			n, err := io.ReadFull(r.Conn, buffer)
			if err != nil {
				t.Fatal(err)
			}
			got += n
			time.Sleep(10 * time.Second)
		}
		if err := <-written; err != nil || since() < 10*time.Minute {
			t.Errorf("written after %v with %v", since(), err)
		}
		r.finish()
	})
}

// TestLeave ends a connection in good order.
func TestLeave(t *testing.T) {
	t.Run("with a session", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{}, echo)
			first := r.open()
			r.conn.Leave()
			r.conn.Leave() // once is enough
			if e := r.wantsGoAway(h2.ErrCodeNo); e.number != mostWindow {
				t.Errorf("got %v", e)
			}
			ping := r.wants(h2.FramePing)
			second := r.open() // it was on its way
			r.do(r.frames.WritePing(true, [8]byte([]byte(ping.data))))
			if e := r.wantsGoAway(h2.ErrCodeNo); e.number != second {
				t.Errorf("got %v, want last stream %d", e, second)
			}
			late := r.ask(false, tunnel())
			r.say(second, "go on")
			if e := r.wants(h2.FrameData); e.stream != second || e.data != "go on" {
				t.Errorf("got %v, and stream %d should be ignored", e, late)
			}
			for _, id := range []uint32{first, second} {
				time.Sleep(time.Hour)
				r.do(r.frames.WriteData(id, true, nil))
				if e := r.wants(h2.FrameData); e.stream != id || !e.end {
					t.Errorf("got %v", e)
				}
			}
			r.wantsGoAway(h2.ErrCodeNo)
			r.wantsEnd()
			if err := r.ended(); err != nil || since() != 2*time.Hour {
				t.Errorf("ended after %v with %v", since(), err)
			}
		})
	})
	t.Run("without an answer to the ping", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{}, echo)
			r.conn.Leave()
			if e := r.wantsGoAway(h2.ErrCodeNo); e.number != mostWindow {
				t.Errorf("got %v", e)
			}
			r.wants(h2.FramePing)
			if e := r.wantsGoAway(h2.ErrCodeNo); e.number != 0 {
				t.Errorf("got %v", e)
			}
			r.wantsEnd()
			if err := r.ended(); err != nil || since() != goodbyeWait {
				t.Errorf("ended after %v with %v", since(), err)
			}
		})
	})
	t.Run("what comes behind a request that came too late", func(t *testing.T) {
		for _, what := range []string{"data", "update", "reset", "trailer", "malformed"} {
			after(t, func(t *testing.T, since func() time.Duration) {
				r := start(t, Options{}, echo)
				first := r.open()
				r.conn.Leave()
				r.wantsGoAway(h2.ErrCodeNo)
				r.wants(h2.FramePing) // it is not answered
				if e := r.wantsGoAway(h2.ErrCodeNo); e.number != first {
					t.Errorf("got %v", e)
				}
				late := r.ask(false, tunnel())
				switch what {
				case "data":
					r.say(late, "hello")
				case "update":
					r.do(r.frames.WriteWindowUpdate(late, 100))
				case "reset":
					r.do(r.frames.WriteRSTStream(late, h2.ErrCodeCancel))
				case "trailer":
					r.do(r.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: late, BlockFragment: r.encode(list("a", "b")), EndStream: true, EndHeaders: true}))
				case "malformed":
					r.do(r.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: late + 2, BlockFragment: r.encode(list("UPPER", "b")), EndStream: true, EndHeaders: true}))
				}
				r.say(first, "go on")
				if e := r.wants(h2.FrameData); e.stream != first || e.data != "go on" {
					t.Errorf("%s: got %v", what, e)
				}
				r.do(r.frames.WriteData(first, true, nil))
				if e := r.wants(h2.FrameData); e.stream != first || !e.end {
					t.Errorf("%s: got %v", what, e)
				}
				if e := r.wantsGoAway(h2.ErrCodeNo); e.number != first {
					t.Errorf("%s: got %v", what, e)
				}
				r.wantsEnd()
			})
		}
	})
	t.Run("before the preface", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := wire(t, Options{}, echo)
			r.listen()
			r.conn.Leave()
			r.wantsGoAway(h2.ErrCodeNo)
			r.wantsGoAway(h2.ErrCodeNo)
			r.wantsEnd()
			if err := r.ended(); err != nil || since() != goodbyeWait {
				t.Errorf("ended after %v with %v", since(), err)
			}
		})
	})
	t.Run("cut meanwhile", func(t *testing.T) {
		after(t, func(t *testing.T, since func() time.Duration) {
			r := start(t, Options{}, echo)
			r.open()
			r.conn.Leave()
			r.conn.Close()
			if err := r.ended(); !errors.Is(err, errClosed) || since() != 0 {
				t.Errorf("ended after %v with %v", since(), err)
			}
			r.conn.Leave() // too late, but harmless
			time.Sleep(2 * goodbyeWait)
		})
	})
}

// TestClientLeaves has the client end the connection without a word, when it has no
// stream.
func TestClientLeaves(t *testing.T) {
	r := start(t, Options{}, echo)
	id := r.open()
	r.do(r.frames.WriteData(id, true, nil))
	r.find(h2.FrameData)
	r.Conn.Close()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
}

// TestClose cuts a connection while everything waits.
func TestClose(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	r.open()
	s := <-streams
	reading, writing := make(chan error), make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 1))
		reading <- err
	}()
	go func() {
		_, err := s.Write(make([]byte, 1<<20))
		writing <- err
	}()
	r.conn.Close()
	for _, ended := range []chan error{reading, writing} {
		if err := <-ended; !errors.Is(err, errLost) {
			t.Errorf("got %v", err)
		}
	}
	s.Close()
	if err := r.ended(); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}
