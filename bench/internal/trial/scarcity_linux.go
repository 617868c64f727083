package trial

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Want describes a scarcity of descriptors.
type Want struct {
	Limit  int           // of the router's descriptors; 0 is that of this process
	Before int           // sessions that are open before the rush
	Rush   int           // clients that come then
	Silent int           // connections that say nothing
	Full   time.Duration // how long others try while it is full, and how long the silent ones stay
}

const (
	// triedWhenFull is how many handshakes per second there are while it is full.
	triedWhenFull = 20
	// lookAtDoor is how often the admin address is asked.
	lookAtDoor = 50 * time.Millisecond
	// retrySession is the pause between two tries to get a session again.
	retrySession = 10 * time.Millisecond
)

// RunScarcity lets more clients come than the router has descriptors for, and then go.
func RunScarcity(ctx context.Context, o Options, n Want) (Scarcity, error) {
	res := Scarcity{Limit: n.Limit, Before: n.Before, Rushed: n.Rush, Silent: n.Silent, Recovered: -1}
	err := onStage(o, fmt.Sprintf("descriptors-%d", n.Limit), func(s *stage) error {
		s.files = n.Limit
		u, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		config := everywhere + asUsual.String() + "upstreams:\n" + u.entry("") + "limits: {header_timeout: 5s}\n"
		if err := s.serve(ctx, config, 1, "primary"); err != nil {
			return err
		}
		settled, err := s.gather(ctx, crowd.Options{Clients: n.Before, Active: n.Before / 10}, "primary")
		if err != nil {
			return err
		}
		w := s.attend(ctx)
		defer w.stop()
		if err := n.fill(ctx, s, &res); err != nil {
			return err
		}
		w.stop()
		if w.err != nil {
			return w.err
		}
		res.MostFiles, res.Looks, res.Slowest, res.Failed, res.Doubts = w.most, w.looks, milliseconds(w.slowest), w.failed, w.doubts
		status, err := s.door.Status(ctx)
		if err != nil {
			return err
		}
		if up, ok := status.Upstream("primary"); ok {
			res.Trips = up.Trips
		}
		settled.Disperse()
		res.Damage = history(settled.Events()).damage()
		return s.alive()
	})
	return res, err
}

// fill is what happens while the router is watched.
func (n Want) fill(ctx context.Context, s *stage, res *Scarcity) error {
	s.progress("  %d clients come", n.Rush)
	rush, err := crowd.Rush(ctx, crowd.Options{Target: s.at[0], Clients: n.Rush, Loops: s.Loops, Patience: time.Minute})
	if err != nil {
		return err
	}
	defer rush.Disperse()
	res.count(history(rush.Events()))

	s.progress("  others come one by one for %v", n.Full)
	others := sample(ctx, s.at[0], triedWhenFull)
	defer others.stop()
	if err := pause(ctx, n.Full); err != nil {
		return err
	}
	others.stop()
	res.Tried, res.Turned = others.tried(), others.status[503]
	if res.Odd = res.Tried - res.Turned; res.Odd > 0 && res.First == "" {
		res.First = fmt.Sprintf("%d accepted, answers %v", others.well, others.status)
	}

	s.progress("  %d connect and say nothing", n.Silent)
	if err := silence(ctx, s.at[0], n.Silent, n.Full); err != nil {
		return err
	}
	rush.Disperse()
	for gone := time.Now(); time.Since(gone) < stragglers; {
		if _, err := handshake(s.at[0]); err == nil {
			res.Recovered = milliseconds(time.Since(gone))
			break
		}
		if err := pause(ctx, retrySession); err != nil {
			return err
		}
	}
	return nil
}

// silence opens connections, leaves them alone for a while, and ends them.
func silence(ctx context.Context, addr string, count int, stay time.Duration) error {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	dialer := net.Dialer{Timeout: handshakeTimeout}
	for range count {
		c, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("connect and say nothing: %w", err)
		}
		open = append(open, c)
	}
	return pause(ctx, stay)
}

// attendant asks the admin address again and again, and counts the router's descriptors.
type attendant struct {
	cancel  context.CancelFunc
	ended   chan struct{}
	most    int // descriptors
	looks   int
	slowest time.Duration // answer
	failed  int           // no answer
	doubts  int           // answers that call the upstream unhealthy
	err     error         // why it could not go on
}

// attend starts an attendant. The caller must call stop.
func (s *stage) attend(ctx context.Context) *attendant {
	ctx, cancel := context.WithCancel(ctx)
	a := &attendant{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		tick := time.NewTicker(lookAtDoor)
		defer tick.Stop()
		for a.err == nil {
			a.look(ctx, s.door, s.router.PID())
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return a
}

func (a *attendant) look(ctx context.Context, door operator.Door, pid int) {
	files, err := procstat.Descriptors(pid)
	if err != nil {
		a.err = err
		return
	}
	a.most = max(a.most, files)
	asked := time.Now()
	status, err := door.Status(ctx)
	if ctx.Err() != nil {
		return
	}
	a.looks++
	a.slowest = max(a.slowest, time.Since(asked))
	switch {
	case err != nil:
		a.failed++
	case !status.Healthy("primary"):
		a.doubts++
	}
}

// stop ends the attendant; what it has seen may be read then. It may be called again.
func (a *attendant) stop() {
	a.cancel()
	<-a.ended
}
