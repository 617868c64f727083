// Package filter evaluates the filters by which an app server narrows down
// whom a Web PubSub message is sent to. Its noun is the [Filter].
//
// The language is the subset of OData that the service documents: and, or,
// not, the six comparisons, in, the functions contains, startswith, endswith,
// indexof, length, concat, substring, tolower, toupper and trim over the
// identifiers userId, connectionId, groups and protocol.
//
// Invariant: a text that [Parse] accepts can be evaluated for every
// connection, in bounded time and without an error: types are checked while
// parsing, and what meets a missing user id is null, as in OData.
//
// Lifecycle: a Filter is parsed once per request and is then a value that any
// number of goroutines may use.
//
// The package refuses texts above [MaxLength], too many parts and too deep
// nesting.
package filter
