package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// TestWrongCalls: what is wrong with the command line is exit code 2, before
// anything is asked of a router.
func TestWrongCalls(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ line, says string }{
		{"status now", "unknown command \"now\""},
		{"status --admin nowhere", `--admin: address "nowhere": want host:port`},
		{"status --timeout 0s", "--timeout 0s: want more than zero"},
		{"drain", "accepts 1 arg(s), received 0"},
		{"drain east west", "accepts 1 arg(s), received 2"},
		{"drain east --older-than soon", "soon"},
		{"drain east --count many", "many"},
		{"drain east --token x", "unknown flag: --token"},
		{"pause", "accepts 1 arg(s)"},
		{"resume", "accepts 1 arg(s)"},
		{"cancel 1 2", "accepts 1 arg(s)"},
		{"disable", "accepts 1 arg(s)"},
		{"enable", "accepts 1 arg(s)"},
		{"reload now", "unknown command \"now\""},
		{"failover east", `required flag(s) "for" not set`},
		{"failover east --for long", "long"},
		{"failover east --for 1s --steady -1s", "--steady -1s"},
		{"failover east --for 1s --patience 0s", "--patience 0s"},
	} {
		t.Run(row.line, func(t *testing.T) {
			code, stdout, stderr := tryLive(t, append(strings.Fields(row.line), "--admin", "127.0.0.1:1")...)
			if strings.Contains(row.line, "--admin") {
				code, stdout, stderr = tryLive(t, strings.Fields(row.line)...)
			}
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, row.says) || !strings.Contains(stderr, "--help' for usage.\n") {
				t.Errorf("%d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// TestOrders gives every order by its verb, also those that are refused.
func TestOrders(t *testing.T) {
	t.Parallel()
	var failure error
	r := startVerbRig(t, func(s *verbSetup) {
		s.door.Reload = func(string) error { return failure }
		s.door.Reloads = func() admin.Reload { return admin.Reload{OK: true, NeedsRestart: []string{"listen", "admin"}} }
	})
	r.crowd(30)
	for _, verb := range []string{"drain", "disable", "enable", "failover"} {
		args := []string{verb, "north"}
		if verb == "failover" {
			args = append(args, "--for", "1s")
		}
		r.want(exitFailed, "pointsman: unknown upstream \"north\"; known: east, west\n", args...)
	}
	r.want(exitFailed, "pointsman: drain \"7\": no such drain\n", "pause", "7")
	r.want(exitFailed, "no such drain", "cancel", "../../reload")
	r.want(exitOK, "no drains\n", "drains")

	r.want(exitOK, "west gets no new sessions; 0 sessions open\n", "disable", "west", "--why", "new disks")
	r.want(exitOK, "disabled", "upstreams")
	r.want(exitOK, "new disks", "status")
	r.want(exitFailed, "with force it is disabled all the same, and new clients get 503 until another one is up\n", "disable", "east")
	r.want(exitFailed, "with force its sessions are closed all the same\n", "drain", "east")
	r.want(exitFailed, "with force it is treated as down all the same, and new clients get 503 meanwhile\n", "failover", "east", "--for", "1s", "--steady", "0s")
	r.want(exitFailed, "west is disabled (new disks), so its loss would show nothing", "failover", "west", "--for", "1s")
	r.want(exitOK, "west is enabled: healthy\n", "enable", "west")

	r.want(exitUsage, `share: "120%" is not a share above 0 and up to all, such as "20%" or 0.2`, "drain", "east", "--share", "120%")
	r.want(exitUsage, "share and count exclude each other", "drain", "east", "--share", "20%", "--count", "3")
	r.want(exitUsage, "rate: 0 is not", "drain", "east", "--rate", "0")
	r.want(exitUsage, `older_than: "-5m0s" is not`, "drain", "east", "--older-than", "-5m")
	r.want(exitUsage, `for: "0s" is not`, "failover", "east", "--for", "0s", "--steady", "0s")

	r.want(exitOK, "drain 1 begins: 20% of the sessions of east older than 1h0m0s with path /chat of clients in 127.0.0.0/8, at most 7 per second, random\n",
		"drain", "east", "--share", "20%", "--older-than", "1h", "--path", "/chat", "--client", "127.0.0.1/8", "--rate", "7", "--order", "random",
		"--deadline", "1h", "--then", "close", "--reason", "tidying", "--close-code", "4001")
	r.want(exitOK, "drain 2 begins: all sessions of east, at most 1 per second, idle-first\n", "drain", "east", "--rate", "1")
	r.want(exitOK, "drain 2 is under way already: all sessions of east, at most 1 per second, idle-first\n", "drain", "east", "--rate", "1")
	r.want(exitOK, "drain 2 is paused: ", "pause", "2")
	var s admin.Status
	if err := json.Unmarshal([]byte(r.want(exitOK, "", "status", "--json")), &s); err != nil || len(s.Drains) != 1 || s.Drains[0].State != drain.Paused {
		t.Errorf("status --json: %v, %+v", err, s)
	}
	r.want(exitOK, "drain 2 is running: ", "resume", "2")
	r.want(exitOK, "drain 2 is cancelled: ", "cancel", "2")
	r.want(exitFailed, "drain 2 has ended: it is cancelled\n", "cancel", "2")
	r.want(exitOK, "cancelled by operator", "drains")

	r.want(exitOK, "reloaded; what has changed here needs a restart: listen, admin\n", "reload")
	failure = errors.New("p.yaml:1:1: key \"x\" is not known")
	r.want(exitFailed, "pointsman: p.yaml:1:1: key \"x\" is not known\n", "reload")
}

// TestJSON: what the door answers comes out as it is.
func TestJSON(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t, func(s *verbSetup) { s.door.Reload = func(string) error { return nil } })
	r.crowd(20)
	for _, row := range []struct {
		line string
		into any
	}{
		{"status", new(admin.Status)}, {"upstreams", new(admin.Upstreams)}, {"drain east --rate 1", new(admin.Begun)}, {"pause 1", new(drain.Status)},
		{"resume 1", new(drain.Status)}, {"cancel 1", new(drain.Status)}, {"drains", new(admin.Drains)}, {"disable west", new(admin.Upstream)},
		{"enable west", new(admin.Upstream)}, {"reload", new(struct{})},
	} {
		out := r.want(exitOK, "{", append(strings.Fields(row.line), "--json")...)
		in := json.NewDecoder(strings.NewReader(out))
		in.DisallowUnknownFields()
		if err := in.Decode(row.into); err != nil || !strings.HasSuffix(out, "}\n") {
			t.Errorf("%s --json: %v in %s", row.line, err, out)
		}
	}
}

// TestDrainAndWait: the waiting ends with the drain, and the exit code says how
// that ended.
func TestDrainAndWait(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	r.crowd(20)
	out := r.want(exitOK, "100% done, 20 gone, 0 left\n", "drain", "east", "--wait")
	if !strings.Contains(out, "drain 1 begins: all sessions of east") {
		t.Errorf("stdout %q", out)
	}
	r.await("the clients to be elsewhere", func() bool { return r.upstreams[1].Sessions() == 20 })
	r.want(exitOK, "", "enable", "east")
	r.await("the clients to be home", func() bool { return r.upstreams[0].Sessions() == 20 }) // failback
	var d drain.Status
	if err := json.Unmarshal([]byte(r.want(exitOK, "", "drain", "east", "--wait", "--json")), &d); err != nil || d.State != drain.Done {
		t.Errorf("%v, %+v", err, d)
	}
	r.want(exitOK, "", "enable", "east")
	r.await("the clients to be home", func() bool { return r.upstreams[0].Sessions() == 20 })

	// A drain that is cancelled meanwhile.
	v := r.begin(t.Context(), "drain", "east", "--rate", "1", "--wait")
	r.saying(v, "begins")
	id := strings.Fields(v.out.String())[2]
	r.want(exitOK, "cancelled", "cancel", id)
	if code := <-v.code; code != exitFailed || !strings.Contains(v.err.String(), "drain "+id+" is cancelled: cancelled by operator; ") {
		t.Errorf("exit code %d, %q", code, v.err.String())
	}

	// Somebody who does not want to wait any longer.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	v = r.begin(ctx, "drain", "east", "--rate", "1", "--wait")
	r.saying(v, "begins")
	interrupt()
	if code := <-v.code; code != exitFailed || !strings.Contains(v.err.String(), " goes on, \"pointsman cancel ") {
		t.Errorf("exit code %d, %q", code, v.err.String())
	}
	r.await("the drain to go on", func() bool {
		list := r.proxy.Drains().List()
		return list[len(list)-1].State == drain.Running
	})
}

// TestWatch: it shows the status again until it is ended, and bears a router
// that is away.
func TestWatch(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	v := r.begin(ctx, "status", "--watch")
	r.await("the second look", func() bool { return strings.Count(v.out.String(), "UPSTREAM") >= 2 })
	r.stopDoor()
	r.saying(v, "is the router running")
	interrupt()
	if code := <-v.code; code != exitOK || !strings.Contains(v.out.String(), "\n\nrouter v1.2.3: ready") {
		t.Errorf("exit code %d, %q, %q", code, v.out.String(), v.err.String())
	}
	r.want(exitFailed, "is the router running", "status", "--watch")
}

// brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestNobodyReads: output that cannot be written is a failure.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	for _, line := range []string{"status", "status --json", "status --watch", "upstreams", "drains", "enable east", "healthcheck"} {
		var stderr bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(line), "--admin", r.admin), brokenPipe{}, &stderr); code != exitFailed {
			t.Errorf("%s: exit code %d, %s", line, code, stderr.String())
		}
	}
}

