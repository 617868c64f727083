package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// standInOptions are those of a short demo with a stand-in router. It works
// where the children act as pointsman.
func standInOptions(exe, manner string) demoOptions {
	return demoOptions{
		clients: 20,
		// Enough that some come in each phase. The fewer come and go, the sooner
		// the counts of clients and router meet on a busy machine.
		rate:    20,
		phase:   400 * time.Millisecond,
		timeout: 5 * time.Minute,
		exe:     exe,
		environ: os.Environ(),
		// Long enough to be seen, and to last for some looks.
		failback: demoFailback{hold: time.Second, rate: 15},
		router: func(primaryURL, secondaryURL string) []string {
			return []string{standInVerb, manner, primaryURL, secondaryURL}
		},
	}
}

func standInDemo(t *testing.T, manner string) demoOptions {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(actAs, actAsPointsman)
	return standInOptions(exe, manner)
}

// standInDemoVerb is a demo with a stand-in router that goes on until it is
// ended.
const standInDemoVerb = "stand-in-demo"

func runStandInDemo(ctx context.Context) int {
	exe, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	opts := standInOptions(exe, standInGood)
	opts.phase, opts.timeout = time.Hour, time.Hour
	if err := runDemo(ctx, opts, os.Stdout, os.Stderr); err != nil {
		return exitFailed
	}
	return exitOK
}

func TestDemoPasses(t *testing.T) {
	opts := standInDemo(t, standInGood)
	opts.asJSON = true
	var stdout, stderr bytes.Buffer
	if err := runDemo(t.Context(), opts, &stdout, &stderr); err != nil {
		t.Fatalf("demo: %v\n%s\n%s", err, &stdout, &stderr)
	}
	var r demoReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("stdout is not the report: %v\n%s", err, &stdout)
	}
	checkDemoReport(t, r, opts.clients)
	for _, said := range []string{"steady: all clients are served", "primary-1 is killed (SIGKILL)", "primary-1 is started again",
		"home: the hold is over", "drain: the others are led there, at most 15 per second", "everybody is served by primary-1"} {
		if !strings.Contains(stderr.String(), said) {
			t.Errorf("progress does not say %q:\n%s", said, &stderr)
		}
	}
}

// checkDemoReport checks what a demo that passed must have seen.
func checkDemoReport(t *testing.T, r demoReport, clients int) {
	t.Helper()
	if !r.Passed || len(r.Problems) > 0 || r.Handshakes.Failed > 0 || r.Messages.Mismatched > 0 || r.Messages.Stalled > 0 {
		t.Errorf("did not pass: %+v", r)
	}
	phases := make(map[string]demoPhaseRow)
	var order []string
	for _, p := range r.Phases {
		phases[p.Name] = p
		order = append(order, p.Name)
		// An act that the router ends may be too short for the counts to meet.
		missed := p.Router == nil && (p.Name == phaseFailback || p.Name == phaseHome)
		if !p.Agree && !missed {
			t.Errorf("%s: clients count %v open sessions, the router %v", p.Name, p.Open, p.Router)
		}
	}
	if diff := cmp.Diff([]string{phaseConnect, phaseSteady, phaseFailover, phaseFailback, phaseHome, phaseDrain}, order); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	if p := phases[phaseSteady]; p.Opened[demoSecondary] > 0 || p.Open[demoPrimary] < clients {
		t.Errorf("steady: %+v, want everybody on the primary", p)
	}
	if p := phases[phaseFailover]; p.Opened[demoSecondary] < clients || p.Open[demoSecondary] < clients || p.Open[demoPrimary] > 0 {
		t.Errorf("failover: %+v, want everybody on the secondary", p)
	}
	if p := phases[phaseFailback]; p.Opened[demoSecondary] == 0 {
		t.Errorf("failback: %+v, want new sessions on the secondary during the hold", p)
	}
	// Sessions may be led home a moment before that is seen.
	home := 0
	for _, name := range []string{phaseFailback, phaseHome, phaseDrain} {
		home += phases[name].Opened[demoPrimary]
	}
	if home < clients {
		t.Errorf("%d new sessions on the primary since the restart, want %d at least", home, clients)
	}
	if p := phases[phaseDrain]; p.Open[demoPrimary] < clients || p.Open[demoSecondary] > 0 {
		t.Errorf("drain: %+v, want everybody on the primary", p)
	}
	checkDemoDrain(t, r, clients)
	cut := int64(0)
	for _, n := range r.Cuts {
		cut += n
	}
	if cut -= int64(r.Drain.Moved); cut < int64(clients) {
		t.Errorf("%d sessions cut by the kill, want %d at least", cut, clients)
	}
	if r.FirstOnSecondaryMS == nil || r.AllServedMS == nil || r.FirstBackMS == nil || *r.FirstOnSecondaryMS > *r.AllServedMS {
		t.Errorf("times: first on secondary %v, all served %v, first back %v", r.FirstOnSecondaryMS, r.AllServedMS, r.FirstBackMS)
	}
	if r.Messages.Echoed < int64(clients) {
		t.Errorf("%d messages echoed", r.Messages.Echoed)
	}
}

