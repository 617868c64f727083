package health

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("connection refused")

// rig is a running checker in a synctest bubble, with an upstream that is a variable.
type rig struct {
	*Checker
	t     *testing.T
	begun time.Time
	stop  func() // ends Run; safe to call again

	mu      sync.Mutex
	answer  func(context.Context) error
	probes  []time.Duration // when each probe began, since begun
	changes []bool
}

// start runs a checker until the test ends. Options without jitter get none, so that times are exact.
func start(t *testing.T, answer error, o Options) *rig {
	t.Helper()
	r := &rig{t: t, begun: time.Now()}
	r.say(answer)
	if o.Jitter == 0 {
		o.Jitter = -1
	}
	o.Probe = func(ctx context.Context) error {
		r.mu.Lock()
		r.probes = append(r.probes, time.Since(r.begun))
		answer := r.answer
		r.mu.Unlock()
		return answer(ctx)
	}
	o.OnChange = func(healthy bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changes = append(r.changes, healthy)
	}
	c, err := New("east", o)
	if err != nil {
		t.Fatal(err)
	}
	r.Checker = c
	r.run()
	t.Cleanup(func() { r.stop() })
	synctest.Wait()
	return r
}

// run runs the checker until stop.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	r.stop = func() { cancel(); <-done }
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// logger writes plain lines without time into w.
func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// say sets what probes find from now on.
func (r *rig) say(err error) { r.do(func(context.Context) error { return err }) }

func (r *rig) do(answer func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// pass lets virtual time go by.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) handshake(err error) {
	r.Begin().Done(err)
	synctest.Wait()
}

func (r *rig) want(state State, healthy bool) {
	r.t.Helper()
	s := r.Status()
	if s.State != state || s.Healthy != healthy || r.Healthy() != healthy {
		r.t.Fatalf("after %v: state %v, healthy %v (fast path %v); want %v, %v; reason: %s",
			time.Since(r.begun), s.State, s.Healthy, r.Healthy(), state, healthy, s.Reason)
	}
}

func (r *rig) wantShare(want float64) {
	r.t.Helper()
	if got := r.Share(); got != want || r.Held() != (want == 0) {
		r.t.Fatalf("after %v: share %v, held %v; want %v", time.Since(r.begun), got, r.Held(), want)
	}
}

// until lets time go by in small steps until the upstream is healthy, or not.
func (r *rig) until(healthy bool) {
	r.t.Helper()
	for range 100_000 {
		if r.Healthy() == healthy {
			return
		}
		r.pass(10 * ms)
	}
	r.t.Fatalf("healthy is still %v", !healthy)
}

// relapse takes the upstream down with bad probes and lets it recover.
func (r *rig) relapse() {
	r.t.Helper()
	r.say(errDown)
	r.until(false)
	r.say(nil)
	r.until(true)
}

func (r *rig) wantChanges(want ...bool) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.changes, want) {
		r.t.Fatalf("OnChange got %v, want %v", r.changes, want)
	}
}

// told returns what OnChange got so far.
func (r *rig) told() []bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes)
}

func (r *rig) wantProbes(want ...time.Duration) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.probes, want) {
		r.t.Fatalf("probes at %v, want %v", r.probes, want)
	}
}

func (r *rig) probeCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.probes)
}
