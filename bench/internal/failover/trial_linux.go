package failover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

const (
	// handshakePatience is the client's own time-out: longer than anything that pointsman waits for.
	handshakePatience = 20 * time.Second
	echoPatience      = 5 * time.Second
)

// Options describe a trial. All fields are required.
type Options struct {
	// Pointsman is the path of the binary.
	Pointsman string
	// Dir is an existing directory for the configuration file.
	Dir    string
	Fault  Fault
	Health Health
	// Rate is the number of new sessions per second, 1 to 1,000.
	Rate int
	// Duration is how long sessions are begun, at most 1 min, and After how long before the fault.
	Duration, After time.Duration
}

func (o Options) check() error {
	switch {
	case o.Fault != Kill && o.Fault != Stop:
		return fmt.Errorf("fault %q: want %q or %q", o.Fault, Kill, Stop)
	case o.Rate < 1 || o.Rate > 1000:
		return fmt.Errorf("%d sessions per second, want 1 to 1000", o.Rate)
	case o.After <= 0 || o.Duration > time.Minute:
		return errors.New("want a fault after more than 0s and a duration of at most 1m")
	case o.After+o.Health.Detection() >= o.Duration:
		return fmt.Errorf("fault after %v and detection within %v leave nothing to measure of %v", o.After, o.Health.Detection(), o.Duration)
	}
	return nil
}

// Run makes one trial.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, fmt.Errorf("failover options: %w", err)
	}
	primary, primaryAddr, err := peer.StartUpstream(ctx, o.Pointsman, "primary")
	if err != nil {
		return Result{}, err
	}
	defer primary.Stop()
	secondary, secondaryAddr, err := peer.StartUpstream(ctx, o.Pointsman, "secondary")
	if err != nil {
		return Result{}, err
	}
	defer secondary.Stop()
	file := filepath.Join(o.Dir, "failover-"+string(o.Fault)+".yaml")
	if err := os.WriteFile(file, []byte(config(o.Health, primaryAddr, secondaryAddr)), 0o644); err != nil {
		return Result{}, fmt.Errorf("write configuration: %w", err)
	}
	router, err := peer.StartPointsman(ctx, o.Pointsman, "--config", file)
	if err != nil {
		return Result{}, err
	}
	defer router.Stop()
	// Readiness needs one healthy upstream; the trial needs both.
	door := operator.Door(router.Admin)
	if _, err := door.Await(ctx, "both upstreams are healthy", func(s operator.Status) bool { return s.Healthy("primary", "secondary") }); err != nil {
		return Result{}, err
	}

	t := trial{url: "ws://" + router.Addr + "/", begun: time.Now()}
	faulted, err := t.run(ctx, o, primary)
	if err != nil {
		return Result{}, err
	}
	if err := errors.Join(router.Process.Alive(), secondary.Alive()); err != nil {
		return Result{}, err
	}
	res := Result{Fault: o.Fault, Health: o.Health, Detection: milliseconds(o.Health.Detection())}
	res.tally(t.attempts, faulted)
	st, err := door.Status(ctx)
	if err != nil {
		return Result{}, err
	}
	if u, ok := st.Upstream("secondary"); ok {
		res.SecondarySessions = u.Totals.Sessions
	}
	return res, nil
}

// config names every setting that the figures depend on, so that they do not move with the defaults.
func config(h Health, primary, secondary string) string {
	return fmt.Sprintf(`listen: "127.0.0.1:0"
admin: "127.0.0.1:0"
upstreams:
  - {name: primary, url: "ws://%s", role: primary}
  - {name: secondary, url: "ws://%s", role: secondary}
health: {probe: http, path: /api/health, interval: %v, recheck: %v, timeout: %v, jitter: %v, rise: 2, fall: %d}
failover: {attempts: 3, connect_timeout: 2s, handshake_timeout: 5s}
log: {level: warn}
`, primary, secondary, h.Interval, h.Recheck, h.Timeout, h.Jitter, h.Fall)
}

// trial is the clients' side of a run.
type trial struct {
	url      string
	begun    time.Time
	attempts []attempt // each written by its own session's goroutine only
}

// run begins sessions on schedule, lets the fault happen in time, and waits for all sessions. It returns when the fault
// happened.
func (t *trial) run(ctx context.Context, o Options, primary *peer.Process) (faulted time.Duration, err error) {
	sig := syscall.SIGKILL
	if o.Fault == Stop {
		sig = syscall.SIGSTOP
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	t.attempts = make([]attempt, int(o.Duration.Seconds()*float64(o.Rate)))
	gap := time.Second / time.Duration(o.Rate)
	var wg sync.WaitGroup
	defer wg.Wait() // the sessions' own time-outs bound it
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range t.attempts {
		timer.Reset(time.Until(t.begun.Add(time.Duration(i) * gap)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if faulted == 0 && time.Since(t.begun) >= o.After {
			if err := primary.Signal(sig); err != nil {
				return 0, err
			}
			faulted = time.Since(t.begun)
		}
		wg.Go(func() { t.attempts[i] = t.session(ctx, client, i) })
	}
	return faulted, nil
}

// session is the life of one client.
func (t *trial) session(ctx context.Context, client *http.Client, number int) attempt {
	a := attempt{begun: time.Since(t.begun)}
	dial, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	c, _, err := websocket.Dial(dial, t.url, &websocket.DialOptions{HTTPClient: client})
	a.took = time.Since(t.begun) - a.begun
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = c.CloseNow() }()
	exchange, cancel := context.WithTimeout(ctx, echoPatience)
	defer cancel()
	want := fmt.Appendf(nil, "session %d", number)
	if err := c.Write(exchange, websocket.MessageText, want); err != nil {
		a.cut = fmt.Errorf("send: %w", err)
		return a
	}
	switch _, got, err := c.Read(exchange); {
	case err != nil:
		a.cut = fmt.Errorf("receive after %v: %w", time.Since(t.begun)-a.begun-a.took, err)
	case !bytes.Equal(got, want):
		a.cut = fmt.Errorf("received %q for %q", got, want)
	}
	_ = c.Close(websocket.StatusNormalClosure, "") // how it ends is not what is measured
	return a
}
