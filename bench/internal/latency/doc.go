// Package latency counts how long things took.
//
// The noun is a Histogram of durations from 1 µs to 2 min with three significant digits. The invariant: recording
// neither allocates nor fails; what lies outside the scale is counted at its edge. A Histogram has one owner at a time.
//
// It refuses to keep the single values.
package latency
