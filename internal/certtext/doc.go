// Package certtext is certificates in words. Its noun is the sentence that
// tells somebody what a certificate is for, or why one was not accepted.
//
// Invariant: a sentence names what is in the certificate and what to do, and
// never a key. The functions are pure, and may be called concurrently.
//
// What the package refuses: to judge. It puts into words what crypto/tls and
// crypto/x509 have found.
package certtext
