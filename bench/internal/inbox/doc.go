// Package inbox is the upstream of broadcasts: it takes each message as an instance of Azure Web PubSub would, sends it to nobody, and
// answers 202, so that what is measured is who calls it.
//
// The noun is an Inbox. The invariant: a message is counted only if everything about it is right (the call, the token, the length of
// the body) and its number is the next of its series; a number that came before is counted as one that came again. Who calls has one
// call of a series under way at a time, so an inbox got each message exactly once if it counted as many as were sent, and none again.
//
// Lifecycle: Listen opens the socket and starts nothing; Run serves until its context ends and closes everything. GET /api/messages
// tells the counts, GET /api/health answers 200.
//
// It is lean and not the leanest: a goroutine for each connection, one read and one write per message, no allocation. Reports say how
// much more than its share one inbox takes. It refuses time limits: it is no server for strangers.
package inbox
