// Package secure lets an epoll loop speak TLS on a non-blocking descriptor.
//
// The noun is a Conn, the counterpart of epoll.Read and epoll.Write with the same answers: EAGAIN where there is nothing to do until
// the next event. The invariant: nothing waits. A handshake of crypto/tls, which would, runs in a coroutine that gives the thread
// back to the loop wherever it would have to wait.
//
// Lifecycle: Client and Server start nothing; Handshake is called with each event until it is done; Drop ends what is unfinished,
// and leaves the descriptor open. All calls come from the loop's thread, and in the same state of
// runtime.LockOSThread, which is a rule of coroutines.
//
// It refuses to close: sessions of a measurement end with a RST, so there is no good-bye of TLS.
package secure
