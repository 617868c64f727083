// Package dataplane is what the REST APIs of the two emulated services have in
// common: a table of calls, who may make them, and how they are refused. Its
// noun is the [API].
//
// Invariant: a call reaches its handler only with a token for exactly its path,
// signed with an access key; with a version of the API that has the call; and
// with names that hubs and groups can have. Everything else is answered here,
// in this order: 404 for what is not in the table, 405 for another method, 401,
// 400.
//
// Lifecycle: [NewGuard] and [NewAPI] make values that need no closing and may
// be used concurrently.
//
// The package refuses to know what a hub is: that is the services' part.
package dataplane
