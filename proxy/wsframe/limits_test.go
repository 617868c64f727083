package wsframe

import (
	"bytes"
	"testing"
)

// The limit of a message is one for all its frames; control frames between them do
// not count, nor do the messages before.
func TestMessageLimit(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	huge := frame{first: 0x00, length: 1<<63 - 1, key: []byte{1, 2, 3, 4}}.bytes()
	f := func(name string, limits Limits, good, bad []byte, want *Violation) {
		t.Helper()
		for _, piece := range []int{1, 5, 1 << 20} {
			s := NewScanner(true, 0, &limits)
			passed, _, got := walk(&s, join(good, bad), piece)
			if got != want || !bytes.Equal(passed, good) {
				t.Errorf("%s in pieces of %d: %v after %d of %d bytes, want %v", name, piece, got, len(passed), len(good), want)
			}
		}
	}
	ten := Limits{Message: 10}
	f("whole", ten, masked(0x82, "0123456789"), nil, nil)
	f("whole and too large", ten, masked(0x82, "0123456789"), masked(0x82, "0123456789a"), ErrMessageTooBig)
	f("fragments", ten, join(masked(0x01, "01234"), masked(0x89, "a ping in between"), masked(0x00, "5678"), masked(0x80, "9")), nil, nil)
	f("fragments and too large", ten, join(masked(0x01, "01234"), masked(0x00, "56789"), masked(0x00, "")), masked(0x80, "a"), ErrMessageTooBig)
	f("messages one after the other", ten,
		join(masked(0x01, "01234"), masked(0x80, "56789"), masked(0x82, "0123456789"), masked(0x01, "0"), masked(0x80, "123456789")), nil, nil)
	f("fragment of the limit", Limits{Frame: 6, Message: 10}, join(masked(0x01, "012345"), masked(0x00, "6789")), masked(0x80, "a"), ErrMessageTooBig)
	f("fragment over its own limit", Limits{Frame: 6, Message: 10}, masked(0x01, "0"), masked(0x80, "1234567"), ErrTooBig)
	f("a sum that overflows", Limits{Message: 1 << 62}, masked(0x01, "0123"), huge, ErrMessageTooBig)
}

// Limits that change hold for the next frame, and what the message has had counts.
func TestSetLimits(t *testing.T) {
	s := NewScanner(true, 0, nil)
	if _, r := s.Scan(masked(0x01, "01234")); r != More {
		t.Fatalf("no limit: %v", r)
	}
	s.SetLimits(&Limits{Message: 10})
	if _, r := s.Scan(masked(0x00, "56789")); r != More {
		t.Fatalf("at the limit: %v", r)
	}
	more := masked(0x80, "a")
	s.SetLimits(&Limits{Message: 9})
	s.SetLimits(nil)
	ahead := s
	if _, r := ahead.Scan(more); r != More {
		t.Errorf("no limit any more: %v", r)
	}
	s.SetLimits(&Limits{Message: 10})
	if _, r := s.Scan(more); r != Broken || s.Violation() != ErrMessageTooBig {
		t.Errorf("over the limit: %v, %v", r, s.Violation())
	}
}

// ScanFrames stops in front of the first frame that is one too many, wherever the
// input is cut.
func TestScanFrames(t *testing.T) {
	small, large := string(make([]byte, SmallFragment-1)), string(make([]byte, SmallFragment))
	frames := []struct {
		bytes  []byte
		counts int
	}{
		{masked(0x82, "one"), 1},
		{masked(0x89, "ping"), 0},
		{masked(0x01, ""), 1},
		{masked(0x00, large), 0},
		{masked(0x00, small), 1},
		{masked(0x80, ""), 1},
		{masked(0x82, large), 1},
		{masked(0x01, large), 1},
		{masked(0x80, large), 0},
	}
	var stream []byte
	for _, f := range frames {
		stream = append(stream, f.bytes...)
	}
	for most := range 8 {
		for _, piece := range []int{1, 3, 500, len(stream)} {
			s := NewScanner(true, 0, nil)
			left, passed := most, 0
			var got []byte
			stopped := false
			for cut := 0; cut < len(stream) && !stopped; cut += piece {
				p := append(got[passed:len(got):len(got)], stream[cut:min(cut+piece, len(stream))]...)
				got = append(got, stream[cut:min(cut+piece, len(stream))]...)
			scan:
				for {
					n, counted, r := s.ScanFrames(p, left)
					passed += n
					p = p[n:]
					left -= counted
					switch r {
					case Control:
						passed += s.Control().Len()
						p = p[s.Control().Len():]
						continue
					case Enough:
						stopped = true
					case Broken:
						t.Fatal(s.Violation())
					}
					break scan
				}
			}
			want, sum := 0, 0
			for _, f := range frames {
				if sum += f.counts; sum > most {
					break
				}
				want += len(f.bytes)
			}
			if passed != want || stopped != (want < len(stream)) {
				t.Errorf("%d frames in pieces of %d: %d bytes passed, want %d; stopped %v", most, piece, passed, want, stopped)
			}
			if stopped {
				if n, _, r := s.ScanFrames(stream[passed:], 1); r == Broken || n == 0 {
					t.Errorf("after %d frames: %v after %d bytes", most, r, n)
				}
			}
		}
	}
}
