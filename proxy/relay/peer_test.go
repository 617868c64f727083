package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// peer is the far end of one connection of a session. Its methods end the test
// when something goes wrong, so they belong to the test's goroutine.
type peer struct {
	t     testing.TB
	name  string
	masks bool // frames that arrive here are masked
	conn  *far
	in    *bufio.Reader
}

func newPeer(t testing.TB, name string, masks bool, conn *far) *peer {
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, name: name, masks: masks, conn: conn, in: bufio.NewReader(conn)}
}

// send sends frames, or pieces of them, in one write.
func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	if _, err := p.conn.Write(bytes.Join(frames, nil)); err != nil {
		p.t.Fatalf("%s: send: %v", p.name, err)
	}
}

// sendPieces sends frames in pieces of random sizes up to most bytes.
func (p *peer) sendPieces(random *rand.Rand, most int, frames ...[]byte) error {
	for b := bytes.Join(frames, nil); len(b) > 0; {
		n := min(len(b), 1+random.IntN(most))
		if _, err := p.conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// bytes reads what must be exactly these bytes.
func (p *peer) bytes(frames ...[]byte) {
	p.t.Helper()
	want := bytes.Join(frames, nil)
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.in, got)
	if err != nil {
		p.t.Fatalf("%s: got %d of %d bytes: %v", p.name, n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		p.t.Fatalf("%s: got other bytes than were sent", p.name)
	}
}

// frame reads one frame and checks that it is masked as it has to be.
func (p *peer) frame() wireFrame {
	p.t.Helper()
	f, err := readFrame(p.in)
	if err != nil {
		p.t.Fatalf("%s: read frame: %v", p.name, err)
	}
	if f.masked != p.masks {
		p.t.Fatalf("%s: got %v", p.name, f)
	}
	return f
}

// wants reads one frame, which must be this one.
func (p *peer) wants(first byte, payload string) {
	p.t.Helper()
	if f := p.frame(); f.first != first || f.payload != payload {
		p.t.Fatalf("%s: got %v, want %v", p.name, f, wireFrame{first, p.masks, payload})
	}
}

// wantsClose reads one frame, which must be a Close with this code and reason.
func (p *peer) wantsClose(code uint16, reason string) {
	p.t.Helper()
	p.wants(closeFrame, body(code, reason))
}

// eof reads the orderly end of the stream.
func (p *peer) eof() {
	p.t.Helper()
	if b, err := p.in.ReadByte(); err != io.EOF {
		p.t.Fatalf("%s: want the end of the stream, got %#x, %v", p.name, b, err)
	}
	if err := p.conn.ended(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// cut reads the end of a stream that was cut: that of TCP and no more.
func (p *peer) cut() {
	p.t.Helper()
	if b, err := p.in.ReadByte(); err != io.EOF || p.conn.bed != nil && !p.conn.bed.ended {
		p.t.Fatalf("%s: want the plain end of the stream, got %#x, %v", p.name, b, err)
	}
}

// gone reads the end of the stream, orderly or not.
func (p *peer) gone() {
	p.t.Helper()
	if b, err := p.in.ReadByte(); err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("%s: want the end of the connection, got %#x, %v", p.name, b, err)
	}
}

// fin ends the stream of the peer, which can still read.
func (p *peer) fin() {
	p.t.Helper()
	if err := p.conn.CloseWrite(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// reset ends the connection with an RST.
func (p *peer) reset() {
	p.t.Helper()
	if err := p.conn.abort(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}
