package proxy

import "time"

// filesReserved are the descriptors that no client gets: probes, the admin door,
// name lookups, logs and the loops need some, and so do those who are told that
// there is no more room.
const filesReserved = 128

// filesPerLoop are what one event loop holds: its epoll set, its gate, its bell and a pipe.
const filesPerLoop = 5

// files bounds the descriptors that clients may use. A session holds two: its
// own and its upstream's. Between limit and most are those who are told that
// there is no room; above most nobody is accepted before some of them have gone.
type files struct{ limit, most int64 }

// newFiles takes the limit of the process, if the system has one. A small limit
// is shared out.
func newFiles(loops int) files {
	all := fileLimit()
	if all <= 0 {
		return files{}
	}
	reserved := min(filesReserved+int64(filesPerLoop*loops), all/4)
	limit := max(all-reserved, 2)
	return files{limit, limit + reserved/4}
}

// short reports whether there is no room for n more.
func (f files) short(used, n int64) bool { return f.limit > 0 && used+n > f.limit }

// filesPause is how often a gate looks whether some have gone.
const filesPause = time.Millisecond

// hasRoom reports whether somebody more may be accepted.
func (p *Proxy) hasRoom() bool {
	return !p.filesShort() || p.filesUsed() < p.files.most || p.stopping.Load()
}

// awaitFiles waits until somebody more may be accepted.
func (p *Proxy) awaitFiles() {
	for !p.hasRoom() {
		time.Sleep(filesPause)
	}
}

// crowded reports whether there is no time to wait for refused clients.
func (p *Proxy) crowded() bool { return p.files.short(p.filesUsed(), filesReserved/4) }

// filesShort reports whether clients have no room left. Spare connections are the
// first to go.
func (p *Proxy) filesShort() bool {
	return p.files.short(p.filesUsed(), 0) && (!p.giveUpSpares() || p.files.short(p.filesUsed(), 0))
}

// filesUsed is at least how many descriptors clients use now, and spare
// connections to upstreams.
func (p *Proxy) filesUsed() int64 {
	c := &p.counters
	return c.atGate.Load() - c.streamsAtGate.Load() + 2*c.open.Load() + c.streamFiles.Load() + c.spares.Load()
}
