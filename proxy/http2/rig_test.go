package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rig is a connection that runs, and a client made of the library's framer.
type rig struct {
	t    testing.TB
	conn *Conn
	net.Conn
	frames *h2.Framer
	events chan event
	done   chan error // of Run

	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32 // stream
	stopped sync.Once
}

// event is a frame that the client got.
type event struct {
	kind   h2.FrameType
	stream uint32
	end    bool   // of the stream, or it is an answer
	data   string // or what a GOAWAY, a ping or settings say
	fields []hpack.HeaderField
	code   h2.ErrCode
	number uint32 // of a window update, or the last stream of a GOAWAY
}

func (e event) String() string {
	if len(e.data) > 40 {
		e.data = fmt.Sprintf("%d bytes", len(e.data))
	}
	return fmt.Sprintf("%v{stream %d end %v data %q fields %v code %v number %d}",
		e.kind, e.stream, e.end, e.data, e.fields, e.code, e.number)
}

func (e event) field(name string) string {
	for _, f := range e.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// wire starts a connection whose client has said nothing yet.
func wire(t testing.TB, o Options, handle func(*Stream)) *rig {
	t.Helper()
	r := &rig{t: t}
	r.connect(o, handle, func() {})
	t.Cleanup(r.finish)
	return r
}

// connect starts the connection, after something else was done.
func (r *rig) connect(o Options, handle func(*Stream), first func()) {
	client, server := net.Pipe()
	r.conn, r.Conn, r.done, r.next = New(server, o), client, make(chan error, 1), 1
	r.frames = h2.NewFramer(client, client)
	r.frames.AllowIllegalWrites = true
	r.encoder = hpack.NewEncoder(&r.block)
	first()
	go func() { r.done <- r.conn.Run(handle) }()
}

// start starts a connection whose client has said what it has to, and reads.
func start(t testing.TB, o Options, handle func(*Stream)) *rig {
	t.Helper()
	r := wire(t, o, handle)
	r.listen()
	r.greet()
	r.wants(h2.FrameSettings)
	r.wants(h2.FrameWindowUpdate)
	if e := r.wants(h2.FrameSettings); !e.end {
		t.Fatalf("got %v, want an acknowledgement", e)
	}
	return r
}

// greet sends the preface and settings.
func (r *rig) greet(settings ...h2.Setting) {
	r.t.Helper()
	r.offer(h2.ClientPreface)
	r.do(r.frames.WriteSettings(settings...))
}

// listen begins to take what the connection says.
func (r *rig) listen() {
	r.events = make(chan event, 1<<16)
	frames := h2.NewFramer(io.Discard, r.Conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	go func() {
		defer close(r.events)
		for {
			f, err := frames.ReadFrame()
			if err != nil {
				return
			}
			r.events <- eventOf(f)
		}
	}()
}

func eventOf(f h2.Frame) event {
	e := event{kind: f.Header().Type, stream: f.Header().StreamID}
	switch f := f.(type) {
	case *h2.MetaHeadersFrame:
		e.fields, e.end = f.Fields, f.StreamEnded()
	case *h2.DataFrame:
		e.data, e.end = string(f.Data()), f.StreamEnded()
	case *h2.RSTStreamFrame:
		e.code = f.ErrCode
	case *h2.GoAwayFrame:
		e.code, e.number, e.data = f.ErrCode, f.LastStreamID, string(f.DebugData())
	case *h2.WindowUpdateFrame:
		e.number = f.Increment
	case *h2.PingFrame:
		e.data, e.end = string(f.Data[:]), f.IsAck()
	case *h2.SettingsFrame:
		e.end = f.IsAck()
		_ = f.ForeachSetting(func(s h2.Setting) error {
			e.data += fmt.Sprintln(s)
			return nil
		})
	}
	return e
}

// finish cuts the connection and waits for its end.
func (r *rig) finish() {
	r.stopped.Do(func() {
		r.Conn.Close()
		r.ended()
		if r.events != nil {
			for range r.events {
			}
		}
		r.conn.mu.Lock()
		defer r.conn.mu.Unlock()
		if len(r.conn.streams) != 0 || r.conn.live != 0 {
			r.t.Errorf("%d streams are left, %d of them live", len(r.conn.streams), r.conn.live)
		}
	})
}

// ended waits until Run returns, with nil if the end was in good order.
func (r *rig) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(patience):
		r.t.Error("Run did not return")
		return errors.New("still running")
	}
}

