// Package health holds what we believe about one upstream: may it take new sessions?
//
// The noun is the [Checker]. It joins two kinds of evidence: probes, which it makes itself on a clock, and the outcomes
// of real handshakes, which its owner reports through [Checker.Begin] and [Checker.Lost]. Both feed one circuit breaker:
//
//	unknown    no outcome yet. Takes no sessions, unless Options.InitialUp is set
//	closed     takes sessions
//	open       takes none; only probes run
//	half-open  takes none; a probe is on its way, or Rise good ones are not complete
//
// # Rules
//
//   - Pessimistic start: the first good probe opens the door, if it is the first outcome of all. After a failure it takes
//     Options.Rise good probes in a row: also when it was the very first probe that failed.
//   - Options.Fall failures in a row close the door. Failed probes and failed traffic are counted apart; either count is enough.
//   - A good handshake overrides bad probes: it sets the count of failed probes back to zero. Thus a broken probe path
//     does not eject an upstream that serves its clients.
//   - A good probe does not excuse failed handshakes: an upstream that answers probes and fails traffic goes down. Its probes
//     count again only after a penalty, which doubles, up to a minute, when the same happens soon after a recovery.
//   - A failed handshake asks for a probe at once. When a fresh traffic failure and a failed probe agree, the upstream is
//     down without waiting for the rest of Fall: a dead upstream is out within about one probe time-out. A probe that a good handshake
//     has contradicted is not believed in this way until it has been good again.
//   - Own faults ([IsLocal]: no descriptors, no ports, the client left) and own stalls (the process was not scheduled,
//     so that a deadline passed unseen) count neither way.
//   - An early abnormal loss of a session is a traffic failure. One good handshake does not excuse it, since an upstream that
//     accepts and then drops is not well: it takes Fall of them without a loss, or a quiet minute.
//   - Failures that a client may have brought about itself ([ByClient]) count once for each client in a streak. Thus nobody takes an
//     upstream from the others by asking for what it fails on.
//   - An outcome that began before the breaker opened is ignored when it arrives later.
//
// # Coming home
//
// An upstream that has recovered is healthy at once, but it has to prove itself before sessions that others serve well are given or
// moved to it. [Checker.Share] says how much of its new sessions it should get beside others:
//
//	up for the first time    1
//	recovered                0 for Options.Hold, doubled by each relapse in a row
//	after the hold           rising from 0 to 1 within Options.Ramp
//	then                     1
//
// A recovery is a breaker that closes after having been open. A relapse is a trip within Options.FlapWindow of the recovery before
// it, or before its hold is over. What a share means is for the owner to say: one that has nobody else ignores it.
//
// [Checker.Suspend] takes an upstream out for a drill, and then treats it as if it had recovered.
//
// # On demand
//
// Probes that come seldom are cheap, and their findings old. [Checker.Fresh] lets a decision wait for a new one where the last is too
// old for it; one probe serves all who wait.
//
// # Lifecycle
//
// [New] validates and starts nothing. [Checker.Run] probes until its context ends; when it returns, nothing that it started
// is left. After a reload with other settings, a new checker takes over what an old one believes: Options.Replaces. [HTTPProbe], [TCPProbe] and [WebSocketProbe] build the usual probes; any func will do that obeys its context.
//
// # What the package refuses
//
// It says who may get new sessions; it never touches running ones. It does not pick among upstreams, it does not retry, and it keeps
// no connection between two probes.
package health
