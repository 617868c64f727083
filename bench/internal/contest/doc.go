// Package contest lets candidates do the same work in turn and collects what it cost each of them.
//
// The noun is a contest: one experiment, several candidates, several rounds. The invariant: the order of the candidates
// is rotated from round to round, so that each has each place equally often, and candidates are compared within a round
// before anything is averaged; a machine that grows slower during a contest hurts all alike.
//
// Lifecycle: Relay, Bulk, Handshakes and Idle start the echo and the candidates, Fanout the upstreams of broadcasts and the router; they
// measure, stop everything they started, and return an Outcome. Nothing is judged here; package report does that.
//
// It refuses to run two candidates at a time.
package contest
