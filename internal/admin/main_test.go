package admin

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of a test. No test waits for it to pass.
const patience = 60 * time.Second

// harmless goroutines belong to the HTTP server and hold nothing: one sleeps for
// some seconds after the server's end, one keeps its clock for the process.
var harmless = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}, harmless...) }

// patient runs the tests and gives the goroutines that are about to end the time
// for it. Those that stay are for goleak to report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	// Each look takes a while when it finds some.
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find(harmless...) != nil && time.Now().Before(deadline); {
	}
	return code
}

// until waits for a condition that nobody announces.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}
