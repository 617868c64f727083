package proxy

import (
	"sync"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// opening is the memory of one handshake, used again for others. It is given
// back when the connection has been joined or closed.
type opening struct {
	head    []byte // what the client sent
	size    int    // bytes of its head; what follows are frames
	request handshake.Request
	trail   handshake.Trail

	out       []byte // what goes to the upstream, and later to the client
	back      []byte // what the upstream sent
	heardBack bool   // something came from it
	end       int    // bytes of its head; what follows are frames
	answer    handshake.Answer

	search   search
	searched bool // the search has begun
}

const (
	// firstHead is room for nearly every head.
	firstHead = 4 << 10
	// keptHead is the largest buffer that is used again.
	keptHead = 2 * firstHead
)

var openings = sync.Pool{New: func() any { return new(opening) }}

func (o *opening) free() {
	for _, b := range [...]*[]byte{&o.head, &o.out, &o.back} {
		if cap(*b) > keptHead {
			*b = nil
		}
		*b = (*b)[:0]
	}
	o.size, o.end = 0, 0
	o.search, o.searched = search{}, false
	o.request.Method = nil // of a head that is not parsed nothing is known
	openings.Put(o)
}

// early returns the frames that the client sent behind its head.
func (o *opening) early() []byte { return o.head[o.size:] }

// earlyBack returns the frames that the upstream sent behind its answer.
func (o *opening) earlyBack() []byte { return o.back[o.end:] }

// grow makes room in b for at least one more byte, at most up to limit in all.
func grow(b []byte, limit int) []byte {
	if len(b) < cap(b) {
		return b
	}
	larger := make([]byte, len(b), min(max(firstHead, 2*cap(b)), max(limit, len(b)+1)))
	copy(larger, b)
	return larger
}
