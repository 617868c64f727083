// Package flood floods a server with hellos of TLS. Its noun is the client that
// lets a server compute the answer to a hello, and leaves.
//
// Invariant: what one client costs here is next to nothing beside what it costs
// the server; the hello is made once. So many clients are there at a time, and the
// next one comes when one has left.
//
// What the package refuses: to finish a handshake.
package flood
