// Package signalr emulates Azure SignalR Service in serverless mode, in memory.
// Its noun is the [Service]: the clients of all hubs, the REST API of app
// servers, and the requests that clients' invocations become.
//
// Clients negotiate at /client/negotiate?hub={hub} and connect to
// /client/?hub={hub}&id=… by WebSockets, server-sent events or long polling.
// They speak the JSON hub protocol, version 1. App servers call /api/hubs/… and
// /api/v1/hubs/…, and get what clients do if an upstream is given.
//
// Invariant: a client is sent its messages in the order in which they were made
// for it, each once; what it sends is executed one after the other. A client
// that takes them too slowly is closed, never silently skipped. A close message
// lets clients reconnect unless the client itself was at fault.
//
// Lifecycle: [New] validates and starts nothing. [Service.ServeHTTP] works
// while [Service.Run] runs; when Run's context ends, all clients are told to
// come again and closed, and Run returns once everything that it started has
// ended.
//
// The package refuses what it cannot do honestly: MessagePack gets a handshake
// error, stateful reconnect is never agreed to, streams are answered with an
// error. There are no connections of app servers: only serverless mode exists.
//
// What is not documented anywhere was chosen and says so in its comment; see
// also docs/emulator.md.
package signalr
