// Command pointsman is a WebSocket failover router. Its noun is the process:
// verbs, flags, signals and exit codes, one file per verb or family of verbs.
// What a verb does lives in the packages it calls; only the demo, which is a play
// about whole processes, and the failover drill, which is one about a running
// router, are told here.
//
// The verbs for operators call at the admin address of a running router (see
// caller.go), give at most one order, and print what it answers.
//
// Exit codes: 0 it worked; 1 the operation failed or the file has mistakes; 2
// wrong usage. Errors are printed once, on stderr, as "pointsman: …".
package main