// TestFailover practises one with clients that reconnect. None of their
// handshakes may fail.
func TestFailover(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t, func(s *verbSetup) {
		s.health.Hold = 300 * time.Millisecond
		s.proxy.Failback = proxy.Failback{Rate: 100}
	})
	r.crowd(20)
	out := r.want(exitOK, "", "failover", "east", "--for", "3s", "--rate", "50", "--steady", "100ms", "--json")
	var got drillReport
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if !got.Recovered || !got.Home || got.Interrupted || got.Problem != "" || got.Upstream != "east" || got.ForSeconds != 3 {
		t.Errorf("got %s", out)
	}
	if got.FirstElsewhereMS == nil || *got.FirstElsewhereMS <= 0 {
		t.Errorf("first session elsewhere: %s", out)
	}
	var names []string
	opened := make(map[string]int)
	for _, p := range got.Phases {
		names = append(names, p.Name)
		if p.Handshakes.Failed != 0 || p.Seconds <= 0 {
			t.Errorf("phase %+v", p)
		}
		for name, n := range p.Opened {
			opened[name] += n
		}
	}
	if strings.Join(names, " ") != "steady failover failback home" {
		t.Errorf("phases %v", names)
	}
	if opened["west"] != 20 || opened["east"] != 20 {
		t.Errorf("new sessions %v", opened)
	}
	if p := got.Phases[0]; p.Open["east"] != 20 || p.Open["west"] != 0 {
		t.Errorf("steady %+v", p)
	}
	if p := got.Phases[3]; p.Open["east"] != 20 || p.Open["west"] != 0 {
		t.Errorf("home %+v", p)
	}
	gone := make(map[string]int)
	for _, d := range got.Drains {
		gone[d.Cause.String()+" of "+d.Upstream] += d.Gone
	}
	if len(gone) != 2 || gone["drill of east"] != 20 || gone["failback of west"] != 20 {
		t.Errorf("drains %v", gone)
	}
}

