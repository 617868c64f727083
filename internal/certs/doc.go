// Package certs keeps the certificates that clients are shown. Its noun is the
// [Keeper]. It also makes the settings for TLS towards upstreams, see [Client].
//
// # Invariants
//
//   - A handshake sees one state: certificates, authorities of clients, protocols
//     and ticket keys that belong together. A change puts another state before the
//     handshakes that begin afterwards, and never touches what is established.
//   - All or nothing, where it is asked for: files that cannot be read, a key that
//     does not belong to its certificate, or a chain that is out of order leave
//     everything as it is. When files change by themselves, that in use takes the
//     place of what is bad, and nothing else waits for it.
//   - The content of a file counts, however it got there: written in place, renamed
//     over, or behind a symbolic link that was swapped. A certificate and its key
//     may change one after the other: what does not fit together is no news until
//     it has stayed so for some seconds, and then it is told once.
//   - Keys, of certificates and of session tickets, are in no log, no status and
//     no error.
//
// # Which certificate
//
// That for the very name which the client asks for (SNI), else one with a
// wildcard in the place of its first label, else the first pair; a client that
// asks for none asks for the address that it came to. Of several for one name, those
// that ACME obtained come first, and ECDSA and Ed25519 before RSA; the first that the
// client understands is shown. With Options.Strict there is no "else": a stranger's
// name is answered with the alert unrecognized_name.
//
// # Session tickets
//
// They are sealed with random keys that never leave this process. Every four
// hours another key is used, and the six before are still taken; so a ticket is
// good for 24 to 28 hours, whatever is reloaded meanwhile. Only other authorities of
// clients make all tickets worthless at once.
//
// # ACME
//
// Certificates are obtained, stored and renewed with certmagic, in one goroutine,
// one domain after the other: at once, then each hour if something is due (the
// directory says when by RFC 9773, else with the last third of the lifetime), and
// after a failure after 1, 5, 15, 30 and 60 minutes, then every 3 hours. The
// challenges tls-alpn-01 and http-01 are answered through [Keeper.Config] and
// [Keeper.HTTPChallenge]; no port is opened for them. A connection on which
// tls-alpn-01 was answered (its protocol is acme-tls/1) has to be closed by whoever
// accepted it. The libraries' own records come at level Debug.
//
// # Lifecycle
//
// [New] reads the files and starts nothing. [Keeper.Config] works from then on.
// [Keeper.Run] returns when its context has ended and all that it started, too:
// nothing of certmagic outlives it.
//
// # What the package refuses
//
// Encrypted keys, TLS before 1.2, suites without forward secrecy, wildcards by
// ACME (they need the challenge dns-01), OCSP stapling, and renegotiation. It looks
// at the first MiB of a file only. It does not use package watch, which takes a
// system resource for each file: dozens of them would use up what a user has, and
// for certificates a look every three seconds is soon enough.
package certs
