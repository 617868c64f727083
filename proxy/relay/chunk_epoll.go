//go:build linux && !portable

package relay

// chunks keeps the buffers of one loop for bytes that a full socket did not
// take. Sizes are powers of four from 4 KiB; a few of each are kept.
type chunks struct {
	free [chunkClasses][][]byte
}

const (
	smallestChunk = 4 << 10
	chunkClasses  = 5 // 4, 16, 64, 256 KiB, 1 MiB
	chunksKept    = 1 << 20
)

// class is the smallest size class for n bytes, or chunkClasses if none is
// large enough.
func class(n int) int {
	c := 0
	for size := smallestChunk; size < n && c < chunkClasses; size *= 4 {
		c++
	}
	return c
}

// extend appends p to chunk, which may be nil, in a buffer of the pool.
func (c *chunks) extend(chunk, p []byte) []byte {
	need := len(chunk) + len(p)
	if need <= cap(chunk) {
		return append(chunk, p...)
	}
	k := class(need)
	if k == chunkClasses {
		return append(chunk, p...)
	}
	var larger []byte
	if n := len(c.free[k]); n > 0 {
		larger = c.free[k][n-1]
		c.free[k] = c.free[k][:n-1]
	} else {
		larger = make([]byte, 0, smallestChunk<<(2*k))
	}
	larger = append(append(larger, chunk...), p...)
	if chunk != nil {
		c.put(chunk)
	}
	return larger
}

// put takes a buffer back. At most chunksKept bytes of each size are kept.
func (c *chunks) put(chunk []byte) {
	k := class(cap(chunk))
	if k < chunkClasses && cap(chunk) == smallestChunk<<(2*k) && (len(c.free[k])+1)*cap(chunk) <= chunksKept {
		c.free[k] = append(c.free[k], chunk[:0])
	}
}
