package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// message returns the payload of one message of one session: the same numbers
// give the same bytes. Texts are ASCII; half of the messages can be compressed.
func message(session, number, size int, text bool) []byte {
	seed := [32]byte{byte(session), byte(session >> 8), byte(number), byte(number >> 8), 1}
	b := make([]byte, size)
	random := rand.NewChaCha8(seed)
	_, _ = random.Read(b)
	if number%2 == 0 && size > 64 {
		for i := 64; i < size; i += copy(b[i:], b[:64]) {
		}
	}
	if text {
		for i := range b {
			b[i] = b[i]&0x3f + 0x20
		}
	}
	return b
}

// sizes are the message sizes of one session, 1 byte to 1 MiB.
func sizes(random *rand.Rand, count, volume int) (list []int) {
	edges := [...]int{1, 2, 125, 126, 127, 4095, 4096, 65535, 65536, 65537}
	for len(list) < count-1 {
		list = append(list, edges[random.IntN(7)])
	}
	switch random.IntN(16) {
	case 0:
		return append(list, 1<<20)
	case 1, 2, 3, 4:
		list = append(list, edges[7+random.IntN(3)])
	}
	return append(list, 1+random.IntN(volume))
}

// speaker is a client that sends and receives whole messages.
type speaker interface {
	send(text bool, payload []byte) error
	receive() (text bool, payload []byte, err error)
	close() error
}

// converse sends all messages of a session while it receives their echoes, which
// must be the same messages in the same order. It closes the session only after
// an error.
func converse(s speaker, session int, sizes []int, pause time.Duration) error {
	text := func(number int) bool { return (session+number)%3 == 0 }
	var group sync.WaitGroup
	var sending error
	group.Go(func() {
		for i, size := range sizes {
			if err := s.send(text(i), message(session, i, size, text(i))); err != nil {
				sending = fmt.Errorf("session %d: send message %d: %w", session, i, err)
				return
			}
		}
	})
	var receiving error
	for i, size := range sizes {
		if pause > 0 {
			<-time.After(pause) // a reader that is slow
		}
		isText, got, err := s.receive()
		if err != nil {
			receiving = fmt.Errorf("session %d: receive message %d: %w", session, i, err)
			break
		}
		if isText != text(i) || !bytes.Equal(got, message(session, i, size, text(i))) {
			receiving = fmt.Errorf("session %d: message %d of %d bytes came back as other %d bytes", session, i, size, len(got))
			break
		}
	}
	if receiving != nil {
		_ = s.close()
	}
	group.Wait()
	return errors.Join(sending, receiving)
}

// gathering is many sessions that talk at once. A library gives the other side
// only five seconds to answer its Close frame, and as much to take a Pong; the
// machine must not be so busy that this is too short.
type gathering struct {
	group, talking sync.WaitGroup
	room           chan struct{} // for those who talk
	quiet          chan struct{} // closed when all has been said
}

func gather() *gathering {
	talkers := 200
	if raceEnabled {
		talkers = 40
	}
	return &gathering{room: make(chan struct{}, talkers), quiet: make(chan struct{})}
}

// add lets a session be opened and talk, and closes it.
func (g *gathering) add(t *testing.T, session int, open func() (speaker, error), sizes []int, pause time.Duration) {
	g.talking.Add(1)
	g.group.Go(func() {
		s, err := open()
		if err != nil {
			g.talking.Done()
			t.Errorf("session %d: %v", session, err)
			return
		}
		g.room <- struct{}{}
		err = converse(s, session, sizes, pause)
		<-g.room
		g.talking.Done()
		if err != nil {
			t.Error(err)
			return
		}
		if _, ok := s.(library); ok {
			<-g.quiet
		}
		if err := s.close(); err != nil {
			t.Errorf("session %d: close: %v", session, err)
		}
	})
}

// wait returns when all sessions are closed.
func (g *gathering) wait() {
	g.talking.Wait()
	close(g.quiet)
	g.group.Wait()
}

// talkative is how long sessions may talk that keep the machine busy.
const talkative = 5 * patience

// library is a speaker by a library, which checks everything that a good
// endpoint checks. With pieces it sends fragmented messages.
type library struct {
	*websocket.Conn
	ctx    context.Context
	pieces bool
}

func (l library) send(text bool, payload []byte) error {
	kind := websocket.MessageBinary
	if text {
		kind = websocket.MessageText
	}
	if !l.pieces {
		return l.Write(l.ctx, kind, payload)
	}
	w, err := l.Writer(l.ctx, kind)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, bytes.NewReader(payload)); err != nil {
		return err
	}
	return w.Close()
}

func (l library) receive() (bool, []byte, error) {
	kind, payload, err := l.Read(l.ctx)
	return kind == websocket.MessageText, payload, err
}

func (l library) close() error { return l.Conn.Close(websocket.StatusNormalClosure, "") }

// byHand is a speaker that fragments its messages at will, sends them in pieces
// at odd places, and puts pings between them.
type byHand struct {
	*peer
	random *rand.Rand // of the sender
}

