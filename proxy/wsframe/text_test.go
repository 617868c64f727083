package wsframe

import (
	"strings"
	"testing"
)

func TestAppendText(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("a", MaxControlPayload), strings.Repeat("b", 200)} {
		f := AppendText([]byte("before"), text)[len("before"):]
		s := NewScanner(false, 0, nil)
		if n, r := s.Scan(f); n != len(f) || r != More || !s.BetweenMessages() || s.Messages() != 1 {
			t.Errorf("%d bytes: scanned %d of %d, %v", len(text), n, len(f), r)
		}
		if want := text[:min(len(text), MaxControlPayload)]; string(f[2:]) != want {
			t.Errorf("got %q, want %q", f[2:], want)
		}
	}
}

func TestBetweenMessages(t *testing.T) {
	s := NewScanner(false, 0, nil)
	for _, step := range []struct {
		bytes           string
		frames, message bool
	}{
		{"", true, true}, {"\x81\x02a", false, false}, {"b", true, true}, {"\x01\x01a", true, false}, {"\x00\x00", true, false},
		{"\x89\x00", true, false}, {"\x80\x01b", true, true},
	} {
		if n, r := s.Scan([]byte(step.bytes)); r == Control {
			s.Scan([]byte(step.bytes)[n+s.Control().Len():])
		} else if r == Broken {
			t.Fatal(s.Violation())
		}
		if s.AtBoundary() != step.frames || s.BetweenMessages() != step.message {
			t.Errorf("after %q: between frames %v, between messages %v", step.bytes, s.AtBoundary(), s.BetweenMessages())
		}
	}
}
