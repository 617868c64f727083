package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

// Options are what all trials need. All fields but Progress are required.
type Options struct {
	// Pointsman is the path of the binary.
	Pointsman string
	// Dir is an existing directory for configuration files.
	Dir string
	// Loops are the threads of the clients and of each upstream.
	Loops int
	// Progress, if set, is called with a line for the user.
	Progress func(string)
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// stage is what stands ready for a trial. What it has started it ends.
type stage struct {
	Options
	file      string // configuration
	files     int    // that the router may open, 0 for as many as this process
	processes []*peer.Process
	crowds    []*crowd.Crowd
	router    *peer.Process
	at        []string // the router's listeners
	door      operator.Door
}

// onStage runs script and ends all that it has started. An error tells the last words of the router.
func onStage(o Options, name string, script func(*stage) error) error {
	s := &stage{Options: o, file: filepath.Join(o.Dir, "trial-"+name+".yaml")}
	err := script(s)
	if err != nil && s.router != nil {
		err = fmt.Errorf("%w; the router's last lines: %s", err, s.router.Said())
	}
	for _, c := range s.crowds {
		c.Disperse()
	}
	for i := len(s.processes) - 1; i >= 0; i-- { // the router before its upstreams
		s.processes[i].Stop()
	}
	return err
}

// upstream is an echo that can go and come back at the same address.
type upstream struct {
	name, addr string
	yields     bool                 // runs only when nobody else wants a processor
	secure     *authority.Authority // it speaks TLS, if not nil
	way        string               // the address at which the router finds it, if that is another
	process    *peer.Process        // nil while it is not there
}

// place finds an address for an upstream that is not started yet.
func (s *stage) place(name string) (*upstream, error) {
	addr, err := peer.SteadyAddr()
	if err != nil {
		return nil, err
	}
	return &upstream{name: name, addr: addr}, nil
}

// upstream starts an upstream.
func (s *stage) upstream(ctx context.Context, name string) (*upstream, error) {
	u, err := s.place(name)
	if err != nil {
		return nil, err
	}
	return u, s.start(ctx, u)
}

// start lets an upstream come, or come back.
func (s *stage) start(ctx context.Context, u *upstream) error {
	e := peer.Echo{Listen: u.addr, Loops: s.Loops, Name: u.name, Yields: u.yields}
	if u.secure != nil {
		e.Cert, e.Key = u.secure.CertFile, u.secure.KeyFile
	}
	p, _, err := peer.StartEcho(ctx, e)
	if err != nil {
		return err
	}
	u.process = p
	s.processes = append(s.processes, p)
	return nil
}

// kill ends an upstream with SIGKILL.
func (u *upstream) kill() error {
	p := u.process
	u.process = nil
	return p.Kill()
}

// sessions asks an upstream how many sessions it has.
func (u *upstream) sessions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+u.addr+"/api/sessions", nil)
	if err != nil {
		return 0, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("count sessions of %s: %w", u.name, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, fmt.Errorf("count sessions of %s: %w", u.name, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(body)))
}

// entry is the upstream as a line of the configuration's list, with more keys such as "role: secondary".
func (u *upstream) entry(more string) string {
	if more != "" {
		more = ", " + more
	}
	scheme := "ws"
	if u.secure != nil {
		scheme = "wss"
		more = ", " + peer.UpstreamTLS(u.secure) + more
	}
	return fmt.Sprintf("  - {name: %s, url: \"%s://%s\"%s}\n", u.name, scheme, cmp.Or(u.way, u.addr), more)
}

// write replaces the configuration, at one moment.
func (s *stage) write(text string) error {
	next := s.file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(next, s.file); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// serve starts the router and returns when it believes in the upstreams named.
func (s *stage) serve(ctx context.Context, config string, listeners int, healthy ...string) error {
	if err := s.write(config); err != nil {
		return err
	}
	p, at, admin, err := peer.StartLimitedRouter(ctx, s.Pointsman, s.files, listeners, "--config", s.file)
	if err != nil {
		return err
	}
	s.router, s.at, s.door = p, at, operator.Door(admin)
	s.processes = append(s.processes, p)
	_, err = s.door.Await(ctx, fmt.Sprintf("%v are healthy", healthy), func(t operator.Status) bool { return t.Healthy(healthy...) })
	return err
}

// gather opens the sessions of a crowd through the router; they must all be on the upstreams named.
func (s *stage) gather(ctx context.Context, o crowd.Options, where ...string) (*crowd.Crowd, error) {
	o.Target, o.Loops = s.at[0], s.Loops
	s.progress("  opening %d sessions", o.Clients)
	c, err := crowd.Gather(ctx, o)
	if err != nil {
		return nil, err
	}
	s.crowds = append(s.crowds, c)
	return c, s.await(ctx, c, time.Minute, "all sessions are where they should be", func(t *crowd.Tally) bool {
		n := 0
		for _, name := range where {
			n += t.At[name]
		}
		return n == o.Clients
	})
}

// await waits until the clients are as wanted, for a time at most. The error says what was waited for, and how far it got.
func (s *stage) await(ctx context.Context, c *crowd.Crowd, most time.Duration, what string, met func(*crowd.Tally) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not within %v", most))
	defer cancel()
	var last string
	err := c.Await(ctx, func(t *crowd.Tally) bool {
		ok := met(t)
		if !ok {
			last = fmt.Sprintf("%d open, %v, %v", t.Open, t.At, t.Of)
		}
		return ok
	})
	if err != nil {
		return fmt.Errorf("wait until %s: %w (%s)", what, err, last)
	}
	return s.alive()
}

// alive is an error if the router has ended by itself.
func (s *stage) alive() error {
	if err := s.router.Alive(); err != nil {
		return errors.Join(errors.New("the router did not stay"), err)
	}
	return nil
}

// pause waits for d, or for the end of ctx, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// everywhere is the part of the configuration that all trials have in common; the figures do not move with the defaults.
const everywhere = `listen: "127.0.0.1:0"
admin: "127.0.0.1:0"
failover: {attempts: 3, connect_timeout: 2s, handshake_timeout: 5s}
log: {level: info}
`

// probing is how upstreams are probed.
type probing struct{ interval, recheck, timeout time.Duration }

// asUsual are the health settings that the manual names as defaults, and sooner ones that find out the same in less time.
var (
	asUsual = probing{2 * time.Second, 500 * time.Millisecond, time.Second}
	sooner  = probing{500 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}
)

// String is the line of the configuration.
func (p probing) String() string {
	return fmt.Sprintf("health: {probe: http, path: /api/health, interval: %v, recheck: %v, timeout: %v, jitter: 0.1, rise: 2, fall: 3}\n",
		p.interval, p.recheck, p.timeout)
}
