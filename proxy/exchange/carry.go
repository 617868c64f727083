package exchange

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// Send sends the head, which [handshake.Request.AppendPlain] has written, to an upstream: an ordinary connection, on which one goroutine
// may read while another writes. Before the deadline. If it fails and sent is false, the upstream has not got a byte of the request, the
// connection is the caller's to close, and Send may be called with another one. Otherwise it belongs to the exchange, and Carry
// tells what has come of it.
func (e *Exchange) Send(upstream net.Conn, head []byte, by time.Time) (sent bool, err error) {
	// A short body that is there already goes along.
	along := 0
	if n := e.body.left; n > 0 && n <= smallBuffer && n <= int64(len(e.client.in.rest())) {
		along = int(n)
		head = append(head, e.client.in.rest()[:along]...)
	}
	if err = upstream.SetWriteDeadline(by); err == nil {
		var n int
		if n, err = upstream.Write(head); n > 0 {
			e.sendErr, err = err, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("send request: %w", err)
	}
	e.client.in.drop(along)
	e.body.left -= int64(along)
	e.along = int64(along)
	e.upstream, e.up = upstream, &inbound{conn: upstream}
	return true, nil
}

// Carry sends everything else that belongs to the request, and passes the answer on. It returns when that is over, and neither connection
// is used any more; the upstream's is closed then. Send has succeeded before.
func (e *Exchange) Carry() Result {
	defer cut(e.upstream)
	r := Result{Up: e.along}
	if e.sendErr != nil {
		r.Err = fmt.Errorf("send request: %w", e.sendErr)
		return r
	}
	if !e.begin() {
		r.Err = ErrLeft
		return r
	}
	if e.body.ended() {
		e.wasSent()
	}
	attended := make(chan int64)
	go func() { attended <- e.attend() }()
	e.receive(&r)
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	cut(e.upstream) // nobody shall wait for it
	e.client.in.pull()
	r.Up += <-attended
	e.client.in.loosen()
	if e.err != nil && r.Err != nil {
		r.Err = e.err // it has come first, and led to the other
	}
	return r
}

// wasSent notes that the request has been sent as a whole.
func (e *Exchange) wasSent() {
	e.uploaded.Store(true)
	e.up.waitUntil(time.Now().Add(e.options.AnswerTimeout))
}

// attend sends the body, and then looks whether the client stays. It returns how much of the body it has sent.
func (e *Exchange) attend() int64 {
	var sent int64
	if !e.uploaded.Load() {
		var ok bool
		if sent, ok = e.upload(); !ok {
			return sent
		}
		e.wasSent()
	}
	e.client.in.waitFor(0)
	if err := e.client.in.await(); err != nil {
		e.fail(ErrClient)
	}
	return sent
}

// upload sends the body and reports whether it is whole.
func (e *Exchange) upload() (sent int64, whole bool) {
	if e.request.WantsContinue() { // the client waits as long as the upstream takes
		e.client.in.waitFor(e.options.AnswerTimeout)
		if err := e.body.await(); err != nil {
			e.fail(bodyError(err))
			return 0, false
		}
	}
	e.client.in.waitFor(e.options.BodyTimeout)
	to := outbound{e.upstream, e.options.WriteTimeout}
	chunked := e.request.ContentLength < 0
	sent, from, gone := to.pump(e.body, chunked)
	if from == nil && gone == nil && chunked {
		gone = to.write([]byte(lastChunk))
	}
	switch {
	case from != nil:
		e.fail(bodyError(from))
	case errors.Is(gone, os.ErrDeadlineExceeded):
		e.fail(fmt.Errorf("send body: %w", gone))
	case gone != nil: // the answer may say why
		e.up.waitUntil(time.Now().Add(e.options.SendTimeout))
	}
	return sent, from == nil && gone == nil
}

// bodyError is what a client has done whose body could not be read to its end.
func bodyError(err error) error {
	switch {
	case errors.Is(err, errFraming):
		return ErrBody
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrBodyLate
	default:
		return ErrClient
	}
}

// fail ends the exchange because of what has happened on the client's side of it.
func (e *Exchange) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over && e.err == nil && !e.leaving.Load() {
		e.err = err
		cut(e.upstream)
	}
}

