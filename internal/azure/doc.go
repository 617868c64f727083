// Package azure knows what the SDKs of Azure SignalR Service and Azure Web PubSub agree on with their services: connection
// strings, access keys and access tokens, and the URLs and audiences that belong to a hub. Its nouns are [ConnectionString] and
// [Token].
//
// # Invariants
//
//   - No error, no log value and no printed form of a type of this package holds a key, a token, or a part of one.
//   - A [Token] that [Verifier.Verify] returns was signed with HS256 and a key of the issuer that it names, had not expired, and was
//     for the resource that was asked about. Nothing else is ever accepted: not "none", not another algorithm.
//   - A token that is minted from another carries all its claims, unchanged but for the audience.
//   - Whatever strangers send is bounded before it is looked at: [MaxToken], [MaxConnectionString].
//
// # Lifecycle
//
// [ParseConnectionString], [FromEnvironment] and [Reduce] belong to start-up and reloads. A [Verifier] is made once for a set of
// issuers with [NewVerifier]; it starts nothing and needs no closing. All values but a [Claims] under construction may be used
// concurrently.
//
// # What the package refuses
//
// It opens no connection, reads no file and no variable by itself, and knows no other way to prove an identity than access keys:
// Microsoft Entra identities are refused with an error that says so.
//
// The facts come from the published sources of the SDKs and Microsoft's documentation. Where a fact could not be verified, the
// comment says so, and the code accepts what either reading would send.
package azure
