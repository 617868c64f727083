package trial

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Siege describes attacks with slow connections.
type Siege struct {
	Candidates []string // names of package peer, without peer.Direct
	Sessions   int
	Every      time.Duration // between two messages of a session
	Size       int           // of a message in bytes
	Slow       int           // connections of an attack
	Rate       int           // of them opened in a second
	Deadline   time.Duration // for a client's head
	Rounds     int
	// Brief leaves out two of the attacks without TLS, and with TLS all candidates but the first; and Only, if set, those whose name it does not match.
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
)

// seconds is long enough for all of an attack: the last connection may be opened late, and has its deadline before it.
func (g Siege) seconds() int {
	window := time.Duration(g.Slow)*time.Second/time.Duration(g.Rate) + g.Deadline + afterwards
	return int((window + time.Second - 1) / time.Second)
}

// late is how long the end of an attack is waited for that had to wait for its turn on a busy machine.
func (g Siege) late() time.Duration { return 2*g.Deadline + 2*afterwards }

// ordinary makes slowhttptest a client that asks and takes the answer. To come and to go is the same work for the router, its handshake of TLS
// included: what an attack adds to that is what being slow does.
var ordinary = []string{"-X", "-w", "65535", "-y", "65535", "-n", "1", "-z", "65535", "-k", "1"}

// RunSlow lets sessions send at a fixed pace, for a time alone, for a time beside ordinary clients, and for a time beside an attack,
// through each candidate in turn, with and without TLS.
func RunSlow(ctx context.Context, o Options, g Siege) (Slow, error) {
	res := Slow{
		Sessions: g.Sessions, PerSecond: float64(g.Sessions) / g.Every.Seconds(), Size: g.Size,
		Slow: g.Slow, SlowRate: g.Rate, Deadline: g.Deadline.Seconds(),
	}
	a, err := authority.New(filepath.Join(o.Dir, "slow-authority"))
	if err != nil {
		return res, err
	}
	for _, clients := range []peer.TLS{{}, {Authority: a, Clients: true}} {
		attacks, err := g.attacks(ctx, o, clients)
		if err != nil {
			return res, err
		}
		res.Attacks = append(res.Attacks, attacks...)
	}
	if len(res.Attacks) == 0 {
		return res, fmt.Errorf("%q matches no attack's name", g.Only)
	}
	return res, nil
}

// attacks makes all attacks on candidates with or without TLS.
func (g Siege) attacks(ctx context.Context, o Options, clients peer.TLS) (all []SlowAttack, err error) {
	err = onStage(o, "slow", func(s *stage) error {
		u, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		names := g.Candidates
		if g.Brief && clients.Clients {
			names = names[:1]
		}
		var victims []*peer.Candidate
		for _, name := range names {
			c, err := peer.Start(ctx, name, peer.Stand{
				Dir: filepath.Join(o.Dir, "slow-"+name), Upstream: u.addr, Pointsman: o.Pointsman, TLS: clients, Deadline: g.Deadline,
			})
			if err != nil {
				return err
			}
			s.processes = append(s.processes, c.Process)
			victims = append(victims, c)
		}
		for i, mode := range slowModes {
			attack := SlowAttack{Mode: mode.name, TLS: clients.Clients}
			if g.Brief && !clients.Clients && i > 0 || g.Only != nil && !g.Only.MatchString(attack.Name()) {
				continue
			}
			rounds := make([][]SlowRound, len(victims))
			for round := range g.Rounds {
				for turn := range victims {
					i := (turn + round) % len(victims)
					v := victims[i]
					s.progress("  %s: round %d of %d: %s", attack.Name(), round+1, g.Rounds, v.Name)
					r, err := g.round(ctx, s, v, clients, mode.args, round)
					if err != nil {
						return v.Blame(err)
					}
					rounds[i] = append(rounds[i], r)
				}
			}
			for i, v := range victims {
				attack.Candidate, attack.Rounds = v.Name, rounds[i]
				attack.sumUp()
				all = append(all, attack)
			}
		}
		return nil
	})
	return all, err
}

// round measures the same sessions in each of the three ways. The next round begins with another one.
func (g Siege) round(ctx context.Context, s *stage, v *peer.Candidate, clients peer.TLS, args []string, number int) (SlowRound, error) {
	var res SlowRound
	o := load.Options{Target: v.Addr, Connections: g.Sessions, Size: g.Size, Loops: s.Loops, Every: g.Every, Duration: time.Second}
	url := "http://" + v.Addr + "/"
	if clients.Clients {
		o.TLS, url = clients.Authority.Clients(authority.Full).Config(), "https://"+v.Addr+"/"
	}
	at, err := netip.ParseAddrPort(v.Addr)
	if err != nil {
		return res, fmt.Errorf("address: %w", err)
	}
	order := []*SlowSample{&res.Alone, &res.Ordinary, &res.Attack}
	others := [][]string{nil, ordinary, args}
	first := number % len(order)
	order, others = slices.Concat(order[first:], order[:first]), slices.Concat(others[first:], others[:first])
	var (
		seconds = g.seconds()
		second  int // the one that is measured
		w       *watch
	)
	defer func() { _ = w.stop() }() // after an error there is another one
	o.Begin = func() (err error) {
		if second%seconds == 0 {
			i := second / seconds
			w, err = g.begin(ctx, v, order[i], int(at.Port()), others[i], url)
		}
		return err
	}
	o.End = func() error {
		if second++; second%seconds > 0 {
			return nil
		}
		return g.end(ctx, v, order[second/seconds-1], w)
	}
	got, err := load.Series(ctx, o, len(order)*seconds)
	if err != nil {
		return res, fmt.Errorf("measure beside slow connections: %w", err)
	}
	for i, r := range got {
		sample := order[i/seconds]
		sample.Latency = append(sample.Latency, r.Latency)
		sample.PerSecond += r.PerSecond / float64(seconds)
	}
	for _, sample := range order {
		sample.sumUp()
	}
	res.Errors = got[0].Errors.Total()
	return res, nil
}

// begin looks at the candidate before a sample, and lets others come as args say, if at all. The caller must stop the watch.
func (g Siege) begin(ctx context.Context, v *peer.Candidate, sample *SlowSample, port int, args []string, url string) (w *watch, err error) {
	if sample.Refused, err = refusals(ctx, v); err != nil {
		return nil, err
	}
	if err = procstat.ResetPeak(v.Process.PID()); err != nil {
		return nil, err
	}
	if sample.RSS, err = procstat.ReadPeak(v.Process.PID()); err != nil {
		return nil, err
	}
	return g.watch(ctx, port, args, url)
}

// end ends the attack, and looks at what it has left.
func (g Siege) end(ctx context.Context, v *peer.Candidate, sample *SlowSample, w *watch) (err error) {
	if sample.Peak, err = procstat.ReadPeak(v.Process.PID()); err != nil {
		return err
	}
	if err = w.finish(); err != nil {
		return err
	}
	w.seen.sumUp(sample, lookEvery)
	refused, err := refusals(ctx, v)
	sample.Refused = refused - sample.Refused
	return err
}

// refusals is how many clients pointsman has refused. The others do not tell.
func refusals(ctx context.Context, v *peer.Candidate) (int, error) {
	if v.Admin == "" {
		return 0, nil
	}
	status, err := operator.Door(v.Admin).Status(ctx)
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
			"-l", fmt.Sprint(g.seconds() + int(g.late().Seconds()) + 1), "-u", url,
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
