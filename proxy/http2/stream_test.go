package http2

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
)

// TestGreeting reads what the server says first.
func TestGreeting(t *testing.T) {
	r := wire(t, Options{Streams: 7, HeadSize: 5000}, echo)
	r.listen()
	want := "[UNKNOWN_SETTING_8 = 1]\n[MAX_CONCURRENT_STREAMS = 7]\n[INITIAL_WINDOW_SIZE = 65536]\n[MAX_HEADER_LIST_SIZE = 5000]\n"
	if e := r.wants(h2.FrameSettings); e.end || e.data != want && e.data != strings.Replace(want, "UNKNOWN_SETTING_8", "ENABLE_CONNECT_PROTOCOL", 1) {
		t.Errorf("got %q", e.data)
	}
	if e := r.wants(h2.FrameWindowUpdate); e.stream != 0 || e.number != connWindow-firstWindow {
		t.Errorf("got %v", e)
	}
}

// TestEcho carries bytes in frames of many sizes, with padding and without.
func TestEcho(t *testing.T) {
	for _, size := range []int{1, 125, 126, 4096, Window - 1, Window, Window + 1, 1 << 20} {
		r := start(t, Options{}, echo)
		r.do(r.frames.WriteWindowUpdate(0, mostWindow-firstWindow))
		id := r.open()
		r.do(r.frames.WriteWindowUpdate(id, mostWindow-firstWindow))
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		var got []byte
		room, connRoom := Window, connWindow
		take := func(wait bool) bool {
			if !wait && len(r.events) == 0 {
				return false
			}
			switch e := r.event(); {
			case e.kind == h2.FrameData:
				got = append(got, e.data...)
			case e.kind == h2.FrameWindowUpdate && e.stream == id:
				room += int(e.number)
			case e.kind == h2.FrameWindowUpdate:
				connRoom += int(e.number)
			default:
				t.Fatalf("got %v", e)
			}
			return true
		}
		for left := want; len(left) > 0; {
			for take(false) {
			}
			n := min(1+rand.IntN(maxFrame-300), len(left))
			var pad []byte
			if rand.IntN(2) == 0 {
				pad = make([]byte, rand.IntN(200))
			}
			cost := n
			if pad != nil {
				cost += 1 + len(pad)
			}
			for cost > room || cost > connRoom {
				take(true)
			}
			r.do(r.frames.WriteDataPadded(id, false, left[:n], pad))
			left = left[n:]
			room -= cost
			connRoom -= cost
		}
		for len(got) < len(want) {
			take(true)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: other ones came back", size)
		}
		r.finish()
	}
}

// TestHalfClose ends one direction after the other.
func TestHalfClose(t *testing.T) {
	t.Run("client first", func(t *testing.T) {
		streams := make(chan *Stream, 1)
		r := start(t, Options{}, handOver(streams))
		id := r.open()
		s := <-streams
		r.do(r.frames.WriteData(id, true, []byte("last")))
		if got, err := io.ReadAll(s); err != nil || string(got) != "last" {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := io.WriteString(s, "still here"); err != nil {
			t.Error(err)
		}
		if e := r.wants(h2.FrameData); e.data != "still here" || e.end {
			t.Errorf("got %v", e)
		}
		s.Close()
		r.wantsReset(id, h2.ErrCodeCancel) // without an end of ours
	})
	t.Run("server first", func(t *testing.T) {
		streams := make(chan *Stream, 1)
		r := start(t, Options{}, handOver(streams))
		id := r.open()
		s := <-streams
		for range 2 {
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		if e := r.wants(h2.FrameData); e.data != "" || !e.end || e.stream != id {
			t.Errorf("got %v", e)
		}
		if _, err := io.WriteString(s, "more"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("wrote behind the end: %v", err)
		}
		r.say(id, "still here")
		r.do(r.frames.WriteData(id, true, nil))
		if got, err := io.ReadAll(s); err != nil || string(got) != "still here" {
			t.Errorf("got %q, %v", got, err)
		}
		s.Close()
		if err := s.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
		r.Conn.Close()
		r.wantsEnd() // and no reset
	})
}

// TestReset resets a stream from either side.
func TestReset(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		streams := make(chan *Stream, 1)
		r := start(t, Options{}, handOver(streams))
		id := r.open()
		s := <-streams
		r.say(id, "before")
		r.do(r.frames.WriteRSTStream(id, h2.ErrCodeCancel))
		if got, err := io.ReadAll(s); !errors.Is(err, errReset) || string(got) != "before" {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, errReset) {
			t.Errorf("write: %v", err)
		}
		if err := s.CloseWrite(); !errors.Is(err, errReset) {
			t.Errorf("end: %v", err)
		}
		r.say(id, "on its way")
		s.Close()
		r.say(id, "still on its way")
		r.do(r.frames.WriteWindowUpdate(id, 1))
		r.do(r.frames.WriteRSTStream(id, h2.ErrCodeCancel))
		r.do(r.frames.WritePing(false, [8]byte{}))
		r.wants(h2.FramePing) // and no reset in answer
	})
	t.Run("by the server", func(t *testing.T) {
		streams := make(chan *Stream, 1)
		r := start(t, Options{}, handOver(streams))
		id := r.open()
		(<-streams).Close()
		r.wantsReset(id, h2.ErrCodeCancel)
	})
	t.Run("without an answer", func(t *testing.T) {
		r := start(t, Options{}, func(s *Stream) { s.Close() })
		r.wantsReset(r.ask(false, tunnel()), h2.ErrCodeCancel)
	})
}

