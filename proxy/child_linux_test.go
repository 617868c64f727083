package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/relay"
)

// child is a router in a process of its own, which may be short of something
// without its clients and upstreams being so.
type child struct {
	t       testing.TB
	address string
	in      io.WriteCloser
	lines   *bufio.Scanner
}

// report is what a child says of itself.
type report struct {
	Sessions    int
	Totals      Totals
	Healthy     bool
	Trips       uint64
	Failures    uint64 // handshakes with the upstream
	Probes      int64
	BadProbes   int64
	Descriptors int
}

const (
	childUpstream = "POINTSMAN_TEST_UPSTREAM" // set in a child: where its upstream is
	childPrefix   = "router: "                // of the lines that a child writes for its parent
)

// beChild is what a test does in a child: it runs a router and reports when it is
// asked to. It returns false in the parent.
func beChild(t *testing.T, prepare func()) bool {
	t.Helper()
	upstream := os.Getenv(childUpstream)
	if upstream == "" {
		return false
	}
	prepare()
	location, err := url.Parse("ws://" + upstream)
	if err != nil {
		t.Fatal(err)
	}
	var good, bad atomic.Int64
	probe := health.HTTPProbe(location, health.HTTPOptions{})
	r := start(t, Options{Relay: relay.Options{Loops: 2}}, member{address: upstream, health: health.Options{
		Probe: func(ctx context.Context) error {
			err := probe(ctx)
			if err == nil {
				good.Add(1)
			} else {
				bad.Add(1)
				fmt.Fprintln(os.Stderr, "probe:", err)
			}
			return err
		},
		Interval: 10 * time.Millisecond, Recheck: 10 * time.Millisecond, Timeout: patience, Fall: 1, InitialUp: true,
	}})
	fmt.Println(childPrefix + r.address)
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		u := r.upstream("east")
		said, err := json.Marshal(report{
			Sessions: r.Sessions(), Totals: r.Totals(), Healthy: u.Healthy(), Trips: u.Checker().Status().Trips,
			Failures: u.Totals().HandshakeFailures,
			Probes:   good.Load(), BadProbes: bad.Load(), Descriptors: descriptors(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(childPrefix + string(said))
	}
	return true
}

// startChild runs the present test in a child whose router has one upstream.
func startChild(t *testing.T, upstream string) *child {
	t.Helper()
	c := childOf(t)
	c.Env = append(os.Environ(), childUpstream+"="+upstream)
	var complaints strings.Builder
	c.Stderr = &complaints
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r := &child{t: t, in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		in.Close()
		rest, _ := io.ReadAll(out)
		if err := c.Wait(); err != nil {
			t.Errorf("the child: %v\n%s%s", err, rest, complaints.String())
		}
	})
	r.address = r.line()
	return r
}

// runChild runs the present test in a child, which does all of it.
func runChild(t *testing.T, attributes *syscall.SysProcAttr) {
	t.Helper()
	c := childOf(t)
	c.SysProcAttr = attributes
	switch said, err := c.CombinedOutput(); {
	case c.ProcessState == nil:
		t.Skipf("no process like this can be started here: %v", err)
	case err != nil:
		t.Errorf("the child: %v\n%s", err, said)
	case bytes.Contains(said, []byte("--- SKIP")):
		t.Skipf("the child:\n%s", said)
	}
}

// childOf is the process of a child that runs the present test.
func childOf(t *testing.T) *exec.Cmd {
	return exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v", "-test.timeout=2m")
}

// line reads the next line that is meant for the parent.
func (r *child) line() string {
	r.t.Helper()
	for r.lines.Scan() {
		if line, ok := strings.CutPrefix(r.lines.Text(), childPrefix); ok {
			return line
		}
	}
	r.t.Fatalf("the child says no more: %v", r.lines.Err())
	return ""
}

// report asks the child how it is.
func (r *child) report() (now report) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, "report\n"); err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.line()), &now); err != nil {
		r.t.Fatal(err)
	}
	return now
}
