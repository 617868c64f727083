package http2

import (
	"errors"
	"fmt"
	"io"
	"time"

	h2 "golang.org/x/net/http2"
)

// mostSettings is how many settings a client may send in one frame.
const mostSettings = 32

// read takes what the client sends until the connection ends, and gives each
// request to begin.
func (c *Conn) read(begin func(*Stream)) error {
	if err := c.readPreface(); err != nil {
		return err
	}
	for {
		f, err := c.readFrame()
		c.mu.Lock()
		if c.finished { // whatever has come, or not come, because of that
			c.mu.Unlock()
			return nil
		}
		var s *Stream
		if err == nil {
			s, err = c.take(f)
		}
		if broken, ok := errors.AsType[h2.StreamError](err); ok {
			err = c.takeBroken(broken)
		}
		if isTimeout(err) && len(c.streams) == 0 || errors.Is(err, io.EOF) && c.live == 0 {
			c.finish(nil)
			err = nil
		}
		ended := c.finished
		c.mu.Unlock()
		if s != nil {
			begin(s)
		}
		if err != nil || ended {
			return err
		}
	}
}

// readPreface reads what a client has to send first: the preface, and settings
// (RFC 9113 §3.4).
func (c *Conn) readPreface() error {
	var preface [len(h2.ClientPreface)]byte
	if _, err := io.ReadFull(c.conn, preface[:]); err != nil {
		return fmt.Errorf("HTTP/2 preface: %w", err)
	}
	if string(preface[:]) != h2.ClientPreface {
		return h2.ConnectionError(h2.ErrCodeProtocol)
	}
	f, err := c.readFrame()
	if err != nil {
		return fmt.Errorf("HTTP/2 settings: %w", err)
	}
	settings, ok := f.(*h2.SettingsFrame)
	if !ok || settings.IsAck() {
		return h2.ConnectionError(h2.ErrCodeProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
	c.settle()
	return c.takeSettings(settings)
}

// readFrame reads one frame, or one whole head.
func (c *Conn) readFrame() (h2.Frame, error) {
	c.input.left = 2*(frameHeader+maxFrame) + headSlack*c.options.HeadSize
	return c.frames.ReadFrame()
}

// take takes a frame, and returns the stream that it has opened, if it has. The
// caller holds mu.
func (c *Conn) take(f h2.Frame) (*Stream, error) {
	switch f := f.(type) {
	case *h2.MetaHeadersFrame:
		return c.takeHead(f)
	case *h2.DataFrame:
		return nil, c.takeData(f)
	case *h2.WindowUpdateFrame:
		return nil, c.takeUpdate(f)
	case *h2.RSTStreamFrame:
		return nil, c.takeReset(f)
	case *h2.SettingsFrame:
		return nil, c.takeSettings(f)
	case *h2.PingFrame:
		return nil, c.takePing(f)
	case *h2.PushPromiseFrame:
		return nil, h2.ConnectionError(h2.ErrCodeProtocol) // RFC 9113 §8.4
	}
	// Priorities, a GOAWAY, what may be invented yet.
	return nil, c.budget.pay(1)
}

// takeHead takes a request, or the trailer of one.
func (c *Conn) takeHead(f *h2.MetaHeadersFrame) (*Stream, error) {
	id := f.StreamID
	switch s := c.streams[id]; {
	case id%2 == 0:
		return nil, h2.ConnectionError(h2.ErrCodeProtocol) // RFC 9113 §5.1.1
	case s != nil && s.err == nil:
		return nil, s.takeTrailer(f)
	case id <= c.last: // it was on its way when the stream ended
		return nil, c.budget.pay(1)
	case c.late(id):
		return nil, c.budget.pay(1)
	}
	if c.sessions == 0 && time.Since(c.since) > c.options.IdleTimeout {
		c.leave() // others that never become a session may keep it from an end of its own
	}
	c.last = id
	if c.live >= c.options.Streams || len(c.streams) >= places*c.options.Streams {
		return nil, h2.StreamError{StreamID: id, Code: h2.ErrCodeRefusedStream}
	}
	head, err := translate(f, c.options.HeadSize)
	if err != nil {
		return nil, err
	}
	s := newStream(c, id, head)
	if f.StreamEnded() {
		s.inEnded = true
	}
	if c.streams[id] = s; len(c.streams) == 1 {
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	c.live++
	return s, nil
}

// takeData takes data of a stream.
func (c *Conn) takeData(f *h2.DataFrame) error {
	n := int64(f.Length) // padding counts
	if n > c.recv {
		return h2.ConnectionError(h2.ErrCodeFlowControl)
	}
	if c.recv -= n; c.recv < connWindow/2 {
		_ = c.frames.WriteWindowUpdate(0, uint32(connWindow-c.recv))
		c.recv = connWindow
		if err := c.answered(); err != nil {
			return err
		}
	}
	data, s := f.Data(), c.streams[f.StreamID]
	if ends := f.StreamEnded() && s != nil && s.err == nil && !s.inEnded; len(data) == 0 && !ends {
		if err := c.budget.pay(1); err != nil {
			return err
		}
	}
	switch {
	case s == nil && c.idle(f.StreamID):
		return h2.ConnectionError(h2.ErrCodeProtocol)
	case s == nil || s.err != nil: // it was on its way when the stream ended
		return nil
	case s.inEnded:
		return h2.StreamError{StreamID: f.StreamID, Code: h2.ErrCodeStreamClosed}
	case n > s.recv:
		return h2.StreamError{StreamID: f.StreamID, Code: h2.ErrCodeFlowControl}
	}
	s.recv -= n
	s.in.write(data)
	s.inEnded = f.StreamEnded()
	s.refund(int(n) - len(data))
	s.changed.Broadcast()
	s.settle()
	return c.answered()
}

// takeUpdate takes more room at the client.
func (c *Conn) takeUpdate(f *h2.WindowUpdateFrame) error {
	if err := c.budget.payUpdate(); err != nil {
		return err
	}
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > mostWindow {
			return h2.ConnectionError(h2.ErrCodeFlowControl)
		}
		c.room.Broadcast()
		return nil
	}
	s := c.streams[f.StreamID]
	switch {
	case s != nil && s.err == nil:
		return s.widen(int64(f.Increment))
	case s == nil && c.idle(f.StreamID):
		return h2.ConnectionError(h2.ErrCodeProtocol)
	}
	return nil
}

// takeReset takes the abrupt end of a stream.
func (c *Conn) takeReset(f *h2.RSTStreamFrame) error {
	s := c.streams[f.StreamID]
	price := resetPrice
	switch {
	case s == nil && c.idle(f.StreamID):
		return h2.ConnectionError(h2.ErrCodeProtocol)
	case s == nil, s.opened:
		price = 1
	}
	if s != nil {
		s.fail(errReset)
	}
	return c.budget.pay(price)
}

// takeBroken tells the client that it broke the protocol on one stream, or that
// there is no room for one more. The stream is the client's no more; whoever has
// it gets to know.
func (c *Conn) takeBroken(broken h2.StreamError) error {
	id := broken.StreamID
	if id%2 == 0 {
		return h2.ConnectionError(h2.ErrCodeProtocol) // only we could have opened it
	}
	if c.late(id) {
		return c.budget.pay(1)
	}
	c.last = max(c.last, id) // a request that is none
	price := resetPrice
	if s := c.streams[id]; s != nil {
		if s.opened {
			price = 1
		}
		s.fail(errBroken)
	}
	_ = c.frames.WriteRSTStream(id, broken.Code)
	if err := c.answered(); err != nil {
		return err
	}
	return c.budget.pay(price)
}

// idle reports whether the client has not used a stream yet (RFC 9113 §5.1). The
// streams that a server opens are all idle for ever.
func (c *Conn) idle(id uint32) bool { return id%2 == 0 || id > c.last && !c.late(id) }

// late reports whether a stream of the client is behind the one that it has been told
// is the last. Nobody looks at it, and what belongs to it is no offence: it was on its
// way (RFC 9113 §6.8).
func (c *Conn) late(id uint32) bool { return c.leaving == left && id > c.last }

// takeSettings takes what the client wishes.
func (c *Conn) takeSettings(f *h2.SettingsFrame) error {
	if f.IsAck() {
		return c.budget.pay(1)
	}
	if f.NumSettings() > mostSettings {
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	err := f.ForeachSetting(func(s h2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		if s.ID != h2.SettingInitialWindowSize {
			return nil // the others bound what is not done here
		}
		more := int64(s.Val) - c.initial
		c.initial = int64(s.Val)
		for _, stream := range c.streams {
			if stream.widen(more) != nil {
				return h2.ConnectionError(h2.ErrCodeFlowControl) // RFC 9113 §6.9.2
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_ = c.frames.WriteSettingsAck()
	if err := c.answered(); err != nil {
		return err
	}
	return c.budget.pay(1)
}

// takePing answers a ping, or takes the answer to ours.
func (c *Conn) takePing(f *h2.PingFrame) error {
	if f.IsAck() {
		if f.Data == goodbyePing {
			c.left()
		}
		return c.budget.pay(1)
	}
	_ = c.frames.WritePing(true, f.Data)
	if err := c.answered(); err != nil {
		return err
	}
	return c.budget.pay(1)
}
