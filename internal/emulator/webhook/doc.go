// Package webhook is the way from an emulated service to the app server: HTTP
// requests to a URL that is a template. Its noun is the [Hook].
//
// Invariant: an app server takes up a bounded time and a bounded number of
// connections, and its answers a bounded memory. No error tells the URL, which
// may hold a secret.
//
// Lifecycle: [New] validates and opens nothing. [Hook.Close] lets idle
// connections go.
//
// The package refuses to know what the requests mean, to follow redirects, and
// to try anything twice.
package webhook
