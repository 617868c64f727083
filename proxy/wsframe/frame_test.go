package wsframe

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCodeAllowed(t *testing.T) {
	for code := range uint16(6000) {
		want := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		if got := CodeAllowed(code); got != want {
			t.Errorf("code %d: allowed %v", code, got)
		}
	}
}

// readControl parses one whole control frame with the Scanner.
func readControl(t *testing.T, f []byte, masked bool) (Opcode, []byte) {
	t.Helper()
	s := NewScanner(masked, 0, nil)
	if n, r := s.Scan(f); n != 0 || r != Control {
		t.Fatalf("not a control frame: %d %v %v", n, r, s.Violation())
	}
	if s.Control().Len() != len(f) {
		t.Fatalf("frame of %d bytes, header says %d", len(f), s.Control().Len())
	}
	var body [MaxControlPayload]byte
	n := s.Control().Unmask(body[:], f)
	return s.Control().Op, body[:n]
}

func TestAppendClose(t *testing.T) {
	f := func(code uint16, reason, want string) {
		t.Helper()
		for _, masked := range []bool{false, true} {
			op, body := readControl(t, AppendClose(nil, code, reason, masked), masked)
			if op != Close || string(body) != want {
				t.Errorf("code %d reason %q masked %v: %v %q, want %q", code, reason, masked, op, body, want)
			}
			if len(body) > 2 && !utf8.Valid(body[2:]) {
				t.Errorf("reason %q is not UTF-8", body[2:])
			}
		}
	}
	f(1000, "", "\x03\xe8")
	f(1012, "moved", "\x03\xf4moved")
	f(CodeNoStatus, "ignored", "")
	f(1001, strings.Repeat("a", 123), "\x03\xe9"+strings.Repeat("a", 123))
	f(1001, strings.Repeat("a", 124), "\x03\xe9"+strings.Repeat("a", 123))
	f(1001, strings.Repeat("a", 122)+"é", "\x03\xe9"+strings.Repeat("a", 122))
	f(1001, "ok\xff\xfe", "\x03\xe9ok")
}

func TestAppendControlMasksFreshly(t *testing.T) {
	a := AppendControl(nil, Ping, []byte("12345678"), true)
	b := AppendControl(nil, Ping, []byte("12345678"), true)
	if bytes.Equal(a[2:6], b[2:6]) {
		t.Error("two frames have the same masking key")
	}
	for _, f := range [][]byte{a, b} {
		if op, body := readControl(t, f, true); op != Ping || string(body) != "12345678" {
			t.Errorf("%v %q", op, body)
		}
	}
}
