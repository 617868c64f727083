// Package admin is the operator's door: an HTTP listener of its own that says
// what the router believes and does, and takes orders. Its noun is the door.
//
// # What there is
//
//	GET  /healthz                   200 while the process runs
//	GET  /readyz                    200 while a new client would find an upstream, else 503
//	GET  /status                    everything, as JSON ([Status])
//	GET  /metrics                   the same for Prometheus (metrics.go)
//	GET  /upstreams                 the upstreams alone ([Upstreams])
//	GET  /upstreams/NAME            one of them ([Upstream])
//	GET  /drains                    drains, also the last that ended ([Drains])
//	GET  /drains/ID                 one of them ([drain.Status])
//	POST /upstreams/NAME/drain      closes its sessions at a pace ([Begun])
//	POST /upstreams/NAME/disable    no new sessions for it
//	POST /upstreams/NAME/enable     new sessions again; ends its drains and drills
//	POST /upstreams/NAME/failover   practises its loss for a time ([Begun])
//	POST /drains/ID/pause, resume, cancel
//	POST /reload                    takes on the configuration as it is now ([Reload])
//
// What a POST has to say is a JSON object, or nothing if there is nothing to
// say. What is refused gets a status and a [Refusal] as JSON: 400 names the
// field, its value and what was expected; 404 names what there is.
//
// # Invariants
//
//   - Looking never changes or delays a session: it reads atomic counters and
//     snapshots. The door bounds how many may stand in it and for how long, and
//     is never reachable through the address of the clients.
//   - Nothing changes by a GET. A POST changes something only for a caller who is
//     no browser, and who knows the token or stands on this machine; see guard.go.
//   - The token is in no log and in no answer.
//   - Each order that was carried out is one line in the log, at Info.
//
// Reading is open to everybody who reaches the door.
//
// # Lifecycle
//
// [New] validates and starts nothing; [Door.Run] serves a listener until its
// context ends, and returns when every visitor has left.
//
// # What the package refuses
//
// Every other path (404), also other spellings of a known one, and every other
// method (405). It has no page for profiles or debugging.
package admin