// receive passes the answer on.
func (e *Exchange) receive(r *Result) {
	to := outbound{e.client.Conn, e.options.WriteTimeout}
	if r.Err = e.readAnswer(&to); r.Err != nil {
		return
	}
	a := &e.answer
	r.Status = a.Status
	b := &body{in: e.up, kind: a.Body, left: a.ContentLength}
	open := a.Body == handshake.BodyChunked || a.Body == handshake.BodyToEnd // its length is not known
	var d handshake.Downstream
	var text []byte
	if e.options.Adapt != nil {
		change := e.options.Adapt(a)
		d.Header = change.Header
		if change.Rewrite != nil && a.Body != handshake.BodyNone {
			if text, d.Replaced, r.Err = e.rewrite(b, &change); r.Err != nil {
				return
			}
			d.Sized, d.Length, open = true, int64(len(text)), false
		}
	}
	d.Chunked = open && e.request.Minor > 0
	// An upload under way would have to be read to its end first.
	d.Close = !e.options.Keep || e.request.WantsClose() || !e.uploaded.Load() || open && !d.Chunked
	out := append(a.AppendPlain(nil, &d), text...)
	if n := b.left; a.Body == handshake.BodyLength && n <= int64(len(e.up.rest())) && n <= smallBuffer { // it is all there
		out = append(out, e.up.rest()[:n]...)
		b.left, r.Down = 0, n
	}
	state := answering
	if d.Chunked && isEvents(a) {
		state = streaming
	}
	if !e.enter(state) {
		r.Err = ErrLeft
		return
	}
	e.up.waitFor(e.options.IdleTimeout)
	r.Answered, r.Down = true, r.Down+int64(len(text))
	if to.write(out) != nil {
		r.Err = e.gone()
		return
	}
	if d.Sized {
		r.Keep = !d.Close
		return
	}
	n, from, gone := to.pump(b, d.Chunked)
	r.Down += n
	if left := from != nil && e.left(from); left {
		r.Err = ErrLeft
		if state == streaming {
			from = nil
		}
	} else if from != nil {
		r.Err = fmt.Errorf("body of answer %d: %w", a.Status, from)
	}
	if from == nil && gone == nil && d.Chunked {
		gone = to.write([]byte(lastChunk))
	}
	if gone != nil {
		r.Err = e.gone()
	}
	r.Reset = from != nil && open && !d.Chunked
	r.Keep = r.Err == nil && !d.Close
}

// readAnswer reads the answer's head and passes interim ones on.
func (e *Exchange) readAnswer(to *outbound) error {
	for interim := 0; ; interim++ {
		head, err := e.up.head(e.options.Answer)
		if err == nil {
			// The fields stay in use while more is read.
			err = handshake.ParsePlainAnswer(append([]byte(nil), head...), e.options.Answer, e.request.Method, &e.answer)
		}
		if err != nil {
			if e.left(err) {
				return ErrLeft
			}
			return fmt.Errorf("answer: %w", err)
		}
		if !e.answer.Interim() {
			return nil
		}
		if interim == handshake.MaxInterim {
			return fmt.Errorf("answer: %w", &handshake.BadAnswer{Reason: "too many interim answers"})
		}
		if e.request.Minor > 0 && to.write(e.answer.AppendInterim(nil)) != nil {
			return e.gone()
		}
	}
}

// left reports whether err, of reading the upstream, is because of Leave or Abort.
func (e *Exchange) left(err error) bool {
	return e.leaving.Load() && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed))
}

// gone is why nothing can be written to the client any more.
func (e *Exchange) gone() error {
	if e.leaving.Load() {
		return ErrLeft
	}
	return ErrClient
}

// rewrite reads a body that is to be replaced, and returns the other.
func (e *Exchange) rewrite(b *body, change *Adaptation) (out []byte, other bool, err error) {
	e.up.waitFor(e.options.SendTimeout)
	text, err := io.ReadAll(io.LimitReader(b, int64(change.Most)+1))
	switch {
	case err != nil && e.left(err):
		return nil, false, ErrLeft
	case err != nil:
		return nil, false, fmt.Errorf("body of answer %d: %w", e.answer.Status, err)
	}
	return change.Rewrite(text)
}

// isEvents reports whether an answer is a stream of server-sent events.
func isEvents(a *handshake.Answer) bool {
	const kind = "text/event-stream"
	value, _ := a.Value("Content-Type")
	return a.Status == http.StatusOK && len(value) >= len(kind) && strings.EqualFold(string(value[:len(kind)]), kind)
}