// checkDemoDrain checks the way home of a demo that passed.
func checkDemoDrain(t *testing.T, r demoReport, clients int) {
	t.Helper()
	d := r.Drain
	// A visitor that was on the secondary may have been asked to move, too.
	if d.Moved < clients || d.Home != int64(clients) || d.Astray > 0 {
		t.Errorf("drain: %d sessions moved, %d clients home, %d astray; want all %d home", d.Moved, d.Home, d.Astray, clients)
	}
	if diff := cmp.Diff(map[string]int64{"1012": int64(d.Moved)}, d.Cuts); diff != "" {
		t.Errorf("drain: sessions by close code (-want +got):\n%s", diff)
	}
	if d.Most < 1 || d.FirstToLastMS == nil {
		t.Errorf("drain: %+v", d)
	}
	if r.FirstBackMS == nil || *r.FirstBackMS < d.HoldMS {
		t.Errorf("drain: first session on the primary after %v ms, the hold is %v ms", r.FirstBackMS, d.HoldMS)
	}
}

func TestDemoFails(t *testing.T) {
	tests := map[string]struct {
		manner string
		change func(*demoOptions)
		says   []string // in the error
		logs   string   // on stderr
	}{
		"router without failover": {
			manner: standInNoFailover,
			change: func(o *demoOptions) { o.timeout = 3 * time.Second },
			says:   []string{"not finished within ", "client handshakes failed"},
		},
		"router dies": {
			manner: standInDies,
			says:   []string{"router ended by itself"},
			logs:   "the stand-in was told to die",
		},
		"router leaves sessions behind": {
			manner: standInStays,
			change: func(o *demoOptions) { o.timeout = 6 * time.Second },
			says:   []string{"not finished within ", "waited for the router to lead sessions home"},
		},
		"router cuts sessions on the way home": {
			manner: standInCuts,
			says:   []string{"sessions ended on the way home without being asked to move"},
		},
		"router leads clients astray": {
			manner: standInAstray,
			says:   []string{"clients that were to move home landed elsewhere"},
		},
		"router does not start": {
			change: func(o *demoOptions) {
				o.router = func(string, string) []string { return []string{"nonsense"} }
			},
			says: []string{"router ended before it was ready", `unknown command "nonsense"`},
		},
		"executable is missing": {
			change: func(o *demoOptions) { o.exe += "-missing" },
			says:   []string{"start secondary-1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := standInDemo(t, tt.manner)
			if tt.change != nil {
				tt.change(&opts)
			}
			var stdout, stderr bytes.Buffer
			err := runDemo(t.Context(), opts, &stdout, &stderr)
			// On a busy machine a short demo may be over before the fault shows.
			for err != nil && opts.timeout < time.Minute && !strings.Contains(err.Error(), tt.says[len(tt.says)-1]) {
				opts.timeout *= 4
				stdout.Reset()
				stderr.Reset()
				err = runDemo(t.Context(), opts, &stdout, &stderr)
			}
			if err == nil {
				t.Fatalf("demo passed:\n%s", &stdout)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if !strings.Contains(stdout.String(), "FAILED: ") {
				t.Errorf("no verdict in the report:\n%s", &stdout)
			}
			if !strings.Contains(stderr.String(), tt.logs) {
				t.Errorf("stderr lacks the child's %q:\n%s", tt.logs, &stderr)
			}
		})
	}
}

// keepWatcher ends the demo when it says that it keeps running, and looks whether
// that was true.
type keepWatcher struct {
	bytes.Buffer
	cancel context.CancelFunc
	router string // host:port, "" if it was not reachable
}

func (w *keepWatcher) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if _, after, ok := strings.Cut(w.String(), "  router     "); ok && w.router == "" && strings.Contains(after, "Ctrl-C") {
		if u, err := url.Parse(strings.Fields(after)[0]); err == nil {
			if c, err := net.Dial("tcp", u.Host); err == nil {
				c.Close()
				w.router = u.Host
			}
		}
		w.cancel()
	}
	return n, err
}

