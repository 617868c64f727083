package http2

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	h2 "golang.org/x/net/http2"
)

// flood is more than anybody may send.
const flood = 20 * budgetBurst

// TestFloods sends frames that carry nothing, without end. After a while the client
// is told to calm down; a number that may happen does no harm.
func TestFloods(t *testing.T) {
	empty := raw(h2.FrameData, 0, 1, "")
	for _, row := range []struct {
		name string
		one  string
		most int // that do no harm
	}{
		{"ping", raw(h2.FramePing, 0, 0, "12345678"), budgetBurst / 2},
		{"answer to no ping", raw(h2.FramePing, h2.FlagPingAck, 0, "12345678"), budgetBurst / 2},
		{"settings", raw(h2.FrameSettings, 0, 0, setting(h2.SettingInitialWindowSize, 1000)), budgetBurst / 2},
		{"answer to no settings", raw(h2.FrameSettings, h2.FlagSettingsAck, 0, ""), budgetBurst / 2},
		{"empty data", empty, budgetBurst / 2},
		{"empty data with padding", raw(h2.FrameData, padded, 1, "\x03xxx"), budgetBurst / 2},
		{"empty data that ends a stream that has ended", raw(h2.FrameData, h2.FlagDataEndStream, 3, ""), budgetBurst / 2},
		{"window update", raw(h2.FrameWindowUpdate, 0, 0, number(1)), budgetBurst / 2},
		{"window update of a stream", raw(h2.FrameWindowUpdate, 0, 1, number(1)), budgetBurst / 2},
		{"window update of a stream that has ended", raw(h2.FrameWindowUpdate, 0, 3, number(1)), budgetBurst / 2},
		{"priority", raw(h2.FramePriority, 0, 1, number(0)+"x"), budgetBurst / 2},
		{"unknown frame", raw(0xee, 0, 0, ""), budgetBurst / 2},
		{"good-bye", raw(h2.FrameGoAway, 0, 0, number(0)+number(0)), budgetBurst / 2},
		{"reset of a stream that has ended", raw(h2.FrameRSTStream, 0, 3, number(8)), budgetBurst / 2},
		{"request on a stream that has ended", raw(h2.FrameHeaders, endHeaders, 3, "\x82\x87\x84"), budgetBurst / 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			streams := make(chan *Stream, 2)
			r := start(t, Options{}, handOver(streams))
			r.open() // 1
			defer (<-streams).Close()
			r.open() // 3
			(<-streams).Close()
			r.find(h2.FrameRSTStream)
			for range row.most {
				r.offer(row.one)
			}
			r.do(r.frames.WritePing(false, [8]byte{'?'}))
			for r.find(h2.FramePing).data[0] != '?' {
			}
			if !r.floods(func(int) string { return row.one }) {
				t.Error("the flood was not stopped")
			}
			r.wantsGoAway(h2.ErrCodeEnhanceYourCalm)
		})
	}
}

// floods sends until nobody listens any more, and reports whether it comes to that.
func (r *rig) floods(piece func(i int) string) bool {
	for i := range flood {
		if _, err := io.WriteString(r.Conn, piece(i)); err != nil {
			return true
		}
	}
	return false
}

// TestAnswersAreBounded asks without reading an answer.
func TestAnswersAreBounded(t *testing.T) {
	r := wire(t, Options{}, echo)
	r.greet()
	most := 0
	stopped := r.floods(func(int) string {
		r.conn.mu.Lock()
		defer r.conn.mu.Unlock()
		most = max(most, r.conn.waiting())
		return raw(h2.FramePing, 0, 0, "12345678")
	})
	if !stopped || most > mostAnswers+maxFrame {
		t.Errorf("up to %d bytes wait, the flood was stopped: %v", most, stopped)
	}
}

// TestAnswersLimit goes up to the limit of what may wait for a client, whatever its
// budget.
func TestAnswersLimit(t *testing.T) {
	c := New(nil, Options{})
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.waiting() <= mostAnswers {
		if err := c.answered(); err != nil {
			t.Fatal(err)
		}
		_ = c.frames.WritePing(true, [8]byte{})
	}
	if err := c.answered(); err != h2.ConnectionError(h2.ErrCodeEnhanceYourCalm) {
		t.Errorf("got %v", err)
	}
}

// TestUpdatesAreEarned answers every frame of data with two window updates, as some
// clients do.
func TestUpdatesAreEarned(t *testing.T) {
	r := start(t, Options{}, echo)
	id := r.open()
	for range 3 * budgetBurst {
		r.say(id, "hello")
		r.wants(h2.FrameData)
		r.do(r.frames.WriteWindowUpdate(0, 5))
		r.do(r.frames.WriteWindowUpdate(id, 5))
	}
}

