package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// Options say how sessions are carried. The zero value works. A negative
// duration switches the matter off where the field says so.
type Options struct {
	// Loops is the number of event loops; default one per usable processor. A
	// busy loop holds a processor of the Go scheduler, so GOMAXPROCS should be
	// twice as large. The portable variant ignores it.
	Loops int
	// IdleTimeout ends a session on which no frame passed for so long, with
	// Close 1001. Default 0: never.
	IdleTimeout time.Duration
	// MaxAge ends a session of that age, give or take a tenth that is drawn for
	// each session, with Close 1012. Default 0: never.
	MaxAge time.Duration
	// PingInterval is the silence of one side after which it gets a Ping.
	// Default 30 s; negative: no pings.
	PingInterval time.Duration
	// PingTimeout is how long that side may then stay silent. Default 15 s.
	PingTimeout time.Duration
	// WriteTimeout is how long a side may take no byte while some wait for it.
	// Default 30 s; negative: for ever.
	WriteTimeout time.Duration
	// CloseWait bounds the closing handshake: the time from the first Close
	// frame until both connections are ended. Default 5 s.
	CloseWait time.Duration
	// MaxFrame is the largest payload of one data frame in bytes; a larger one
	// is answered 1009. Default 16 MiB; negative: no limit.
	MaxFrame int64
	// MaxMessage is the largest payload of one message in bytes, all its frames
	// together, as they stand on the wire: of a compressed message what is
	// compressed. The frame that makes it larger is answered 1009; those before it
	// are delivered. Default 0: no limit, and so is a negative value.
	MaxMessage int64
	// Rate bounds what each client may send. Default: no limit.
	Rate Rate
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		switch {
		case *d == 0:
			*d = value
		case *d < 0:
			*d = 0
		}
	}
	set(&o.IdleTimeout, 0)
	set(&o.MaxAge, 0)
	set(&o.PingInterval, 30*time.Second)
	set(&o.PingTimeout, 15*time.Second)
	set(&o.WriteTimeout, 30*time.Second)
	set(&o.CloseWait, 5*time.Second)
	switch {
	case o.MaxFrame == 0:
		o.MaxFrame = 16 << 20
	case o.MaxFrame < 0:
		o.MaxFrame = 0
	}
	o.MaxMessage = max(0, o.MaxMessage)
	if o.Loops <= 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	return o
}

// lingerTime is how long a connection that was ended by us may take to end on
// its other side, after the closing handshake has been given up.
const lingerTime = time.Second

// sweepPeriod is how often every session is visited for the time-outs that are
// measured in silence: often enough that each is late by a quarter at most.
func (o *Options) sweepPeriod() time.Duration {
	period := 2 * time.Second
	for _, d := range [...]time.Duration{o.IdleTimeout, o.MaxAge, o.PingInterval, o.PingTimeout, o.WriteTimeout} {
		if d > 0 {
			period = min(period, d/4)
		}
	}
	return max(period, 20*time.Millisecond)
}

// Pair is two connections whose handshakes are done: the client has been
// answered 101 and the upstream has answered 101.
type Pair struct {
	// The client's may be any, such as a stream of HTTP/2. Deadlines that are set do
	// not matter any more.
	Client, Upstream net.Conn
	// FromClient and FromUpstream are bytes that were read behind the
	// handshakes; they are relayed first. The relay does not keep them.
	FromClient, FromUpstream []byte
	// RSV are the reserved header bits that the agreed extensions may use, as
	// in [wsframe.NewScanner].
	RSV byte
	// Parting is what the client gets before a Close frame of ours.
	Parting Parting
	// Tag is whatever the caller wants to find again in a [Sight].
	Tag any
	// Ended, if not nil, is called once when the session has ended and both
	// connections are closed. It must not block, nor use the Relay or the
	// Session: a loop waits for it.
	Ended func(End)
}

// Relay carries sessions. Make one with [New] and start it with [Relay.Run].
// All methods may be called concurrently.
type Relay struct {
	options atomic.Pointer[settings]
	began   time.Time
	drivers

	slowed, exceeded atomic.Uint64
}

// settings are the options as sessions use them.
type settings struct {
	Options
	sizes  wsframe.Limits
	quotas quotas
}

// Totals count what a Relay has done since it was made.
type Totals struct {
	// Slowed is the number of sessions whose client was held up, once or more,
	// because it sent more than [Options.Rate] allows.
	Slowed uint64
	// Exceeded is the number of sessions that were closed for it.
	Exceeded uint64
}

// Totals returns the totals. It may be called at any time.
func (r *Relay) Totals() Totals { return Totals{r.slowed.Load(), r.exceeded.Load()} }

