// Package frame is the small part of RFC 6455 that the measuring programs need: frame headers, masking and the accept
// key.
//
// The noun is a frame header. The invariant: Parse(Put(h)) gives h back, with the shortest length form.
// Everything works on the caller's slices and allocates nothing; there is no state and no lifecycle.
//
// It refuses what no measuring program sends: reserved bits, long control frames, lengths in a longer form than
// necessary. It is on purpose not the codec of the proxy: a mistake there must not be able to hide here.
package frame