// TestRapidReset asks and resets in one breath (CVE-2023-44487). However fast the
// client is, no more than the places are under way, and soon it is sent away.
func TestRapidReset(t *testing.T) {
	const streams = 5
	var handling, most atomic.Int64
	release := make(chan struct{})
	r := start(t, Options{Streams: streams}, func(s *Stream) {
		defer s.Close()
		n := handling.Add(1)
		defer handling.Add(-1)
		for {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		<-release // it is asking an upstream
	})
	defer r.finish()
	defer close(release)
	if !r.resets() {
		t.Fatal("the flood was not stopped")
	}
	if n := most.Load(); n > places*streams {
		t.Errorf("%d requests were under way at once, at most %d should be", n, places*streams)
	}
	e := r.wantsGoAway(h2.ErrCodeEnhanceYourCalm)
	if got, most := e.number/2, uint32(2*budgetBurst/resetPrice); got > most {
		t.Errorf("%d requests were taken, at most %d should be", got, most)
	}
}

// resets asks and resets until the connection ends.
func (r *rig) resets() bool {
	block := string(r.encode(tunnel()))
	return r.floods(func(i int) string {
		id := uint32(2*i + 1)
		return raw(h2.FrameHeaders, endHeaders, id, block) + raw(h2.FrameRSTStream, 0, id, number(8))
	})
}

// TestRapidResetOfQuickAnswers does the same where nothing is slow.
func TestRapidResetOfQuickAnswers(t *testing.T) {
	r := start(t, Options{}, func(s *Stream) { s.Close() })
	if !r.resets() {
		t.Error("the flood was not stopped")
	}
	r.wantsGoAway(h2.ErrCodeEnhanceYourCalm)
}

// TestMadeReset makes us reset what was just asked for (CVE-2025-8671).
func TestMadeReset(t *testing.T) {
	r := start(t, Options{}, func(s *Stream) { s.Close() })
	block := string(r.encode(tunnel()))
	if !r.floods(func(i int) string {
		id := uint32(2*i + 1)
		return raw(h2.FrameHeaders, endHeaders, id, block) + raw(h2.FrameWindowUpdate, 0, id, number(0))
	}) {
		t.Error("the flood was not stopped")
	}
	r.wantsGoAway(h2.ErrCodeEnhanceYourCalm)
}

// TestMalformedFlood sends requests that are none.
func TestMalformedFlood(t *testing.T) {
	r := start(t, Options{}, func(s *Stream) { s.Close() })
	if !r.floods(func(i int) string { return raw(h2.FrameHeaders, endHeaders, uint32(2*i+1), "\x82") }) {
		t.Error("the flood was not stopped")
	}
	r.wantsGoAway(h2.ErrCodeEnhanceYourCalm)
}

// TestPlaces opens more streams than allowed.
func TestPlaces(t *testing.T) {
	streams := make(chan *Stream, 3)
	r := start(t, Options{Streams: 2}, handOver(streams))
	r.open()
	second := r.open()
	r.wantsReset(r.ask(false, tunnel()), h2.ErrCodeRefusedStream)
	// For the client a place is free when the stream has ended on both sides.
	r.do(r.frames.WriteRSTStream(second, h2.ErrCodeCancel))
	r.open()
	for range 3 {
		(<-streams).Close()
	}
	r.open()
	(<-streams).Close()
}

// TestHeadWithoutEnd sends a head that goes on and on (CVE-2024-27316 and its
// like), in full frames and in empty ones.
func TestHeadWithoutEnd(t *testing.T) {
	field := "\x00\x01x\x01y" // neither in a table nor put into one
	for _, row := range []struct {
		name, piece string
		code        h2.ErrCode
	}{
		{"full frames", fill(field, maxFrame), h2.ErrCodeProtocol},
		{"small frames", field, h2.ErrCodeProtocol},
		{"empty frames", "", h2.ErrCodeEnhanceYourCalm},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, Options{}, func(s *Stream) {
				t.Error("a stream was opened")
				s.Close()
			})
			r.offer(raw(h2.FrameHeaders, 0, 1, "\x82"))
			if !r.floods(func(int) string { return raw(h2.FrameContinuation, 0, 1, row.piece) }) {
				t.Error("the flood was not stopped")
			}
			r.wantsGoAway(row.code)
		})
	}
}

func fill(piece string, size int) (s string) {
	for len(s)+len(piece) <= size {
		s += piece
	}
	return s
}

// TestBomb sends a head whose fields are large although their bytes are few: one
// long field in the table, and references to it.
func TestBomb(t *testing.T) {
	value := fill("x", 3900)
	for _, references := range []int{3, 10, 100, 8000} {
		t.Run(fmt.Sprint(references), func(t *testing.T) {
			faults := make(chan error, 1)
			r := start(t, Options{}, func(s *Stream) {
				_, err := readHead(s)
				faults <- err
				s.Close()
			})
			r.offer(raw(h2.FrameHeaders, endHeaders|h2.FlagHeadersEndStream, 1,
				"\x82\x87\x84\x41\x01a\x40\x01x\x7f"+varint(len(value)-127)+value+fill("\xbe", references)))
			if err := <-faults; (err == nil) != (references == 3) || err != nil && err != ErrHeadSize {
				t.Errorf("with %d references: %v", references, err)
			}
		})
	}
}

// varint is the rest of a number of HPACK (RFC 7541 §5.1).
func varint(n int) (s string) {
	for ; n >= 128; n /= 128 {
		s += string([]byte{byte(n%128 + 128)})
	}
	return s + string([]byte{byte(n)})
}
