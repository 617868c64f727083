// Package epoll is the thin layer between the measuring programs and the kernel: an epoll set with a wake-up, and raw
// non-blocking reads and writes.
//
// The noun is a Poller. The invariant: one goroutine waits on a Poller and owns every descriptor in it; only Wake may
// be called from elsewhere. Events are edge-triggered except for listeners, so a reader reads until it would block or
// gets less than it asked for.
//
// Lifecycle: New, Add, Wait in a loop, Close. A descriptor leaves the set by being closed. Because each descriptor
// gives at most one event per Wait, and is closed only while its own event is handled or between two Waits, no event of
// a closed descriptor can reach the next user of its slot.
//
// It refuses to be general: no timers, no buffers, no other systems than Linux.
package epoll
