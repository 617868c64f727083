package proxy

import (
	"flag"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of a test. No test waits for it to pass.
const patience = 60 * time.Second

// serverCleaner sleeps in the HTTP server for some seconds after the server has
// ended. It holds nothing.
const serverCleaner = "github.com/valyala/fasthttp.(*workerPool).Start.func2"

func TestMain(m *testing.M) {
	// What the runtime opens once, with the first socket, is open from now on.
	if ln, err := net.Listen("tcp4", "127.0.0.1:0"); err == nil {
		ln.Close()
	}
	// Those tests that run in parallel wait for most of their time.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(patient{m}, goleak.IgnoreAnyFunction(serverCleaner))
}

// patient runs the tests and gives the goroutines that are about to end the time
// for it. Those that stay are for goleak to report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	if code == 0 {
		within(patience, func() bool { return goleak.Find(goleak.IgnoreAnyFunction(serverCleaner)) == nil })
	}
	return code
}

// balanced makes the test fail if, at its end, there are more goroutines or
// descriptors than now. It must come before everything that opens some.
func balanced(t testing.TB) {
	t.Helper()
	before := descriptors(t)
	present := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		var left error
		within(patience, func() bool {
			left = goleak.Find(present, goleak.IgnoreAnyFunction(serverCleaner))
			return left == nil
		})
		if left != nil {
			t.Error(left)
		}
		until(t, "the descriptors to be closed", func() bool { return descriptors(t) <= before })
	})
}

// descriptors counts the open descriptors of this process, where the system
// shows them.
func descriptors(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// until waits for a condition that nobody announces.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	if !within(patience, met) {
		t.Fatalf("waited in vain for %s", what)
	}
}

// within reports whether the condition is met in time.
func within(limit time.Duration, met func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
