// Package certtest makes certificates for tests. Its noun is the [Authority],
// which lives for one test.
//
// Invariant: every key is made for its test, and lies in files that are removed
// with it; nothing of it is in the repository. An Authority may be used
// concurrently.
package certtest
