package wsframe

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frame builds a frame byte by byte, legal or not.
type frame struct {
	first   byte   // FIN, RSV, opcode
	length  uint64 // announced; payload may be shorter
	form    int    // 0 shortest, else 7, 16 or 64 bits
	key     []byte // nil = unmasked
	payload []byte
}

func (f frame) bytes() []byte {
	form := f.form
	if form == 0 {
		switch {
		case f.length < 126:
			form = 7
		case f.length < 1<<16:
			form = 16
		default:
			form = 64
		}
	}
	b := []byte{f.first, 0}
	switch form {
	case 7:
		b[1] = byte(f.length)
	case 16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(f.length))
	case 64:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, f.length)
	}
	if f.key != nil {
		b[1] |= 0x80
		b = append(b, f.key...)
	}
	for i, c := range f.payload {
		if f.key != nil {
			c ^= f.key[i&3]
		}
		b = append(b, c)
	}
	return b
}

func text(payload string) []byte {
	return frame{first: 0x81, length: uint64(len(payload)), payload: []byte(payload)}.bytes()
}

func masked(first byte, payload string) []byte {
	return frame{first: first, length: uint64(len(payload)), key: []byte{1, 2, 3, 4}, payload: []byte(payload)}.bytes()
}

// walk scans stream in pieces of the given size, dropping nothing, and returns
// what passed.
func walk(s *Scanner, stream []byte, piece int) (passed []byte, controls []Opcode, v *Violation) {
	var held []byte
	for len(stream) > 0 {
		n := min(piece, len(stream))
		p := append(held, stream[:n]...)
		stream = stream[n:]
		held = nil
		for {
			n, r := s.Scan(p)
			passed = append(passed, p[:n]...)
			p = p[n:]
			switch r {
			case Incomplete:
				if len(p) >= MaxControl {
					panic("holds more than it may")
				}
				held = append([]byte(nil), p...)
			case Control:
				c := s.Control()
				controls = append(controls, c.Op)
				passed = append(passed, p[:c.Len()]...)
				p = p[c.Len():]
				continue
			case Broken:
				return passed, controls, s.Violation()
			}
			break
		}
	}
	return passed, controls, nil
}

