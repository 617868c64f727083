// Package peer starts and stops what takes part in a measurement: the echo upstream, the inboxes of broadcasts, and the candidates that
// stand in front of them (pointsman, nginx, HAProxy), and tools, which take part without being measured.
//
// The noun is a Candidate: an address to connect to and the process tree whose cost is measured. The invariant: what was
// started is stopped, on success, on error and when the program is interrupted; each process is the leader of its own
// group, and the group is killed if it does not end by itself. Should the program itself be killed, the kernel ends the
// leaders (PR_SET_PDEATHSIG).
//
// Lifecycle: a start function returns when the process answers; Stop returns when it has ended.
//
// All candidates get two processors and the same limits, and none writes an access log. It refuses to tune further: the
// configurations are those that the manuals show.
package peer
