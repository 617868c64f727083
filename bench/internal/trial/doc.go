// Package trial measures what clients notice when something happens to the router: when sessions are moved by a failback, a
// reload, a shutdown, or a storm, when its upstream is far away, and when clients are slow on purpose, or too many.
//
// The noun is a trial: pointsman in front of echo upstreams, clients, most of which stay, and one thing that happens. The
// invariant: every figure is taken from the events that the clients saw, each with its moment; what the router says about
// itself only decides what the trial does next, and when. What nobody but the kernel knows of a process, its memory and its
// connections, is read from /proc.
//
// Lifecycle: each trial starts its processes and clients, and has ended all of them when it returns.
//
// It refuses to judge; package report does that.
package trial