// TestLost cuts the connection below a session.
func TestLost(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	defer s.Close()
	r.say(id, "before")
	r.Conn.Close()
	if got, err := io.ReadAll(s); !errors.Is(err, errLost) || string(got) != "before" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errLost) {
		t.Errorf("write: %v", err)
	}
	s.Close()
	if err := r.ended(); err == nil {
		t.Error("the connection ended in good order")
	}
}

// TestClosedStream uses a stream that was closed.
func TestClosedStream(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	r.open()
	s := <-streams
	s.Close()
	_, read := s.Read(make([]byte, 1))
	_, write := s.Write([]byte("x"))
	for what, err := range map[string]error{"read": read, "write": write, "end": s.CloseWrite(), "deadline": s.SetDeadline(time.Now())} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s.LocalAddr() == nil || s.RemoteAddr() == nil {
		t.Error("it has no address")
	}
}

// TestCloseWhileWritingOut closes a stream whose bytes somebody else has in hand.
func TestCloseWhileWritingOut(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	in, out := net.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.WriteTo(in)
		ended <- err
	}()
	r.say(id, "hello, world")
	got := make([]byte, 12)
	if _, err := io.ReadFull(out, got[:5]); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := io.ReadFull(out, got[5:]); err != nil || string(got) != "hello, world" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if s.in.buffer != nil {
		t.Error("it still has memory")
	}
	in.Close()
	out.Close()
}

// TestWriteToFails stops when the bytes are not taken.
func TestWriteToFails(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	defer s.Close()
	in, out := net.Pipe()
	out.Close()
	r.say(id, "hello")
	if n, err := s.WriteTo(in); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %d, %v", n, err)
	}
}

// TestDeadlines lets the deadlines of a stream pass, those that stood before a call
// and those that come while it waits.
func TestDeadlines(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	defer s.Close()
	past, soon := time.Now().Add(-time.Second), 10*time.Millisecond
	buffer := make([]byte, Window+maxFrame)
	read := func() error { _, err := s.Read(buffer); return err }
	write := func() error { _, err := s.Write(buffer); return err } // more than the client lets us
	for _, row := range []struct {
		name string
		call func() error
		set  func(time.Time) error
	}{{"read", read, s.SetReadDeadline}, {"write", write, s.SetWriteDeadline}, {"read of both", read, s.SetDeadline}, {"write of both", write, s.SetDeadline}} {
		_ = row.set(past)
		if err := row.call(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, after the deadline: %v", row.name, err)
		}
		_ = row.set(time.Now().Add(soon))
		if err := row.call(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, until the deadline: %v", row.name, err)
		}
		_ = row.set(time.Time{})
		ended := make(chan error, 1)
		go func() { ended <- row.call() }()
		_ = row.set(past)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, a new deadline: %v", row.name, err)
		}
		_ = row.set(time.Time{})
	}
	r.say(id, "x") // all still works
	if n, err := s.Read(buffer); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

// TestTrailer sends fields behind a request: no tunnel has any.
func TestTrailer(t *testing.T) {
	trailer := func(r *rig, id uint32, end bool, pairs ...string) {
		r.do(r.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(list(pairs...)), EndStream: end, EndHeaders: true}))
	}
	post := list(":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/")
	t.Run("of a request", func(t *testing.T) {
		bodies := make(chan string, 1)
		r := start(t, Options{}, func(s *Stream) {
			defer s.Close()
			if _, err := readHead(s); err != nil {
				t.Error(err)
			}
			body, err := io.ReadAll(s)
			if err != nil {
				t.Error(err)
			}
			bodies <- string(body)
		})
		id := r.ask(false, post)
		r.say(id, "body")
		trailer(r, id, true, "x", "y")
		if got := <-bodies; got != "body" {
			t.Errorf("got %q", got)
		}
	})
	for _, row := range []struct {
		name   string
		tunnel bool
		before bool // the stream has ended
		end    bool
		pairs  []string
		code   h2.ErrCode
	}{
		{"of a tunnel", true, false, true, []string{"x", "y"}, h2.ErrCodeProtocol},
		{"that does not end the request", false, false, false, []string{"x", "y"}, h2.ErrCodeProtocol},
		{"with a pseudo field", false, false, true, []string{":path", "/"}, h2.ErrCodeProtocol},
		{"behind the end", false, true, true, []string{"x", "y"}, h2.ErrCodeStreamClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			ended := make(chan error, 1)
			r := start(t, Options{}, func(s *Stream) {
				defer s.Close()
				if _, err := readHead(s); err != nil {
					t.Error(err)
				}
				if row.before {
					s.changed.L.Lock() // until the stream is broken
					for s.err == nil {
						s.changed.Wait()
					}
					ended <- s.err
					s.changed.L.Unlock()
					return
				}
				_, err := io.Copy(io.Discard, s)
				ended <- err
			})
			fields := post
			if row.tunnel {
				fields = tunnel()
			}
			id := r.ask(row.before, fields)
			trailer(r, id, row.end, row.pairs...)
			r.wantsReset(id, row.code)
			if err := <-ended; !errors.Is(err, errBroken) {
				t.Errorf("got %v", err)
			}
		})
	}
}
