// Package broadcast is the call that the fan-out is measured with, as both of its ends see it: POST /api/hubs/{hub}/:send of the REST
// API of Azure Web PubSub.
//
// The nouns are a Message, whose bytes are made once and numbered for each call, and the Number in it. The invariant: a number tells
// one broadcast from all others, so who receives it knows whether it came once. Tokens are made and read with a JWT library and
// nothing of pointsman's own, which would agree with itself in its mistakes, too.
//
// Nothing here does any I/O. It refuses to know other calls.
package broadcast
