package wsframe

import (
	"encoding/binary"
	"math"
	"slices"
)

// Result says why [Scanner.Scan] stopped.
type Result uint8

const (
	// More: every byte of the input may be passed on.
	More Result = iota
	// Incomplete: the rest of the input is the start of a header or of a
	// control frame, at most [MaxControl]-1 bytes. Give it to Scan again with
	// more bytes behind it.
	Incomplete
	// Control: the rest of the input begins with one whole legal control frame,
	// described by [Scanner.Control]. Whether it is passed on is the caller's
	// choice; scanning goes on behind it.
	Control
	// Broken: the rest of the input begins with a frame that breaks the
	// protocol; [Scanner.Violation] says how. Nothing of it may be passed on,
	// and the Scanner must not be used any further.
	Broken
	// Enough: the rest of the input begins with a legal data frame that is one
	// more than [Scanner.ScanFrames] was to let begin.
	Enough
)

// Violation is what a peer did that RFC 6455 forbids, with the close code that
// answers it.
type Violation struct {
	Code   uint16
	Reason string
}

// Error returns the reason.
func (v *Violation) Error() string { return v.Reason }

// The violations that a header can show. Compare by identity.
var (
	ErrUnmasked      = &Violation{CodeProtocolError, "client frame is not masked"}
	ErrMasked        = &Violation{CodeProtocolError, "server frame is masked"}
	ErrReservedBits  = &Violation{CodeProtocolError, "reserved bit without an extension that uses it"}
	ErrOpcode        = &Violation{CodeProtocolError, "reserved opcode"}
	ErrControlSize   = &Violation{CodeProtocolError, "control frame over 125 bytes"}
	ErrControlFin    = &Violation{CodeProtocolError, "fragmented control frame"}
	ErrLength        = &Violation{CodeProtocolError, "frame length not in its shortest form"}
	ErrLengthTop     = &Violation{CodeProtocolError, "frame length with its top bit set"}
	ErrContinuation  = &Violation{CodeProtocolError, "continuation without a message"}
	ErrInterleaved   = &Violation{CodeProtocolError, "new message inside a fragmented one"}
	ErrCloseBody     = &Violation{CodeProtocolError, "close frame with a body of one byte"}
	ErrTooBig        = &Violation{CodeTooBig, "frame over the size limit"}
	ErrMessageTooBig = &Violation{CodeTooBig, "message over the size limit"}
)

// violations are all of them. A Scanner remembers which by its place here: there
// are as many Scanners as there are directions.
var violations = [...]*Violation{nil, ErrUnmasked, ErrMasked, ErrReservedBits, ErrOpcode, ErrControlSize, ErrControlFin,
	ErrLength, ErrLengthTop, ErrContinuation, ErrInterleaved, ErrCloseBody, ErrTooBig, ErrMessageTooBig}

// SmallFragment is the payload, in bytes, from which on a continuation frame does
// not count as a message of its own in [Scanner.ScanFrames].
const SmallFragment = 1024

// Limits are the largest payloads that may be sent, in bytes as they stand on the
// wire: where the ends compress, of what is compressed. 0 means no limit. Many
// Scanners may share one; it must not be changed once one has it.
type Limits struct {
	Frame   uint64 // one data frame; else [ErrTooBig]
	Message uint64 // all frames of one message together; else [ErrMessageTooBig]
}

// ControlFrame describes the control frame that stopped a scan.
type ControlFrame struct {
	Op      Opcode
	header  uint8 // bytes before the payload
	payload uint8 // bytes of payload
	masked  bool
	key     [4]byte
}

// HeaderLen is the length of the header in bytes.
func (c *ControlFrame) HeaderLen() int { return int(c.header) }

// Len is the length of the whole frame in bytes.
func (c *ControlFrame) Len() int { return int(c.header) + int(c.payload) }

// Unmask copies the payload of the frame, which begins at frame[0], into dst
// without its mask and returns the number of bytes copied.
func (c *ControlFrame) Unmask(dst, frame []byte) int {
	n := copy(dst, frame[c.header:c.Len()])
	if c.masked {
		for i := range dst[:n] {
			dst[i] ^= c.key[i&3]
		}
	}
	return n
}

// Scanner walks over the frames that one end sends. The zero value is not
// ready: use [NewScanner]. It is not safe for concurrent use.
type Scanner struct {
	remaining uint64  // payload bytes of the current data frame still to come
	limits    *Limits // never nil
	size      uint64  // payload of the current message, as far as its frames have begun
	messages  uint64
	control   ControlFrame
	masked    bool  // frames of this direction must be masked
	rsv       byte  // reserved bits that the agreed extensions may use
	inMessage bool  // a fragmented message is open
	violation uint8 // in violations
}

var unlimited Limits

// NewScanner returns a Scanner for the frames of a client (masked) or of a
// server. The bits in rsv ([RSV1], [RSV2], [RSV3]) belong to agreed extensions.
// RSV1 alone means permessage-deflate, which may set it only on the first frame
// of a message (RFC 7692 section 6.1); with other bits the extension is not
// known, and they are let pass on every frame. No limits are nil.
func NewScanner(masked bool, rsv byte, limits *Limits) Scanner {
	s := Scanner{masked: masked, rsv: rsv & rsvBits}
	s.SetLimits(limits)
	return s
}

// SetLimits changes the limits. They hold for frames that have not begun; of a
// message under way the frames before count.
func (s *Scanner) SetLimits(limits *Limits) {
	if limits == nil {
		limits = &unlimited
	}
	s.limits = limits
}

// AtBoundary reports whether everything that was let pass ends with the last
// byte of a frame. Frames may be inserted there; between the fragments of a
// message only control frames (section 5.4).
func (s *Scanner) AtBoundary() bool { return s.remaining == 0 }

