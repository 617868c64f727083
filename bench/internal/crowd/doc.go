// Package crowd is many WebSocket clients that behave: they stay for long, answer Pings and Close frames, and come back when
// their session has ended.
//
// The noun is a Crowd. Some of its clients send a message now and then and compare its echo, the others only listen. The
// invariant: whatever happens to a client is one Event, with the moment at which it came to the client; nothing is sampled, so that
// no Close, no cut and no refusal can be missed.
//
// A client whose session has ended comes back at once, if the options say so; one that was answered with a Retry-After comes
// back after it. It closes as RFC 6455 section 7 has it: it answers the Close frame and leaves the end of TCP to the server. Nothing may
// come after a Close frame.
//
// Each loop is one goroutine on one thread with its own epoll set and clients. Lifecycle: Gather opens all sessions and
// returns; Disperse ends them, without a word, and returns when all goroutines have ended.
//
// It refuses to judge what it has seen, and all that package load refuses.
package crowd
