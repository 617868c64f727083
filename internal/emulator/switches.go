package emulator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"
)

// Mode says how the emulator treats connections as a whole.
type Mode string

// The modes. They exclude each other; the other switches combine with them.
const (
	ModeOK     Mode = "ok"     // serves
	ModeRefuse Mode = "refuse" // port closed: a SYN is answered with RST
	ModeHang   Mode = "hang"   // TCP connects, HTTP is never answered
	ModeReset  Mode = "reset"  // every connection is reset once accepted
)

// State is a snapshot of the switches and counters.
type State struct {
	Name            string  `json:"name"`
	Mode            Mode    `json:"mode"`
	HealthStatus    int     `json:"health_status"`    // what GET /api/health answers
	HandshakeStatus int     `json:"handshake_status"` // what refused handshakes get; 0 = none is refused
	HandshakeShare  float64 `json:"handshake_share"`  // the refused share of handshakes, 0 to 1
	DelayMS         float64 `json:"delay_ms"`         // before each answer and echo; a service's messages are not delayed

	Sessions   SessionCounts   `json:"sessions"`
	Handshakes HandshakeCounts `json:"handshakes"`
	Messages   int64           `json:"messages"` // whose echo was begun, since the start; 0 with a service
}

// SessionCounts count upgraded connections.
type SessionCounts struct {
	Open  int64 `json:"open"`
	Total int64 `json:"total"` // since the start
}

// HandshakeCounts count requests that asked for an upgrade.
type HandshakeCounts struct {
	Total   int64 `json:"total"`   // since the start, those that hang included
	Refused int64 `json:"refused"` // answered with an error by FailHandshakes
}

// State returns the present switches and counters.
func (e *Emulator) State() State {
	s := e.switches.snapshot()
	e.mu.Lock()
	open := len(e.sessions)
	e.mu.Unlock()
	if e.opts.Service != nil {
		open = len(e.door.list(func(k connKind) bool { return k == sessionConn }))
	}
	return State{
		Name:            e.opts.Name,
		Mode:            s.mode,
		HealthStatus:    s.health,
		HandshakeStatus: s.handshakeStatus,
		HandshakeShare:  s.handshakeShare,
		DelayMS:         float64(s.delay) / float64(time.Millisecond),
		Sessions:        SessionCounts{Open: int64(open), Total: e.total.Load()},
		Handshakes:      HandshakeCounts{Total: e.asked.Load(), Refused: e.refused.Load()},
		Messages:        e.messages.Load(),
	}
}

// SetHealth sets the status, 200 to 599, that GET /api/health answers.
func (e *Emulator) SetHealth(status int) error {
	if status < 200 || status > 599 {
		return fmt.Errorf("health status %d: want 200 to 599", status)
	}
	e.switches.update(func(s *switchValues) { s.health = status })
	e.log.Info("health switched", "status", status)
	return nil
}

// FailHandshakes answers a share (0 to 1) of WebSocket handshakes with an HTTP
// status from 300 to 599. The refused ones are spread evenly, not drawn: of any
// ten handshakes in a row a share of 0.3 refuses three. A share of 0 ends it.
func (e *Emulator) FailHandshakes(status int, share float64) error {
	if status < 300 || status > 599 {
		return fmt.Errorf("handshake status %d: want 300 to 599", status)
	}
	if math.IsNaN(share) || share < 0 || share > 1 {
		return fmt.Errorf("handshake share %v: want 0 to 1", share)
	}
	e.switches.update(func(s *switchValues) {
		s.handshakeStatus, s.handshakeShare, s.handshakeDue = status, share, 0
		if share == 0 {
			s.handshakeStatus = 0
		}
	})
	e.log.Info("handshake failures switched", "status", status, "share", share)
	return nil
}

// Slow waits for d before each handshake and health answer and before each
// echo. Messages of one session wait one after the other. 0 ends it.
func (e *Emulator) Slow(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("delay %s: must not be negative", d)
	}
	e.switches.update(func(s *switchValues) { s.delay = d })
	e.log.Info("delay switched", "delay", d)
	return nil
}

