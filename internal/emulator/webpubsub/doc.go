// Package webpubsub emulates Azure Web PubSub in memory. Its noun is the
// [Service]: the clients of all hubs, the REST API of app servers, and the
// events that go to them.
//
// Clients connect to /client/hubs/{hub} or /client/?hub={hub}: without a
// subprotocol ("raw"), with json.webpubsub.azure.v1, or with
// json.reliable.webpubsub.azure.v1, which can be recovered after a loss. App
// servers call /api/hubs/…, and get CloudEvents if an event handler is given.
//
// Invariant: what one client sent is executed in the order in which it was
// sent; a message reaches each client that it is for once per socket, and with
// the reliable subprotocol it is kept until it is acknowledged, in order, with
// gaps only where a time to live was over; a client for whom this cannot be kept
// within the limits is closed, never silently skipped.
//
// Lifecycle: [New] validates and starts nothing. [Service.ServeHTTP] works
// while [Service.Run] runs; when Run's context ends, all clients are closed
// with 1001 and Run returns once everything that it started has ended.
//
// The package refuses what it cannot do honestly: the protobuf subprotocols,
// MQTT and Socket.IO get an error, streams and group state end the connection
// that sends them. Nothing outlives the process.
//
// What is not documented anywhere was chosen and says so in its comment; see
// also docs/emulator.md.
package webpubsub
