package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// answerLimits bound an upstream's answer head.
var answerLimits = handshake.Limits{Size: 32 << 10}

// maxRelayedBody is the largest body of an answer other than 101 that is
// relayed to the client, in bytes.
const maxRelayedBody = 1 << 20

// relayedAnswer is an upstream's answer other than 101.
type relayedAnswer struct {
	status int
	bytes  []byte // head and body for the client
}

// Error tells the status.
func (r *relayedAnswer) Error() string { return fmt.Sprintf("upstream answered %d", r.status) }

// ask sends the client's handshake to an upstream and judges the answer, before
// the deadline. The verified answer is then in c.answer. Another one than 101 is
// returned as a *relayedAnswer.
func (c *clientConn) ask(t *target, conn net.Conn, deadline time.Time) error {
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	c.heardBack = false
	request, err := c.ticket.dress(&c.request, t.of)
	if err != nil {
		return err
	}
	c.out = request.AppendUpstream(c.out[:0], t.upstream, c.forward())
	if _, err := conn.Write(c.out); err != nil {
		return err
	}
	c.back = c.back[:0]
	return c.hear(conn)
}

// hear reads the answer of an upstream that was asked, of which c.back may hold the
// start, and judges it.
func (c *clientConn) hear(conn net.Conn) error {
	if err := c.opening.readAnswer(conn); err != nil {
		return err
	}
	if c.answer.Status != fasthttp.StatusSwitchingProtocols {
		return c.opening.readRelayed(conn)
	}
	return conn.SetDeadline(time.Time{})
}

// readAnswer reads the first answer that is not interim.
func (o *opening) readAnswer(conn net.Conn) error {
	for interim := 0; ; interim++ {
		if err := o.readAnswerHead(conn); err != nil {
			return err
		}
		if !o.answer.Interim() {
			return nil
		}
		if interim == handshake.MaxInterim {
			return &handshake.BadAnswer{Reason: "too many interim answers"}
		}
		o.back = append(o.back[:0], o.back[o.end:]...)
	}
}

// readAnswerHead reads one head, of which o.back may hold the start.
func (o *opening) readAnswerHead(conn net.Conn) error {
	for seen := 0; ; {
		if len(o.back) > seen {
			end, err := handshake.AnswerEnd(o.back, seen, answerLimits)
			if err != nil {
				return err
			}
			if end > 0 {
				o.end = end
				return handshake.ParseAnswer(o.back[:end], answerLimits, &o.request, &o.answer)
			}
			seen = len(o.back)
		}
		o.back = grow(o.back, answerLimits.Size+1)
		n, err := conn.Read(o.back[len(o.back):cap(o.back)])
		o.back = o.back[:len(o.back)+n]
		o.heardBack = o.heardBack || n > 0
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// readRelayed reads the body that belongs to o.answer and returns the whole as
// a *relayedAnswer, without the fields of the upstream's hop.
func (o *opening) readRelayed(conn net.Conn) error {
	answer := o.answer.AppendClient(nil)
	in := io.MultiReader(bytes.NewReader(answer), bytes.NewReader(o.earlyBack()), conn)
	var response fasthttp.Response
	if err := response.ReadLimitBody(bufio.NewReaderSize(in, len(answer)+firstHead), maxRelayedBody); err != nil {
		if _, ok := errors.AsType[net.Error](err); !ok { // the bytes are at fault, not the connection
			err = fmt.Errorf("%w: %w", errBody, err)
		}
		return fmt.Errorf("body of answer %d: %w", o.answer.Status, err)
	}
	body := response.Body()
	if o.answer.Body != handshake.BodyChunked {
		answer = append(answer, body...)
	} else { // in one chunk, without the trailer: its fields are for the hop
		if len(body) > 0 {
			answer = append(fmt.Appendf(answer, "%x\r\n", len(body)), body...)
			answer = append(answer, "\r\n"...)
		}
		answer = append(answer, "0\r\n\r\n"...)
	}
	return &relayedAnswer{o.answer.Status, answer}
}

var errBody = &handshake.BadAnswer{Reason: "a malformed body, or one longer than allowed"}

// timedOut reports whether err is a deadline that passed.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// badAnswer reports whether the upstream answered, but not with a right answer.
func badAnswer(err error) bool {
	var bad *handshake.BadAnswer
	return errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF)
}

// local reports whether err is this machine's own shortage.
func local(err error) bool { return health.IsLocal(err) }