// TestFailoverInterrupted: Ctrl-C ends the drill and says so.
func TestFailoverInterrupted(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	r.crowd(3)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	v := r.begin(ctx, "failover", "east", "--for", "1h", "--steady", "1ms")
	r.await("the clients to be elsewhere", func() bool { return r.upstreams[1].Sessions() == 3 })
	r.want(exitFailed, "a drill of east is under way already", "failover", "east", "--for", "1h")
	interrupt()
	if code := <-v.code; code != exitFailed || v.err.String() != "pointsman: failover: interrupted: the drill was ended early\n" {
		t.Errorf("exit code %d, %q", code, v.err.String())
	}
	for _, want := range []string{"interrupted: the drill is ended early, east is healthy\n", "\n    steady  ", "\n  failover  ", "\nNOT FINISHED: interrupted: the drill was ended early\n"} {
		if !strings.Contains(v.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, v.out.String())
		}
	}
	if !r.upstreams[0].Healthy() {
		t.Error("the drill goes on")
	}
}

// TestFailoverBeforeItBegins: Ctrl-C before the drill changes nothing.
func TestFailoverBeforeItBegins(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	v := r.begin(ctx, "failover", "east", "--for", "1h", "--steady", "1h")
	r.saying(v, "steady: ")
	interrupt()
	if code := <-v.code; code != exitFailed || v.err.String() != "pointsman: interrupted before the drill had begun\n" {
		t.Errorf("exit code %d, %q", code, v.err.String())
	}
	if log := r.log.String(); strings.Contains(log, "order") {
		t.Errorf("an order was given:\n%s", log)
	}
}

// TestFailoverOfNobody: what is down already cannot be practised, and what goes
// down in the drill does not come back.
func TestFailoverOfNobody(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	if err := r.west.SetHealth(500); err != nil {
		t.Fatal(err)
	}
	r.await("west to be down", func() bool { return !r.upstreams[1].Healthy() })
	r.want(exitFailed, "west is down, there is nothing to practise: ", "failover", "west", "--for", "1s")
	if err := r.west.Restore(); err != nil {
		t.Fatal(err)
	}
	r.await("west to be up", func() bool { return r.upstreams[1].Healthy() })

	v := r.begin(t.Context(), "failover", "west", "--for", "3s", "--steady", "0s", "--patience", "1s")
	r.saying(v, "failover: ")
	if err := r.west.Refuse(true); err != nil {
		t.Fatal(err)
	}
	if code := <-v.code; code != exitFailed || !strings.Contains(v.err.String(), "failover: the upstream has not come back within 1s after its time: it is down, ") {
		t.Errorf("exit code %d, %q", code, v.err.String())
	}
	if !strings.Contains(v.out.String(), "NOT FINISHED: the upstream has not come back") {
		t.Errorf("stdout %s", v.out.String())
	}
}
