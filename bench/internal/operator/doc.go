// Package operator is what a measurement asks and tells a running pointsman, from outside, by its admin address.
//
// The noun is a Door. The invariant: nothing is believed that the router does not say itself, and every wait is bounded.
//
// It refuses to measure: what it says about time is only good enough to decide what to do next.
package operator
