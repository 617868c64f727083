package trial

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Siege describes attacks with slow connections.
type Siege struct {
	Sessions int
	Every    time.Duration // between two messages of a session
	Size     int           // of a message in bytes
	Slow     int           // connections of an attack
	Rate     int           // of them opened in a second
	Deadline time.Duration // for a client's head
	Rounds   int
	// Brief leaves out two of the attacks on the listener without TLS, and Only, if set, those whose name it does not match.
	Brief bool
	Only  *regexp.Regexp
}

// slowModes are those of slowhttptest: a head that does not end, a body that does not, and answers that are hardly read.
var slowModes = []struct {
	name string
	args []string
}{
	{"slow header", []string{"-H"}},
	{"slow body", []string{"-B", "-s", "8192"}},
	{"slow read", []string{"-X", "-w", "1", "-y", "4", "-n", "1", "-z", "4", "-k", "3"}},
}

const (
	// lookEvery is how often the connections are looked at.
	lookEvery = 250 * time.Millisecond
	// firstLooks is how often they are looked at before an attack. The kernel may leave one out when others come or go meanwhile; a
	// session that nobody knows of would be taken for a slow one.
	firstLooks = 3
	// afterwards is how long an interval goes on when all slow connections should be gone.
	afterwards = 1500 * time.Millisecond
	// slowWarmup is the time in which sessions that were just opened come to rest.
	slowWarmup = 500 * time.Millisecond
)

// window is long enough for all of an attack: the last connection may be opened late, and has its deadline before it.
func (g Siege) window() time.Duration {
	return time.Duration(g.Slow)*time.Second/time.Duration(g.Rate) + g.Deadline + afterwards
}

// late is how long the end of an attack is waited for that had to wait for its turn on a busy machine.
func (g Siege) late() time.Duration { return 2*g.Deadline + 2*afterwards }

// RunSlow lets sessions send at a fixed pace, for a time beside an attack and for a time without, on a listener without TLS and on one
// with it.
func RunSlow(ctx context.Context, o Options, g Siege) (Slow, error) {
	res := Slow{
		Sessions: g.Sessions, PerSecond: float64(g.Sessions) / g.Every.Seconds(), Size: g.Size,
		Slow: g.Slow, SlowRate: g.Rate, Deadline: g.Deadline.Seconds(),
	}
	a, err := authority.New(filepath.Join(o.Dir, "slow-authority"))
	if err != nil {
		return res, err
	}
	err = onStage(o, "slow", func(s *stage) error {
		if err := g.prepare(ctx, s, a); err != nil {
			return err
		}
		for _, secure := range []bool{false, true} {
			for i, mode := range slowModes {
				attack := SlowAttack{Mode: mode.name, TLS: secure}
				if g.Brief && !secure && i > 0 || g.Only != nil && !g.Only.MatchString(attack.Name()) {
					continue
				}
				for round := range g.Rounds {
					s.progress("  %s: round %d of %d", attack.Name(), round+1, g.Rounds)
					r, err := g.round(ctx, s, a, secure, mode.args, round%2 == 1)
					if err != nil {
						return err
					}
					attack.Rounds = append(attack.Rounds, r)
				}
				attack.sumUp()
				res.Attacks = append(res.Attacks, attack)
			}
		}
		if len(res.Attacks) == 0 {
			return fmt.Errorf("%q matches no attack's name", g.Only)
		}
		return s.alive()
	})
	return res, err
}

// prepare starts a router with a listener of each kind.
func (g Siege) prepare(ctx context.Context, s *stage, a *authority.Authority) error {
	u, err := s.upstream(ctx, "primary")
	if err != nil {
		return err
	}
	config := strings.Replace(everywhere, `listen: "127.0.0.1:0"`,
		`listen: [{address: "127.0.0.1:0"}, {address: "127.0.0.1:0", `+peer.ListenerTLS(a)+`}]`, 1) +
		asUsual.String() + "upstreams:\n" + u.entry("") + fmt.Sprintf("limits: {header_timeout: %v}\n", g.Deadline)
	return s.serve(ctx, config, 2, "primary")
}

