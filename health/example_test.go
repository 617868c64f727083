package health_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/health"
)

// The owner of sessions asks Healthy, brackets each handshake with Begin and Done, and lets Run probe beside it.
func Example() {
	up := make(chan struct{})
	checker, err := health.New("east", health.Options{
		Probe: func(context.Context) error { return nil }, // health.HTTPProbe and its sisters build real ones
		Fall:  1,
		OnChange: func(healthy bool) {
			if healthy {
				close(up)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(checker.Status().State, checker.Healthy())

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); checker.Run(ctx) }()
	<-up
	fmt.Println(checker.Status().State, checker.Healthy())

	attempt := checker.Begin()
	attempt.Done(errors.New("handshake with east: status 502"))
	cancel()
	<-done
	fmt.Println(checker.Status().Reason)
	// Output:
	// unknown false
	// closed true
	// failed handshakes or lost sessions in a row: 1, the last: handshake with east: status 502; probes do not count for 2s
}

// A drill: the upstream counts as down for a while and then comes home like one that has recovered.
func ExampleChecker_Suspend() {
	checker, err := health.New("east", health.Options{
		Probe:     func(context.Context) error { return nil },
		InitialUp: true, // this example does not run the checker
		Hold:      10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(checker.Healthy(), checker.Share())
	checker.Suspend(time.Minute, "failover drill")
	fmt.Println(checker.Healthy(), checker.Status().Reason)
	checker.Resume() // otherwise Run does it after the minute
	fmt.Println(checker.Healthy(), checker.Share())
	// Output:
	// true 1
	// false suspended: failover drill
	// true 0
}
