// Package authority makes the certificates that a measurement needs, and the clients' side of TLS in it.
//
// The noun is an Authority: a certificate authority that exists for one run, and one certificate for everything that listens,
// both ECDSA P-256. The invariant: what is compared is the same work. [Authority.Clients] checks on every connection that the
// certificate, the version, the suite and the key exchange are those that were asked for; a server that chose otherwise is an
// error and never a figure.
//
// The files lie in a directory of the caller, who removes it.
//
// It refuses everything that a measurement does not need: names that differ, other kinds of keys, TLS 1.2.
package authority
