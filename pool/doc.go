// Package pool holds the upstream set: who could take a session, who takes it, and how many each one has.
//
// An [Upstream] has a role, a weight, a limit, a [health.Checker] and an operator's switch. A [Set] offers the upstreams that are
// healthy, not disabled and have room to its [Router], which picks one, and hands out a [Lease] on it. The built-in routers are [Priority] and
// [LeastSessions]; any func with the same signature will do, and it may call these for what it does not decide itself.
//
// [Spares] hold idle connections to an upstream for its next sessions. Whoever connects fills them, and says what is as good as new.
//
// # Invariants
//
//   - A picked upstream was healthy, not disabled, had room, and had not been tried for this handshake.
//   - One that is held after a recovery is not picked while one of a worse role can take the session and none of its own role or a
//     better one can. But nobody is turned away because of a hold or a ramp.
//   - An upstream with a limit never holds more leases than that, however many goroutines pick.
//   - A spare connection ([Spares]) is handed out once or dropped once. It is younger than its limit, and was as good as new when it was
//     handed out. There are never more of them than the upstream's settings say.
//   - Every lease is released exactly once, by the one who picked; it is held for the life of the session, handshake included.
//
// # Lifecycle
//
// [NewUpstream] and [NewSet] validate and start nothing; there is nothing to close but [Spares]. A set never changes: a new
// configuration builds a new set, which may share upstreams with the old one, or have some that replace old ones
// ([Options.Replaces]), and so their counts. The owner runs the checkers.
//
// # What the package refuses
//
// It does not dial, nor read a spare connection; it does not decide what a failure is, it does not wait for room, it does not count
// handshakes per second, and it does not move sessions: it only says whether they would find a place elsewhere.
package pool