func TestDemoKeepsRunningUntilInterrupted(t *testing.T) {
	opts := standInDemo(t, standInGood)
	opts.keep = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &keepWatcher{cancel: cancel}
	var stderr bytes.Buffer
	if err := runDemo(ctx, opts, stdout, &stderr); err != nil {
		t.Fatalf("demo: %v\n%s", err, stdout)
	}
	if stdout.router == "" {
		t.Fatalf("the router did not run while the demo said so:\n%s", stdout)
	}
	if c, err := net.Dial("tcp", stdout.router); err == nil {
		c.Close()
		t.Error("the router outlived the demo")
	}
}

func TestDemoInterrupted(t *testing.T) {
	opts := standInDemo(t, standInGood)
	opts.phase = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	stderr := writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "steady:") {
			cancel()
		}
		return len(p), nil
	})
	opts.asJSON = true // the progress goes to stderr
	err := runDemo(ctx, opts, &stdout, stderr)
	if err == nil || !strings.Contains(err.Error(), errInterrupted.Error()) {
		t.Errorf("error %v, want interrupted", err)
	}
	var r demoReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.Passed {
		t.Errorf("report of an interrupted demo: %v, %s", err, &stdout)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The port of a killed upstream may be taken for a moment when it comes back.
func TestReviveWaitsForThePort(t *testing.T) {
	opts := standInDemo(t, standInGood)
	tree := &demoTree{
		exe: opts.exe, environ: opts.environ, router: opts.router, routerEnviron: opts.failback.environ(),
		failed: func(err error) { t.Error(err) },
	}
	defer tree.stop()
	if err := tree.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := tree.primary
	tree.killPrimary()
	other, err := net.Listen("tcp", strings.TrimPrefix(tree.primaryURL, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, func() { other.Close() })
	if err := tree.revivePrimary(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tree.primary == first || tree.primary.said(upstreamListeningLine) != tree.primaryURL {
		t.Errorf("revived on %q, want %q", tree.primary.said(upstreamListeningLine), tree.primaryURL)
	}
}

func TestReviveGivesUpWithItsContext(t *testing.T) {
	opts := standInDemo(t, standInGood)
	tree := &demoTree{exe: opts.exe, environ: opts.environ, failed: func(err error) { t.Error(err) }}
	defer tree.stop()
	other := listenAnywhere()
	defer other.Close()
	tree.primaryURL = "ws://" + other.Addr().String()
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, cause)
	defer cancel()
	if err := tree.revivePrimary(ctx); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause of the context", err)
	}
}
