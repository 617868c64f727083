package emulator

import (
	"bufio"
	"context"
	"net"
	"net/http"
)

// A Service is what stands behind the door of an emulator in the place of the
// echo. It sees the requests that the switches let through, and no health
// check.
type Service interface {
	// ServeHTTP returns from the handshake of a session when that has ended.
	http.Handler

	// Run works until ctx ends, then ends all sessions, and returns when everything
	// that it has started has ended.
	Run(ctx context.Context) error
}

// serveService hands one request to the service. What becomes a session is
// booked as one.
func (e *Emulator) serveService(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		if status := e.switches.refusal(); status != 0 {
			e.refused.Add(1)
			http.Error(w, "handshake refused on purpose", status)
			return
		}
	}
	e.opts.Service.ServeHTTP(&sessionWriter{w, e, doorConnOf(r.Context())}, r)
}

// runService runs the service, if there is one, until stop is called. stop
// returns when the service has ended.
func (e *Emulator) runService() (stop func() error) {
	if e.opts.Service == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.opts.Service.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// sessionWriter sees a connection become a session: that is when a handler takes
// it over.
type sessionWriter struct {
	http.ResponseWriter
	emulator *Emulator
	conn     *doorConn // nil if the request did not come through the door
}

// Hijack implements http.Hijacker.
func (w *sessionWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.emulator.total.Add(1)
		if w.conn != nil {
			w.emulator.door.mark(w.conn, sessionConn)
		}
	}
	return c, rw, err
}

// Flush implements http.Flusher, for answers that go on for long.
func (w *sessionWriter) Flush() {
	// An answer that cannot be flushed is flushed at its end.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets a http.ResponseController find the rest.
func (w *sessionWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