// Hang makes the emulator a gray failure: connections are accepted and no
// request is answered until the mode changes. Requests held by then are
// answered then, as by a process that was stopped and continued. Sessions go
// on, and so do the controls.
func (e *Emulator) Hang() error { return e.setMode(ModeHang, nil) }

// Refuse closes the port, and connections that are not sessions. Sessions stay
// unless cut is true; then they end without a Close frame.
func (e *Emulator) Refuse(cut bool) error {
	if e.Addr() == "" {
		return errors.New("enter mode refuse: not listening yet")
	}
	return e.setMode(ModeRefuse, func() error {
		err := e.door.shut()
		e.door.cut(plainConn)
		if cut {
			e.door.cut(sessionConn)
		}
		return err
	})
}

// Reset answers every connection, present sessions and future connections, with
// a TCP reset.
func (e *Emulator) Reset() error {
	return e.setMode(ModeReset, func() error {
		e.door.setReset(true)
		e.door.resetAll()
		return nil
	})
}

// Serve leaves the present mode for [ModeOK]; the other switches stay. After
// Refuse it binds the same port again, which it retries for up to 5 s.
func (e *Emulator) Serve() error { return e.setMode(ModeOK, nil) }

// Restore makes everything normal again: the mode and all switches, and no
// timed switch is left pending.
func (e *Emulator) Restore() error {
	e.restores.stopAll()
	e.switches.update(func(s *switchValues) {
		mode, changed := s.mode, s.changed
		*s = normalValues()
		s.mode, s.changed = mode, changed
	})
	return e.Serve()
}

// setMode undoes what the present mode did to the door, then does what the next
// one asks for.
func (e *Emulator) setMode(next Mode, act func() error) error {
	e.modeMu.Lock()
	defer e.modeMu.Unlock()

	if next != ModeReset {
		e.door.setReset(false)
	}
	if next != ModeRefuse {
		if err := e.reopenIfBound(); err != nil {
			return fmt.Errorf("leave mode %s: %w", e.switches.snapshot().mode, err)
		}
	}
	e.switches.update(func(s *switchValues) { s.mode = next })
	e.log.Info("mode switched", "mode", next)
	if act == nil {
		return nil
	}
	if err := act(); err != nil {
		return fmt.Errorf("enter mode %s: %w", next, err)
	}
	return nil
}

// reopenIfBound opens the port again; before Listen there is none to open.
func (e *Emulator) reopenIfBound() error {
	if e.Addr() == "" {
		return nil
	}
	return e.door.reopen()
}

// switches hold the values that handlers look at.
type switches struct {
	mu  sync.Mutex
	cur switchValues
}

type switchValues struct {
	mode            Mode
	health          int
	handshakeStatus int
	handshakeShare  float64
	handshakeDue    float64 // refusals owed so far; a whole one is paid out
	delay           time.Duration
	changed         chan struct{} // closed and replaced by every update
}

func normalValues() switchValues {
	return switchValues{mode: ModeOK, health: http.StatusOK, changed: make(chan struct{})}
}

func newSwitches() switches { return switches{cur: normalValues()} }

func (s *switches) snapshot() switchValues {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

func (s *switches) update(change func(*switchValues)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.cur)
	close(s.cur.changed)
	s.cur.changed = make(chan struct{})
}

// refusal returns the status for this handshake, 0 if it may proceed.
func (s *switches) refusal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The sum of many shares falls short of a whole number by rounding.
	const rounding = 1e-9
	s.cur.handshakeDue += s.cur.handshakeShare
	if s.cur.handshakeDue < 1-rounding {
		return 0
	}
	s.cur.handshakeDue--
	return s.cur.handshakeStatus
}

// errClosing ends what waits when the emulator shuts down.
var errClosing = errors.New("emulator is shutting down")

// awaitAnswer holds a request while the mode is hang, and then for the delay.
// It fails when ctx or the emulator ends first.
func (e *Emulator) awaitAnswer(ctx context.Context) error {
	for {
		s := e.switches.snapshot()
		if s.mode != ModeHang {
			return e.pause(ctx, s.delay)
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closing:
			return errClosing
		}
	}
}

// pause waits for d.
func (e *Emulator) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closing:
		return errClosing
	}
}
