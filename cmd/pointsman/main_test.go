package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

// actAs makes a child that runs this test binary act as something else: a test
// sets it with t.Setenv before it starts one.
const actAs = "POINTSMAN_TEST_ACT_AS"

// actAsPointsman is the command itself with the stand-ins as more verbs.
const actAsPointsman = "pointsman"

func TestMain(m *testing.M) {
	if os.Getenv(actAs) == actAsPointsman {
		os.Exit(actAsCommand())
	}
	goleak.VerifyTestMain(patient{m}, harmless...)
}

// harmless goroutines belong to the HTTP server and hold nothing: one sleeps for
// some seconds after the server's end, one keeps its clock for the process.
var harmless = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
}

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

func actAsCommand() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := os.Args[1:]
	switch {
	case len(args) > 0 && args[0] == standInVerb:
		return runStandIn(ctx, args[1:])
	case len(args) > 0 && args[0] == standInDemoVerb:
		return runStandInDemo(ctx)
	}
	_ = os.Unsetenv(actAs) // the configuration would take it for a key; what is not there need not be unset
	return run(ctx, args, os.Stdout, os.Stderr)
}
