// Package drain closes many sessions at a pace that everybody survives. Its
// noun is the drain: which sessions shall end, in what order, how many in a
// second, and how far that has got.
//
// # Invariants
//
//   - In no second, wherever it begins, do more than [Plan.Rate] sessions of a
//     drain begin to close, however late they come to it after they were asked.
//     Only the rest after [Plan.Deadline] goes at once, and only if the plan says
//     so.
//   - A session is asked at most once.
//   - A session is asked only while its client would find another place, unless
//     the plan is forced or the deadline has come. A drain without such a place
//     waits, and goes on by itself when there is one again.
//
// # Lifecycle
//
// [New] makes an [Engine] that has not started anything; [Engine.Run] runs
// drains until its context ends, and returns when all have stopped. A drain
// ends by itself; the last ones that ended are remembered for operators.
//
// # What the package refuses
//
// It knows no socket and no frame: what a session is, which ones there are, and
// where their clients would go, is told by the [Source]. It does not decide when
// a drain is due.
package drain