// BetweenMessages reports whether everything that was let pass ends with the last
// byte of a message: there a message may be inserted.
func (s *Scanner) BetweenMessages() bool { return s.remaining == 0 && !s.inMessage }

// Messages is the number of messages whose last frame has begun.
func (s *Scanner) Messages() uint64 { return s.messages }

// Violation is what stopped the last Scan with [Broken].
func (s *Scanner) Violation() *Violation { return violations[s.violation] }

// Control describes what stopped the last Scan with [Control].
func (s *Scanner) Control() *ControlFrame { return &s.control }

// Remaining is how many payload bytes of the current data frame are still to
// come.
func (s *Scanner) Remaining() uint64 { return s.remaining }

// Skip notes that n bytes of the current data frame, at most
// [Scanner.Remaining], were passed on without being scanned.
func (s *Scanner) Skip(n int) { s.remaining -= uint64(n) }

// Finish lets pass only what is left of the current frame and returns its
// length, at most len(p). [Scanner.AtBoundary] tells whether that was all of it.
func (s *Scanner) Finish(p []byte) int {
	n := min(s.remaining, uint64(len(p)))
	s.remaining -= n
	return int(n)
}

// Scan walks over p, which continues where the last call ended, and returns how
// many bytes of it may be passed on and why it stopped there.
func (s *Scanner) Scan(p []byte) (n int, r Result) {
	n, _, r = s.ScanFrames(p, math.MaxInt)
	return n, r
}

// ScanFrames is Scan, but lets only so many data frames begin that count, and
// returns how many did. The one that follows stops it, with [Enough]. A frame
// counts if a message begins with it, or if it is a continuation of less than
// [SmallFragment] bytes: a message in endless small pieces is as much work as so
// many messages. Control frames are for the caller to count.
func (s *Scanner) ScanFrames(p []byte, most int) (n, counted int, r Result) {
	for {
		if left := uint64(len(p) - n); s.remaining >= left {
			s.remaining -= left
			return len(p), counted, More
		}
		n += int(s.remaining)
		s.remaining = 0
		b := p[n:] // not empty: remaining was less than what is left
		if len(b) < 2 {
			return n, counted, Incomplete
		}
		head, op, first := 2, Opcode(b[0]&0x0f), b[0]
		switch rsv := first & rsvBits; {
		case rsv&^s.rsv != 0,
			rsv != 0 && s.rsv == RSV1 && op != Text && op != Binary:
			return n, counted, s.breaks(ErrReservedBits)
		}
		if masked := b[1]&maskBit != 0; masked != s.masked {
			if masked {
				return n, counted, s.breaks(ErrMasked)
			}
			return n, counted, s.breaks(ErrUnmasked)
		}
		size := uint64(b[1] &^ maskBit)
		if op >= Close {
			if v := controlViolation(op, first, size); v != nil {
				return n, counted, s.breaks(v)
			}
			if r := s.scanControl(op, b, uint8(size)); r == Incomplete {
				return n, counted, Incomplete
			}
			return n, counted, Control
		}
		switch {
		case op > Binary:
			return n, counted, s.breaks(ErrOpcode)
		case op == Continuation && !s.inMessage:
			return n, counted, s.breaks(ErrContinuation)
		case op != Continuation && s.inMessage:
			return n, counted, s.breaks(ErrInterleaved)
		}
		switch size {
		case 126:
			head = 4
			if len(b) < head {
				return n, counted, Incomplete
			}
			if size = uint64(binary.BigEndian.Uint16(b[2:])); size < 126 {
				return n, counted, s.breaks(ErrLength)
			}
		case 127:
			head = 10
			if len(b) < head {
				return n, counted, Incomplete
			}
			switch size = binary.BigEndian.Uint64(b[2:]); {
			case size>>63 != 0:
				return n, counted, s.breaks(ErrLengthTop)
			case size < 1<<16:
				return n, counted, s.breaks(ErrLength)
			}
		}
		message := size
		if op == Continuation {
			if message += s.size; message < size {
				message = math.MaxUint64
			}
		}
		switch {
		case s.limits.Frame > 0 && size > s.limits.Frame:
			return n, counted, s.breaks(ErrTooBig)
		case s.limits.Message > 0 && message > s.limits.Message:
			return n, counted, s.breaks(ErrMessageTooBig)
		}
		if s.masked {
			head += 4
			if len(b) < head {
				return n, counted, Incomplete
			}
		}
		if op != Continuation || size < SmallFragment {
			if counted == most {
				return n, counted, Enough
			}
			counted++
		}
		s.size = message
		s.inMessage = first&finBit == 0
		if !s.inMessage {
			s.messages++
		}
		n += head
		s.remaining = size
	}
}

func controlViolation(op Opcode, first byte, size uint64) *Violation {
	switch {
	case op > Pong:
		return ErrOpcode
	case first&finBit == 0:
		return ErrControlFin
	case size > MaxControlPayload:
		return ErrControlSize
	case op == Close && size == 1:
		return ErrCloseBody
	}
	return nil
}

// scanControl describes the control frame at the start of b if it is whole.
func (s *Scanner) scanControl(op Opcode, b []byte, size uint8) Result {
	c := &s.control
	*c = ControlFrame{Op: op, header: 2, payload: size, masked: s.masked}
	if s.masked {
		c.header = 6
	}
	if len(b) < c.Len() {
		return Incomplete
	}
	if s.masked {
		copy(c.key[:], b[2:6])
	}
	return Control
}

func (s *Scanner) breaks(v *Violation) Result {
	s.violation = uint8(slices.Index(violations[:], v))
	return Broken
}