// round measures the same sessions without an attack and with one; the attack may come first.
func (g Siege) round(ctx context.Context, s *stage, a *authority.Authority, secure bool, args []string, attackFirst bool) (SlowRound, error) {
	var res SlowRound
	o := load.Options{Target: s.at[0], Connections: g.Sessions, Size: g.Size, Loops: s.Loops, Every: g.Every, Warmup: slowWarmup, Duration: g.window()}
	url := "http://" + s.at[0] + "/"
	if secure {
		o.Target, o.TLS, url = s.at[1], a.Clients(authority.Full).Config(), "https://"+s.at[1]+"/"
	}
	at, err := netip.ParseAddrPort(o.Target)
	if err != nil {
		return res, fmt.Errorf("the router's address: %w", err)
	}
	order := [...]*SlowSample{&res.Quiet, &res.Attack}
	if attackFirst {
		order[0], order[1] = order[1], order[0]
	}
	var (
		under int // place in the order
		w     *watch
	)
	defer func() { _ = w.stop() }() // after an error there is another one
	o.Begin = func() (err error) {
		sample := order[under]
		if sample.Refused, err = refusals(ctx, s); err != nil {
			return err
		}
		if err = procstat.ResetPeak(s.router.PID()); err != nil {
			return err
		}
		if sample.RSS, err = procstat.ReadPeak(s.router.PID()); err != nil {
			return err
		}
		attack := args
		if sample == &res.Quiet {
			attack = nil
		}
		w, err = g.watch(ctx, int(at.Port()), attack, url)
		return err
	}
	o.End = func() (err error) {
		sample := order[under]
		under++
		if sample.Peak, err = procstat.ReadPeak(s.router.PID()); err != nil {
			return err
		}
		if err = w.finish(); err != nil {
			return err
		}
		w.seen.sumUp(sample, lookEvery)
		refused, err := refusals(ctx, s)
		sample.Refused = refused - sample.Refused
		return err
	}
	got, err := load.Series(ctx, o, len(order))
	if err != nil {
		return res, fmt.Errorf("measure beside slow connections: %w", err)
	}
	for i, sample := range order {
		sample.Latency, sample.PerSecond = got[i].Latency, got[i].PerSecond
	}
	res.Errors = got[0].Errors.Total()
	return res, nil
}

// refusals is how many clients the router has refused.
func refusals(ctx context.Context, s *stage) (int, error) {
	status, err := s.door.Status(ctx)
	return status.Handshakes.Refused, err
}

// watch is an attack, if there is one, and the looks at what becomes of it. Without an attack it looks all the same: that costs something.
type watch struct {
	tool   *peer.Tool
	cancel context.CancelFunc
	leave  chan struct{} // closed when only those that are there still matter
	ended  chan struct{}
	seen   comings
	err    error // of the looks; read after ended
}

// watch starts both. The caller must call stop.
func (g Siege) watch(ctx context.Context, port int, args []string, url string) (*watch, error) {
	w := &watch{leave: make(chan struct{}), ended: make(chan struct{}), seen: comings{known: make(map[uint32]bool), lives: make(map[uint32]*lifetime)}}
	for range firstLooks {
		before, err := procstat.Sockets(port)
		if err != nil {
			return nil, err
		}
		for _, s := range before {
			w.seen.known[s.Inode] = true
		}
	}
	if args != nil {
		args = append([]string{
			"-c", fmt.Sprint(g.Slow), "-r", fmt.Sprint(g.Rate), "-i", "1", "-x", "24", "-p", "3", "-v", "0",
			"-l", fmt.Sprint(int((g.window() + g.late()).Seconds()) + 1), "-u", url,
		}, args...)
		var err error
		if w.tool, err = peer.StartTool(peer.SlowHTTPTest, args...); err != nil {
			return nil, err
		}
	}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		w.err = w.look(ctx, port, g.late())
	}()
	return w, nil
}

// look looks until ctx ends, or until none is there any more, for a time at most, after it was told to leave.
func (w *watch) look(ctx context.Context, port int, most time.Duration) error {
	begun := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	leave, until := w.leave, time.Duration(0)
	for {
		select {
		case <-tick.C:
		case <-leave:
			leave, until = nil, time.Since(begun)+most
		case <-ctx.Done():
			return nil
		}
		sockets, err := procstat.Sockets(port)
		if err != nil {
			return err
		}
		var inodes []uint32
		for _, s := range sockets {
			if s.Inode != 0 {
				inodes = append(inodes, s.Inode)
			}
		}
		now := time.Since(begun)
		if there := w.seen.look(now, inodes); until > 0 && (there == 0 || now > until) {
			return nil
		}
	}
}

// finish lets the attacker do nothing more, waits until none of the slow connections is there any more, and ends both. The error is that of
// the looks.
func (w *watch) finish() error {
	if w.tool != nil {
		w.tool.Freeze()
	}
	close(w.leave)
	<-w.ended
	return w.stop()
}

// stop ends both. The error is that of the looks. It may be called again, and for none.
func (w *watch) stop() error {
	if w == nil {
		return nil
	}
	w.cancel()
	<-w.ended
	if w.tool != nil {
		w.tool.Stop()
	}
	return w.err
}
