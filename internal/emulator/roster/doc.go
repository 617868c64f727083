// Package roster keeps the books of an emulated service: who is connected to
// which hub, as which user, and in which groups. Its noun is the [Roster].
//
// Invariant: a member is in the books of its hub, of its user and of each of its
// groups, or in none of them; a hub, user or group without members is not in
// the books at all. No limit is ever exceeded.
//
// Lifecycle: [New] returns an empty roster that needs no closing. All methods
// may be called concurrently.
//
// The package refuses to know what a member is, and sends nothing: it hands out
// lists, and what happens to a member afterwards is not its concern.
package roster
