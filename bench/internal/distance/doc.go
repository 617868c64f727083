// Package distance lets a server of this machine stand far away.
//
// The noun is a Way: a TCP proxy on loopback behind which everything takes longer. The invariant: each byte, and each end of a stream,
// comes half a round trip later than it was sent, and in order; what is sent on a new connection waits for one round trip more, the one that
// TCP's own handshake would have taken: a proxy cannot delay that.
//
// Lifecycle: Listen opens the way, Close ends it with all that is under way and returns when its goroutines have ended.
//
// It refuses to lose, to limit the rate, and to vary: a figure shall tell round trips.
package distance
