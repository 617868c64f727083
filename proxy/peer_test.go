package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The example key of RFC 6455 §1.3 and its answer.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// goodHead is an opening handshake with which nothing is wrong.
const goodHead = "GET /chat?room=1 HTTP/1.1\r\n" +
	"Host: router.example:8080\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: " + sampleKey + "\r\n" +
	"Sec-WebSocket-Version: 13\r\n\r\n"

// swap returns goodHead with one piece replaced.
func swap(old, new string) string {
	if !strings.Contains(goodHead, old) {
		panic("not in the good head: " + old)
	}
	return strings.Replace(goodHead, old, new, 1)
}

// add returns goodHead with further field lines, each without its line end.
func add(lines ...string) string {
	return strings.TrimSuffix(goodHead, "\r\n") + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// asking returns goodHead with another request target.
func asking(s string) string { return swap("/chat?room=1", s) }

// peer is the far end of a connection of the router, a client or an upstream.
// Its methods end the test when something goes wrong, so they belong to the
// test's goroutine.
type peer struct {
	*net.TCPConn
	t     testing.TB
	name  string
	masks bool // frames that arrive here are masked
	in    *bufio.Reader
}

func newPeer(t testing.TB, name string, masks bool, conn net.Conn) *peer {
	_ = conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &peer{TCPConn: conn.(*net.TCPConn), t: t, name: name, masks: masks, in: bufio.NewReader(conn)}
}

// send sends pieces in one write.
func (p *peer) send(pieces ...[]byte) {
	p.t.Helper()
	if _, err := p.Write(bytes.Join(pieces, nil)); err != nil {
		p.t.Fatalf("%s: send: %v", p.name, err)
	}
}

// say sends text.
func (p *peer) say(s string) {
	p.t.Helper()
	p.send([]byte(s))
}

// offer sends what might be refused before its end, which is no error here.
func (p *peer) offer(s string) { _, _ = io.WriteString(p, s) }

// answer is what a client got instead of, or before, a session.
type answer struct {
	*http.Response
	body string
}

// answer reads one HTTP answer, with its body unless it is a 101.
func (p *peer) answer() answer {
	p.t.Helper()
	a, err := p.readAnswer("GET")
	if err != nil {
		p.t.Fatalf("%s: read answer: %v", p.name, err)
	}
	return a
}

func (p *peer) readAnswer(method string) (answer, error) {
	r, err := http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusSwitchingProtocols {
		return answer{Response: r}, nil
	}
	body, err := io.ReadAll(r.Body)
	return answer{r, string(body)}, err
}

// upgraded reads a 101.
func (p *peer) upgraded() answer {
	p.t.Helper()
	a := p.answer()
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Sec-WebSocket-Accept") != sampleAccept {
		p.t.Fatalf("%s: got %s %v, %s", p.name, a.Status, a.Header, a.body)
	}
	return a
}

// frame reads one frame and checks that it is masked as it has to be.
func (p *peer) frame() frame {
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
		p.t.Fatalf("%s: got %v, want %v", p.name, f, frame{first, p.masks, payload})
	}
}

// wantsClose reads one frame, which must be a Close with this code.
func (p *peer) wantsClose(code uint16) {
	p.t.Helper()
	if f := p.frame(); f.first != closeFrame || !strings.HasPrefix(f.payload, status(code, "")) {
		p.t.Fatalf("%s: got %v, want a close with code %d", p.name, f, code)
	}
}

// eof reads the orderly end of the stream.
func (p *peer) eof() {
	p.t.Helper()
	if b, err := p.in.ReadByte(); err != io.EOF {
		p.t.Fatalf("%s: want the end of the stream, got %#x, %v", p.name, b, err)
	}
}

// gone reads the end of the stream, orderly or not.
func (p *peer) gone() {
	p.t.Helper()
	if b, err := p.in.ReadByte(); !isEnd(err) {
		p.t.Fatalf("%s: want the end of the connection, got %#x, %v", p.name, b, err)
	}
}

// isEnd reports whether err is the end of a connection.
func isEnd(err error) bool {
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// reset ends the connection with an RST.
func (p *peer) reset() {
	p.t.Helper()
	if err := p.SetLinger(0); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.Close()
}

// plenty is more than the sockets and the router on any way of these tests can
// hold. Some systems let each socket grow to tens of MiB.
const plenty = 256 << 20

// fill writes b over and over until nothing has been taken for a while, and
// returns how much was taken.
func (p *peer) fill(b []byte) (taken int) {
	p.t.Helper()
	for taken < plenty {
		_ = p.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := p.Write(b[taken%len(b):])
		taken += n
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
			_ = p.SetWriteDeadline(time.Now().Add(patience))
			return taken
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			p.t.Fatalf("%s: fill: %v", p.name, err)
		}
	}
	p.t.Fatalf("%s: %d bytes were taken, and nobody has read them", p.name, taken)
	return 0
}

// spill writes b over and over until that fails, which is no error here.
func (p *peer) spill(b []byte) {
	for {
		if _, err := p.Write(b); err != nil {
			return
		}
	}
}

// firstLine is the start of a head, for messages.
func firstLine(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	return fmt.Sprintf("%.80q", line)
}
