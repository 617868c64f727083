// Package memnet is a network in memory, for tests of the emulated services.
// Its noun is the [Listener], whose connections are pipes.
//
// Invariant: nothing is buffered, so a peer that does not read holds up the one
// that writes; all that blocks, blocks on channels, so that it works in the
// bubbles of testing/synctest.
//
// Lifecycle: [Listen] starts nothing; [Listener.Close] ends Accept and Dial and
// leaves connections alone.
package memnet
