package http2

import "sync"

// ring holds what has come on a stream and was not taken yet. It has memory only
// while it holds something.
type ring struct {
	buffer *[Window]byte
	start  int
	length int
	lent   bool // somebody reads what first has returned
}

var rings = sync.Pool{New: func() any { return new([Window]byte) }}

// write puts p behind what is there. There is room: the client has no more
// window than that.
func (r *ring) write(p []byte) {
	if len(p) == 0 {
		return
	}
	if r.buffer == nil {
		r.buffer, r.start = rings.Get().(*[Window]byte), 0
	}
	end := (r.start + r.length) % Window
	n := copy(r.buffer[end:], p)
	copy(r.buffer[:r.start], p[n:])
	r.length += len(p)
}

// first returns what is there in one piece, from the start. It stays in place
// until take is called.
func (r *ring) first() []byte {
	if r.length == 0 {
		return nil
	}
	return r.buffer[r.start:min(r.start+r.length, Window)]
}

// take takes n bytes from the start.
func (r *ring) take(n int) {
	r.start = (r.start + n) % Window
	if r.length -= n; r.length == 0 {
		r.free()
	}
}

// free gives the memory back, and what is in it up, unless somebody reads it.
func (r *ring) free() {
	r.length = 0
	if r.buffer != nil && !r.lent {
		rings.Put(r.buffer)
		r.buffer = nil
	}
}
