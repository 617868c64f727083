// Package procstat reads what a process and its descendants have used: CPU time from /proc/PID/stat, resident memory
// from /proc/PID/smaps_rollup. Of a process alone it reads the peak of its memory and its descriptors, and of a port the connections.
//
// The noun is a process tree, named by the process at its root; a peer with a master and workers is one tree. The
// invariant: a figure covers every process of the tree or is an error. Nothing is cached: each call looks at /proc
// afresh, so a tree that grows between two calls is counted whole in the second.
//
// It refuses to guess: a root that has gone is an error, and the time of children that have already been reaped is not
// counted.
package procstat