func TestScannerRules(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 70000)
	f := func(name string, client bool, rsv byte, limit uint64, stream []byte, want *Violation) {
		t.Helper()
		for _, piece := range []int{1, 2, 7, len(stream)} {
			s := NewScanner(client, rsv, &Limits{Frame: limit})
			passed, _, got := walk(&s, stream, piece)
			if got != want {
				t.Errorf("%s in pieces of %d: got %v, want %v", name, piece, got, want)
			}
			if !bytes.HasPrefix(stream, passed) {
				t.Errorf("%s in pieces of %d: what passed is not what was sent", name, piece)
			}
			if want == nil && !bytes.Equal(passed, stream) {
				t.Errorf("%s in pieces of %d: %d of %d bytes passed", name, piece, len(passed), len(stream))
			}
		}
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	server, client := false, true

	f("empty text", server, 0, 0, text(""), nil)
	f("125 bytes", server, 0, 0, text(string(big[:125])), nil)
	f("126 bytes", server, 0, 0, text(string(big[:126])), nil)
	f("65535 bytes", server, 0, 0, text(string(big[:65535])), nil)
	f("65536 bytes", server, 0, 0, text(string(big[:65536])), nil)
	f("masked text", client, 0, 0, masked(0x81, "hello"), nil)
	f("fragments with a ping between", client, 0, 0,
		join(masked(0x01, "a"), masked(0x89, "p"), masked(0x00, "b"), masked(0x80, "")), nil)
	f("compressed message", client, RSV1, 0, join(masked(0x41, "a"), masked(0x80, "b")), nil)
	f("unknown extension on a control frame", client, RSV1|RSV2, 0, masked(0xE9, ""), nil)
	f("close with code", client, 0, 0, masked(0x88, "\x03\xe8"), nil)
	f("close without body", client, 0, 0, masked(0x88, ""), nil)
	f("limit", server, 0, 10, text("0123456789"), nil)

	f("unmasked client frame", client, 0, 0, join(masked(0x81, "ok"), text("bad")), ErrUnmasked)
	f("masked server frame", server, 0, 0, join(text("ok"), masked(0x81, "bad")), ErrMasked)
	f("rsv1", client, 0, 0, masked(0xC1, ""), ErrReservedBits)
	f("rsv2", client, RSV1, 0, masked(0xA1, ""), ErrReservedBits)
	f("rsv3", client, RSV1, 0, masked(0x91, ""), ErrReservedBits)
	f("rsv1 on a continuation", client, RSV1, 0, join(masked(0x41, ""), masked(0xC0, "")), ErrReservedBits)
	f("rsv1 on a ping", client, RSV1, 0, masked(0xC9, ""), ErrReservedBits)
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		f("reserved opcode", client, 0, 0, masked(0x80|op, ""), ErrOpcode)
	}
	f("ping of 126 bytes", client, 0, 0, masked(0x89, string(big[:126])), ErrControlSize)
	f("fragmented ping", client, 0, 0, masked(0x09, ""), ErrControlFin)
	f("fragmented close", client, 0, 0, masked(0x08, ""), ErrControlFin)
	f("close with one byte", client, 0, 0, masked(0x88, "x"), ErrCloseBody)
	f("125 in 16 bits", server, 0, 0, frame{first: 0x82, length: 125, form: 16, payload: big[:125]}.bytes(), ErrLength)
	f("65535 in 64 bits", server, 0, 0, frame{first: 0x82, length: 65535, form: 64, payload: big[:65535]}.bytes(), ErrLength)
	f("top bit", server, 0, 0, frame{first: 0x82, length: 1 << 63, form: 64}.bytes(), ErrLengthTop)
	f("2^62 with no data", server, 0, 16<<20, frame{first: 0x82, length: 1 << 62, form: 64}.bytes(), ErrTooBig)
	f("limit + 1", server, 0, 10, text("0123456789a"), ErrTooBig)
	f("limit + 1 in the second fragment", client, 0, 10, join(masked(0x01, "01234"), masked(0x80, "0123456789a")), ErrTooBig)
	f("continuation without start", client, 0, 0, masked(0x80, ""), ErrContinuation)
	f("continuation after the end", client, 0, 0, join(masked(0x81, ""), masked(0x80, "")), ErrContinuation)
	f("message inside a message", client, 0, 0, join(masked(0x01, ""), masked(0x81, "")), ErrInterleaved)
}

func TestScannerCountsMessages(t *testing.T) {
	s := NewScanner(true, 0, nil)
	stream := bytes.Join([][]byte{masked(0x81, "one"), masked(0x01, "tw"), masked(0x89, ""), masked(0x80, "o"), masked(0x82, "")}, nil)
	_, controls, v := walk(&s, stream, 3)
	if v != nil || s.Messages() != 3 || !cmp.Equal(controls, []Opcode{Ping}) {
		t.Errorf("messages %d, controls %v, violation %v", s.Messages(), controls, v)
	}
}

func TestScannerBoundary(t *testing.T) {
	s := NewScanner(false, 0, nil)
	stream := append(text("hello"), text("world")...)
	if n, r := s.Scan(stream[:4]); n != 4 || r != More || s.AtBoundary() {
		t.Fatalf("scan of a started frame: %d %v boundary %v", n, r, s.AtBoundary())
	}
	if n := s.Finish(stream[4:]); n != 3 || !s.AtBoundary() {
		t.Fatalf("finish: %d bytes, boundary %v", n, s.AtBoundary())
	}
	if n := s.Finish(stream[7:]); n != 0 {
		t.Fatalf("finish at a boundary took %d bytes", n)
	}
}

func TestUnmask(t *testing.T) {
	s := NewScanner(true, 0, nil)
	f := masked(0x8A, "payload!")
	if _, r := s.Scan(f); r != Control {
		t.Fatal(r)
	}
	var got [MaxControlPayload]byte
	if n := s.Control().Unmask(got[:], f); string(got[:n]) != "payload!" {
		t.Errorf("unmasked %q", got[:n])
	}
}

func TestScanAllocates(t *testing.T) {
	stream := bytes.Join([][]byte{masked(0x81, "hello"), masked(0x89, "p"), masked(0x82, "world")}, nil)
	s := NewScanner(true, 0, nil)
	if n := testing.AllocsPerRun(100, func() {
		for p := stream; len(p) > 0; {
			n, r := s.Scan(p)
			if r == Control {
				n += s.Control().Len()
			}
			p = p[n:]
		}
	}); n > 0 {
		t.Errorf("scan: %v allocations", n)
	}
}

