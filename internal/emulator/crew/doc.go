// Package crew bounds what a service does in the background. Its noun is the
// [Crew]: goroutines that nobody waits for until the end.
//
// Invariant: never more than the limit run at the same time, and none begins
// after [Crew.Dismiss].
//
// Lifecycle: [New] starts nothing; Dismiss waits for those that run. Whoever
// starts one sees to it that it ends.
package crew