func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// offer writes what might not be taken to its end.
func (r *rig) offer(s string) { _, _ = io.WriteString(r.Conn, s) }

// event returns the next frame.
func (r *rig) event() event {
	r.t.Helper()
	select {
	case e, ok := <-r.events:
		if !ok {
			r.t.Fatal("the connection has ended")
		}
		return e
	case <-time.After(patience):
		r.t.Fatal("no frame has come")
	}
	panic("not reached")
}

// wants returns the next frame, which must be of this kind.
func (r *rig) wants(kind h2.FrameType) event {
	r.t.Helper()
	e := r.event()
	if e.kind != kind {
		r.t.Fatalf("got %v, want %v", e, kind)
	}
	return e
}

// find returns the next frame of this kind.
func (r *rig) find(kind h2.FrameType) event {
	r.t.Helper()
	for {
		if e := r.event(); e.kind == kind {
			return e
		}
	}
}

// wantsReset wants a stream to be reset.
func (r *rig) wantsReset(stream uint32, code h2.ErrCode) {
	r.t.Helper()
	if e := r.find(h2.FrameRSTStream); e.stream != stream || e.code != code {
		r.t.Fatalf("got %v, want %v on stream %d", e, code, stream)
	}
}

// wantsGoAway wants the connection to be ended with this code.
func (r *rig) wantsGoAway(code h2.ErrCode) event {
	r.t.Helper()
	e := r.find(h2.FrameGoAway)
	if e.code != code {
		r.t.Fatalf("got %v, want %v", e, code)
	}
	return e
}

// wantsEnd wants that nothing more comes.
func (r *rig) wantsEnd() {
	r.t.Helper()
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				return
			}
			if e.kind != h2.FrameWindowUpdate {
				r.t.Errorf("got %v, want the end of the connection", e)
			}
		case <-time.After(patience):
			r.t.Fatal("the connection has not ended")
		}
	}
}

// list makes fields of names and values in turn.
func list(pairs ...string) []hpack.HeaderField {
	var fields []hpack.HeaderField
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return fields
}

// tunnel is a request for a WebSocket with which nothing is wrong.
func tunnel(more ...string) []hpack.HeaderField {
	return append(list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https",
		":authority", "router.example", ":path", "/chat?room=1", "sec-websocket-version", "13"), list(more...)...)
}

// encode returns the block of a head.
func (r *rig) encode(fields []hpack.HeaderField) []byte {
	r.block.Reset()
	for _, f := range fields {
		r.do(r.encoder.WriteField(f))
	}
	return r.block.Bytes()
}

// ask sends a request, whose stream it returns.
func (r *rig) ask(end bool, fields []hpack.HeaderField) uint32 {
	r.t.Helper()
	id := r.next
	r.next += 2
	r.do(r.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(fields), EndStream: end, EndHeaders: true}))
	return id
}

// open opens a session.
func (r *rig) open() uint32 {
	r.t.Helper()
	id := r.ask(false, tunnel())
	if e := r.find(h2.FrameHeaders); e.stream != id || e.field(":status") != "200" || e.end {
		r.t.Fatalf("got %v, want an open session on stream %d", e, id)
	}
	return id
}

// say sends data.
func (r *rig) say(stream uint32, data string) {
	r.t.Helper()
	r.do(r.frames.WriteData(stream, false, []byte(data)))
}

// readHead reads the head of a stream's request.
func readHead(s *Stream) (string, error) {
	var head []byte
	buffer := make([]byte, 100)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		n, err := s.Read(buffer)
		head = append(head, buffer[:n]...)
		if err != nil {
			return string(head), err
		}
	}
	return string(head), nil
}

// good101 is an answer that opens a session.
const good101 = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// accept opens the session of a stream.
func accept(s *Stream) error {
	if _, err := readHead(s); err != nil {
		return err
	}
	_, err := io.WriteString(s, good101)
	return err
}

// echo sends back what comes on a stream, until its end.
func echo(s *Stream) {
	defer s.Close()
	if accept(s) == nil {
		if _, err := io.Copy(s, s); err == nil {
			_ = s.CloseWrite()
		}
	}
}

// handOver opens sessions and gives them to the test, which closes them.
func handOver(to chan<- *Stream) func(*Stream) {
	return func(s *Stream) {
		if accept(s) != nil {
			s.Close()
			return
		}
		to <- s
	}
}
