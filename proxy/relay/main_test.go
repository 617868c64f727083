package relay

import (
	"flag"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A loop that waits for a moment keeps its place in the scheduler. The far
	// ends of the sessions need places besides.
	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	// Most tests spend their time with waiting for the time-outs they test, or for
	// the kernel's, so more of them fit beside each other.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	goleak.VerifyTestMain(patient{m})
}

// patient runs the tests and gives the goroutines that are about to end the time
// for it. Those that stay are for goleak to report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	if code == 0 {
		within(patience, func() bool { return goleak.Find() == nil })
	}
	return code
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
