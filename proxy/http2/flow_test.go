package http2

import (
	"io"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
)

// tests of flow control: RFC 9113 §5.2

// TestWindowIsOpenedByReading sends as much as the window allows to a session that
// reads nothing, and then reads.
func TestWindowIsOpenedByReading(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	defer s.Close()
	for range Window / maxFrame {
		r.say(id, strings.Repeat("x", maxFrame))
	}
	r.do(r.frames.WritePing(false, [8]byte{}))
	r.wants(h2.FramePing) // no window was opened before
	buffer := make([]byte, Window/2)
	if _, err := io.ReadFull(s, buffer[1:]); err != nil {
		t.Fatal(err)
	}
	r.do(r.frames.WritePing(false, [8]byte{}))
	r.wants(h2.FramePing) // it is not worth it yet
	if _, err := io.ReadFull(s, buffer[:1]); err != nil {
		t.Fatal(err)
	}
	if e := r.wants(h2.FrameWindowUpdate); e.stream != id || e.number != Window/2 {
		t.Errorf("got %v", e)
	}
	for range Window / 2 / maxFrame {
		r.say(id, strings.Repeat("y", maxFrame))
	}
	r.say(id, "z") // one byte too many
	r.wantsReset(id, h2.ErrCodeFlowControl)
	rest, err := io.ReadAll(s)
	if want := strings.Repeat("x", Window/2) + strings.Repeat("y", Window/2); err != errBroken || string(rest) != want {
		t.Errorf("got %d bytes, %v", len(rest), err)
	}
	if s.in.buffer != nil {
		t.Error("an empty stream has memory")
	}
}

// TestPaddingCounts sends nothing but padding. It takes up window, and is given
// back at once.
func TestPaddingCounts(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	id := r.open()
	s := <-streams
	defer s.Close()
	pad := make([]byte, 255)
	for range Window/2/256 - 1 {
		r.do(r.frames.WriteDataPadded(id, false, nil, pad))
	}
	r.do(r.frames.WritePing(false, [8]byte{}))
	r.wants(h2.FramePing)
	r.do(r.frames.WriteDataPadded(id, false, nil, pad))
	if e := r.wants(h2.FrameWindowUpdate); e.stream != id || e.number != Window/2 {
		t.Errorf("got %v", e)
	}
}

// TestStuckStreamInward has one session that reads nothing beside one that does.
func TestStuckStreamInward(t *testing.T) {
	streams := make(chan *Stream, 8)
	r := start(t, Options{}, handOver(streams))
	for range 4 { // four times their windows are far more than that of the connection at first
		id := r.open()
		defer (<-streams).Close()
		for range Window / maxFrame {
			r.say(id, strings.Repeat("x", maxFrame))
		}
	}
	id := r.open()
	s := <-streams
	defer s.Close()
	go func() { _, _ = io.Copy(io.Discard, s) }()
	room, connRoom := Window, connWindow-4*Window
	for sent := 0; sent < 4<<20; sent += maxFrame {
		for room < maxFrame || connRoom < maxFrame {
			switch e := r.wants(h2.FrameWindowUpdate); e.stream {
			case id:
				room += int(e.number)
			case 0:
				connRoom += int(e.number)
			default:
				t.Fatalf("got %v", e)
			}
		}
		r.say(id, strings.Repeat("y", maxFrame))
		room -= maxFrame
		connRoom -= maxFrame
	}
}

// TestStuckStreamOutward has one stream whose client takes nothing beside one
// whose client does.
func TestStuckStreamOutward(t *testing.T) {
	streams := make(chan *Stream, 2)
	r := start(t, Options{}, handOver(streams))
	r.do(r.frames.WriteWindowUpdate(0, mostWindow-firstWindow))
	stuck := r.open()
	blocked := <-streams
	ended := make(chan error, 1)
	go func() {
		_, err := blocked.Write(make([]byte, 1<<20))
		ended <- err
	}()
	for got := 0; got < firstWindow; { // and not a byte more
		e := r.wants(h2.FrameData)
		if e.stream != stuck {
			t.Fatalf("got %v", e)
		}
		got += len(e.data)
	}
	id := r.open()
	r.do(r.frames.WriteWindowUpdate(id, 1<<20))
	s := <-streams
	defer s.Close()
	want := strings.Repeat("0123456789", 50000)
	go func() { _, _ = io.WriteString(s, want) }()
	got := ""
	for len(got) < len(want) {
		e := r.wants(h2.FrameData)
		if e.stream != id {
			t.Fatalf("got %v", e)
		}
		got += e.data
	}
	if got != want {
		t.Error("other bytes came than were written")
	}
	blocked.Close()
	if err := <-ended; err == nil {
		t.Error("what the client did not take was written")
	}
}

