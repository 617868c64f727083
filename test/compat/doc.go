// Package compat tests the router together with WebSocket clients and servers
// that others wrote. Its noun is the peer: a child process that drives one such
// implementation on command.
//
// A peer reads one JSON command per line from its standard input and writes one
// JSON event per line to its standard output; see [command] and [event] in
// peer_test.go. The scripts in node/ and python/ only translate: what is sent,
// and what must come of it, stands in the tests.
//
// A story is a script that plays a whole scenario with the SDKs of a vendor, which
// have too many calls to translate each, and writes a transcript that is the same
// wherever it is played. What the transcript must be stands in the tests.
//
// The tests drive the real binary and need tools that go test ./... does not, so
// they are behind a build tag, and on Linux only:
//
//	apt-get install chromium curl openssl python3-websockets python3-wsproto   # and Node.js 18.17 or later
//	npm ci --prefix test/compat/node
//	go test -tags compat ./test/compat
//
// Lifecycle: every process that a test starts is gone when the test ends.
//
// The package refuses to skip: a missing tool fails the run.
package compat
