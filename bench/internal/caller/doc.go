// Package caller is the application of the fan-out's measurement: it sends broadcasts, to the router or to the upstreams themselves.
//
// The noun is a run of callers, each of which has one broadcast under way at a time, over connections of its own that stay open. The
// invariant: an answer counts only if it is 202 and whole, and does not say that an upstream was left out; all others are counted as
// errors and never as results.
//
// Run starts a goroutine for each caller, and returns when all have ended and all connections are closed.
//
// A caller is leaner than any SDK: the bytes of a call are made once and then only numbered, and a token is good for a second, in which
// the SDKs make the same one for each call, too. It needs no goroutines to have several calls under way at once: it writes them all and then
// reads all answers. It refuses redirects and repetitions.
package caller