// TestConnectionWindow lets the window of the connection be used up.
func TestConnectionWindow(t *testing.T) {
	streams := make(chan *Stream, 2)
	r := start(t, Options{}, handOver(streams))
	total, want := 0, 2*(60<<10)
	r.open()
	r.open()
	for range 2 {
		s := <-streams
		defer s.Close()
		go func() { _, _ = s.Write(make([]byte, 60<<10)) }()
	}
	for total < firstWindow {
		total += len(r.wants(h2.FrameData).data)
	}
	if total != firstWindow {
		t.Fatalf("got %d bytes in a window of %d", total, firstWindow)
	}
	r.do(r.frames.WritePing(false, [8]byte{}))
	r.wants(h2.FramePing) // nothing more
	r.do(r.frames.WriteWindowUpdate(0, 10))
	for total < firstWindow+10 {
		total += len(r.wants(h2.FrameData).data)
	}
	r.do(r.frames.WriteWindowUpdate(0, 1<<20))
	for total < want {
		total += len(r.wants(h2.FrameData).data)
	}
}

// TestInitialWindow changes the windows of open streams, below zero too.
func TestInitialWindow(t *testing.T) {
	streams := make(chan *Stream, 1)
	r := start(t, Options{}, handOver(streams))
	initial := func(n uint32) {
		t.Helper()
		r.do(r.frames.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: n}))
		if e := r.wants(h2.FrameSettings); !e.end {
			t.Fatalf("got %v", e)
		}
	}
	initial(3)
	id := r.open()
	s := <-streams
	defer s.Close()
	go func() { _, _ = io.WriteString(s, "0123456789") }()
	wants := func(data string) {
		t.Helper()
		if e := r.wants(h2.FrameData); e.data != data {
			t.Fatalf("got %v, want %q", e, data)
		}
	}
	wants("012")
	initial(5)
	wants("34")
	initial(1) // the window is now 4 below zero
	r.do(r.frames.WriteWindowUpdate(id, 4))
	r.do(r.frames.WritePing(false, [8]byte{}))
	r.wants(h2.FramePing)
	r.do(r.frames.WriteWindowUpdate(id, 2))
	wants("56")
	initial(1000)
	wants("789")
}

// TestOutIsBounded has many sessions write to a client that reads nothing.
func TestOutIsBounded(t *testing.T) {
	streams := make(chan *Stream, 100)
	r := wire(t, Options{}, handOver(streams))
	r.greet(h2.Setting{ID: h2.SettingInitialWindowSize, Val: mostWindow})
	r.do(r.frames.WriteWindowUpdate(0, mostWindow-firstWindow))
	const many = 50
	var open []*Stream
	for range many {
		r.ask(false, tunnel())
		open = append(open, <-streams)
	}
	for _, s := range open {
		go func() {
			defer s.Close()
			_, _ = s.Write(make([]byte, 1<<20))
		}()
	}
	waiting := func() int {
		r.conn.mu.Lock()
		defer r.conn.mu.Unlock()
		return r.conn.waiting()
	}
	for waiting() < mostOut {
		time.Sleep(time.Millisecond)
	}
	for range 100 { // every one of them has had its time when these are taken
		r.do(r.frames.WritePing(false, [8]byte{}))
	}
	if n, most := waiting(), mostOut+2*maxFrame; n > most {
		t.Errorf("%d bytes wait for the client, at most %d should", n, most)
	}
}