func (h byHand) send(text bool, payload []byte) error {
	first := byte(binaryFrame)
	if text {
		first = textFrame
	}
	var b []byte
	for opening := true; ; opening = false {
		n := len(payload)
		if h.random.IntN(3) > 0 && n > 0 {
			n = h.random.IntN(n + 1)
		}
		kind := byte(middle)
		if opening {
			kind = first &^ 0x80
		}
		part := payload[:n]
		if payload = payload[n:]; len(payload) == 0 {
			b = append(b, masked(kind|0x80, string(part))...)
			break
		}
		b = append(b, masked(kind, string(part))...)
		b = append(b, masked(pingFrame, "between")...)
	}
	for len(b) > 0 {
		n := min(len(b), 1+h.random.IntN(100_000))
		if _, err := h.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (h byHand) receive() (text bool, payload []byte, err error) {
	for {
		f, err := readFrame(h.in)
		if err != nil {
			return false, nil, err
		}
		switch f.first & 0x0f {
		case pongFrame & 0x0f:
			if f.payload != "between" {
				return false, nil, fmt.Errorf("got %v", f)
			}
			continue
		case textFrame & 0x0f:
			text = true
		case binaryFrame & 0x0f, middle:
		default:
			return false, nil, fmt.Errorf("got %v", f)
		}
		payload = append(payload, f.payload...)
		if f.first&0x80 != 0 {
			return text, payload, nil
		}
	}
}

func (h byHand) close() error {
	if _, err := h.Write(masked(closeFrame, status(1000, ""))); err != nil {
		return err
	}
	for {
		f, err := readFrame(h.in)
		if err != nil {
			return err
		}
		if f.first == closeFrame {
			return h.Close()
		}
	}
}

// join opens a session with the library. The transport may shape the sockets.
func (r *rig) join(ctx context.Context, transport *http.Transport, mode websocket.CompressionMode) (*websocket.Conn, error) {
	c, answer, err := websocket.Dial(ctx, "ws://"+r.address+"/echo", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, CompressionMode: mode, CompressionThreshold: 1,
	})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	agreed := strings.Contains(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	if agreed != (mode != websocket.CompressionDisabled) || strings.Contains(answer.Header.Get("Sec-WebSocket-Extensions"), "no_context_takeover") {
		return nil, fmt.Errorf("agreed on %q", answer.Header.Get("Sec-WebSocket-Extensions"))
	}
	return c, nil
}

// speak makes the speaker of a session: kinds of clients take turns.
func (r *rig) speak(ctx context.Context, session int, seed uint64) (speaker, error) {
	transport := &http.Transport{}
	switch session % 4 {
	case 0:
		c, err := r.join(ctx, transport, websocket.CompressionDisabled)
		return library{c, ctx, false}, err
	case 1:
		c, err := r.join(ctx, transport, websocket.CompressionDisabled)
		return library{c, ctx, true}, err
	case 2:
		c, err := r.join(ctx, transport, websocket.CompressionContextTakeover)
		return library{c, ctx, session%8 == 2}, err
	}
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		return nil, err
	}
	p := newPeer(r.t, "client", false, conn)
	_ = p.SetDeadline(time.Now().Add(talkative))
	p.offer(goodHead)
	if a, err := p.readAnswer("GET"); err != nil || a.StatusCode != 101 {
		return nil, fmt.Errorf("got %+v, %w", a, err)
	}
	return byHand{p, rand.New(rand.NewPCG(seed, uint64(session)))}, nil
}

// TestExactMessages carries numbered messages of all sizes in many sessions of
// all kinds at once, and wants every byte back in order.
func TestExactMessages(t *testing.T) {
	balanced(t)
	e := emulate(t, "echo")
	r := start(t, Options{}, member{address: e.Addr()})
	ctx, cancel := context.WithTimeout(t.Context(), talkative)
	defer cancel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	count, volume := 30, 100_000
	if raceEnabled || testing.Short() {
		count, volume = 12, 20_000
	}
	all := gather()
	for i := range 200 {
		random := rand.New(rand.NewPCG(uint64(i), seed))
		all.add(t, i, func() (speaker, error) { return r.speak(ctx, i, seed) }, sizes(random, count, volume), 0)
	}
	all.wait()
	until(t, "all sessions to end", func() bool { return r.Sessions() == 0 })
	if n := e.State().Sessions.Total; n != 200 || r.Totals().Accepted != 200 {
		t.Errorf("%d sessions, %+v", n, r.Totals())
	}
}

// TestExactMessagesSlowly is the same with small socket buffers and slow
// readers: every socket on the way is full most of the time.
func TestExactMessagesSlowly(t *testing.T) {
	balanced(t)
	e := emulate(t, "echo")
	r := start(t, Options{}, member{address: e.Addr()})
	ctx, cancel := context.WithTimeout(t.Context(), talkative)
	defer cancel()
	all := gather()
	for i := range 16 {
		all.add(t, i, func() (speaker, error) {
			dialer := net.Dialer{Control: smallSockets}
			c, err := r.join(ctx, &http.Transport{DialContext: dialer.DialContext},
				[]websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover}[i%2])
			return library{c, ctx, i%4 == 0}, err
		}, []int{60_000, 1, 150_000, 4096, 100_000, 65536, 3}, 5*time.Millisecond)
	}
	all.wait()
}