// referenceScan is the plain reading of section 5.2: one frame after the other
// from a whole stream. It returns the length of the legal, complete frames and
// what is wrong with the one behind them, if anything can be said of it.
func referenceScan(stream []byte, mask bool, rsv byte, limits Limits) (legal int, v *Violation) {
	open, message := false, uint64(0)
	for b := stream; ; b = stream[legal:] {
		if len(b) < 2 {
			return legal, nil
		}
		fin, bits, op := b[0]>>7 == 1, b[0]&0x70, int(b[0]&15)
		size, head := uint64(b[1]&127), 2
		data := op <= 2
		if bits&^rsv != 0 || bits != 0 && rsv == 0x40 && (op == 0 || !data) {
			return legal, ErrReservedBits
		}
		if b[1]>>7 == 1 != mask {
			if mask {
				return legal, ErrUnmasked
			}
			return legal, ErrMasked
		}
		if op >= 3 && op <= 7 || op > 10 {
			return legal, ErrOpcode
		}
		if !data {
			switch {
			case !fin:
				return legal, ErrControlFin
			case size > 125:
				return legal, ErrControlSize
			case op == 8 && size == 1:
				return legal, ErrCloseBody
			}
		} else if op == 0 != open {
			if op == 0 {
				return legal, ErrContinuation
			}
			return legal, ErrInterleaved
		}
		if size == 126 {
			if head = 4; len(b) < head {
				return legal, nil
			}
			if size = uint64(b[2])<<8 | uint64(b[3]); size < 126 {
				return legal, ErrLength
			}
		} else if size == 127 {
			if head = 10; len(b) < head {
				return legal, nil
			}
			size = binary.BigEndian.Uint64(b[2:10])
			if size >= 1<<63 {
				return legal, ErrLengthTop
			}
			if size < 1<<16 {
				return legal, ErrLength
			}
		}
		if data {
			if op != 0 {
				message = 0
			}
			switch message += size; {
			case limits.Frame > 0 && size > limits.Frame:
				return legal, ErrTooBig
			case limits.Message > 0 && message > limits.Message:
				return legal, ErrMessageTooBig
			}
		}
		if mask {
			head += 4
		}
		if uint64(len(b)) < uint64(head)+size {
			return legal, nil
		}
		legal += head + int(size)
		if data {
			open = !fin
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(masked(0x81, "hello"), true, byte(0), uint16(0), uint16(0), uint8(3))
	f.Add(append(text("a"), text("b")...), false, byte(0x40), uint16(10), uint16(1), uint8(1))
	f.Add(frame{first: 0x82, length: 1 << 62, form: 64}.bytes(), false, byte(0), uint16(9), uint16(0), uint8(255))
	f.Add(append(masked(0x01, "a"), masked(0x89, "b")...), true, byte(0x70), uint16(0), uint16(9), uint8(2))
	f.Add(append(masked(0x01, "abc"), masked(0x80, "def")...), true, byte(0), uint16(4), uint16(5), uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, client bool, rsv byte, limit, message uint16, piece uint8) {
		rsv &= 0x70
		limits := Limits{Frame: uint64(limit), Message: uint64(message)}
		s := NewScanner(client, rsv, &limits)
		passed, _, v := walk(&s, stream, int(piece)+1)
		legal, want := referenceScan(stream, client, rsv, limits)
		if v != want {
			t.Fatalf("violation %v, reference %v", v, want)
		}
		if !bytes.HasPrefix(stream, passed) {
			t.Fatal("what passed is not what was sent")
		}
		if len(passed) < legal {
			t.Fatalf("%d bytes passed of %d in legal whole frames", len(passed), legal)
		}
		if v != nil && len(passed) != legal {
			t.Fatalf("%d bytes passed before a violation at %d", len(passed), legal)
		}
		if v == nil && s.AtBoundary() && len(passed) != legal {
			t.Fatalf("boundary at %d, reference %d", len(passed), legal)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	stream := bytes.Repeat(masked(0x82, string(make([]byte, 125))), 8)
	s := NewScanner(true, 0, &Limits{Frame: 16 << 20})
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		s.Scan(stream)
	}
}