// New returns a Relay that has not started anything. It fails when the system
// gives it no event queue.
func New(o Options) (*Relay, error) {
	r := &Relay{began: time.Now()}
	r.Configure(o)
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("open event loops: %w", err)
	}
	return r, nil
}

// Configure changes the options, for open sessions too: they are visited within
// 2 s. Loops stays as it is, and a closing handshake under way goes on with its own
// limit. Where the Rate changes, what a client has used up of its bursts stays so.
func (r *Relay) Configure(o Options) {
	o = o.withDefaults()
	r.options.Store(&settings{
		Options: o,
		sizes:   wsframe.Limits{Frame: uint64(o.MaxFrame), Message: uint64(o.MaxMessage)},
		quotas:  newQuotas(o.Rate),
	})
}

// Options returns the present options, with their defaults. In them a duration
// or limit that is switched off is 0.
func (r *Relay) Options() Options { return r.options.Load().Options }

// Run carries the joined sessions until ctx is done. It then ends those that
// are left without a Close frame ([Aborted]) and returns when all is closed.
// For an orderly end call [Relay.CloseAll] first and wait for the sessions.
// Run may be called once.
func (r *Relay) Run(ctx context.Context) error { return r.run(ctx) }

// Join makes a session of the pair. The Relay owns both connections from the
// call on, also when it returns an error, and closes them. It returns
// [net.ErrClosed] when the relay has been stopped. A connection with TLS comes from
// [Server] or [Client], and its handshake is done.
func (r *Relay) Join(p Pair) (*Session, error) {
	if !handshakeDone(p.Client) || !handshakeDone(p.Upstream) {
		below(p.Client).Close()
		below(p.Upstream).Close()
		return nil, errNoHandshake
	}
	return r.join(p)
}

// Listen takes ln over, also when it returns an error, and returns a listener in
// its place whose connections are cheap to join: they wait in the loops from the
// start. A listener of another kind than TCP is returned as it is. The
// connections are for one goroutine at a time; a deadline that is set does not
// disturb a call under way. All of this works while Run does.
func (r *Relay) Listen(ln net.Listener) (net.Listener, error) { return r.listen(ln) }

// Dial connects to an upstream, before the deadline, for a session with the
// client connection beside it; nil if the client is not known yet. What
// [Relay.Listen] says of connections holds for this one.
func (r *Relay) Dial(beside net.Conn, address netip.AddrPort, deadline time.Time) (net.Conn, error) {
	return r.dial(beside, address, deadline)
}

// After calls f once, d later or, on a busy machine, somewhat after that. f must not
// block: a loop calls it. So, unlike with package time, no goroutine is woken, and it
// costs the sessions hardly anything; and what is due when the relay has been stopped
// is not called. The portable variant has no loops: there package time calls it, also
// after the stop.
func (r *Relay) After(d time.Duration, f func()) { r.after(d, f) }

// CloseAll asks for the end of every session with a Close frame; see
// [Session.Close].
func (r *Relay) CloseAll(code uint16, reason string) { r.closeAll(code, reason) }

// Session is a handle on a joined pair.
type Session struct{ s *session }

// Close asks for the end of the session: the client gets a Close frame with
// code (one that [wsframe.CodeAllowed] allows) and reason as soon as no frame
// towards it is half sent, its answer goes on to the upstream, and after the
// close wait both connections end in any case. It does not wait. A session that
// is already closing is left alone.
func (s *Session) Close(code uint16, reason string) { s.s.post(code, reason, func() {}) }

// CloseThen is Close, and calls begun once, when the Close frame has been sent,
// or has to wait for the end of a frame, or is not needed any more. A loop that
// is busy makes it wait. begun shall not block; the caller's goroutine or any
// other may call it.
func (s *Session) CloseThen(code uint16, reason string, begun func()) { s.s.post(code, reason, begun) }

func newSession(r *Relay, p Pair) *session {
	s := &session{relay: r, tag: p.Tag, ended: p.Ended, nonce: newNonce(), parting: p.Parting}
	o := r.options.Load()
	s.legs[client].scan = wsframe.NewScanner(true, p.RSV, &o.sizes)
	s.legs[upstream].scan = wsframe.NewScanner(false, p.RSV, &o.sizes)
	now := r.now()
	if !o.quotas.none() {
		s.measure(&o.quotas, now)
	}
	s.began, s.active = now, now
	s.legs[client].heard, s.legs[upstream].heard = now, now
	return s
}

// now is the time since the relay was made, in milliseconds.
func (r *Relay) now() int64 { return int64(time.Since(r.began) / time.Millisecond) }
