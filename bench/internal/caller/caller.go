package caller

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/bench/internal/broadcast"
	"github.com/pointsman/pointsman/bench/internal/latency"
)

// partialField is what the router's answer names those in that have not got the message.
const partialField = "X-Pointsman-Partial"

// maxAnswer is the longest body of an answer; it is a report of what went wrong.
const maxAnswer = 64 << 10

// caller sends one broadcast after the other. All but close belongs to its goroutine.
type caller struct {
	run    *run
	series uint32
	lines  []*line // one for each target
	signed int64   // the second of the tokens

	place   uint32 // of the next message
	done    int64
	latency *latency.Histogram
	errors  Errors
	first   string
}

// line is a connection to one target.
type line struct {
	target  Target
	conn    net.Conn
	in      *bufio.Reader
	message *broadcast.Message
	answer  fasthttp.Response
}

func newCaller(ctx context.Context, r *run, series uint32) (*caller, error) {
	c := &caller{run: r, series: series, latency: latency.New()}
	for _, t := range r.opts.Targets {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", t.Addr)
		if err == nil {
			c.lines = append(c.lines, &line{target: t, conn: conn, in: bufio.NewReaderSize(conn, 4<<10)})
			err = conn.SetDeadline(r.until) // once and not for each call
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// close closes the connections. It may be called again, and by others.
func (c *caller) close() {
	for _, l := range c.lines {
		_ = l.conn.Close()
	}
}

// work sends broadcasts until the run ends or a connection breaks.
func (c *caller) work() {
	for c.run.in() != ending {
		begun := time.Now()
		if err := c.sign(begun); err != nil {
			c.fault(&c.errors.Broken, err.Error())
			return
		}
		n := broadcast.Number{Series: c.series, Place: c.place}
		c.place++
		well, err := c.send(n)
		if err != nil {
			c.fault(&c.errors.Broken, err.Error())
			return
		}
		if well && c.run.in() == measuring {
			c.done++
			c.latency.Record(time.Since(begun))
		}
	}
}

func (c *caller) fault(count *int64, why string) {
	*count++
	if c.first == "" {
		c.first = why
	}
}

// sign makes the calls anew when their tokens would be other ones.
func (c *caller) sign(now time.Time) error {
	if c.signed == now.Unix() {
		return nil
	}
	c.signed = now.Unix()
	for _, l := range c.lines {
		token, err := broadcast.Sign(l.target.Key, l.target.Addr, now)
		if err != nil {
			return err
		}
		l.message = broadcast.NewMessage(l.target.Addr, token, c.run.opts.Size)
	}
	return nil
}

// send sends one broadcast and reports whether all went well. The error is that a connection broke.
func (c *caller) send(n broadcast.Number) (well bool, err error) {
	well = true
	hear := func(l *line) error {
		if err := l.hear(); err != nil {
			return fmt.Errorf("answer of %s: %w", l.target.Addr, err)
		}
		well = c.judge(l) && well
		return nil
	}
	for _, l := range c.lines {
		if _, err := l.conn.Write(l.message.With(n)); err != nil {
			return false, err
		}
		if c.run.opts.AtOnce {
			continue
		}
		if err := hear(l); err != nil {
			return false, err
		}
	}
	if c.run.opts.AtOnce {
		for _, l := range c.lines {
			if err := hear(l); err != nil {
				return false, err
			}
		}
	}
	return well, nil
}

// hear reads an answer.
func (l *line) hear() error { return l.answer.ReadLimitBody(l.in, maxAnswer) }

// judge counts what is wrong with an answer, and reports whether nothing is.
func (c *caller) judge(l *line) (well bool) {
	well = true
	if status := l.answer.StatusCode(); status != http.StatusAccepted {
		c.fault(&c.errors.Status, fmt.Sprintf("%s answers %d: %.200s", l.target.Addr, status, l.answer.Body()))
		well = false
	}
	if left := l.answer.Header.Peek(partialField); left != nil {
		c.fault(&c.errors.Partial, fmt.Sprintf("%s leaves out %s", l.target.Addr, left))
		well = false
	}
	return well
}
