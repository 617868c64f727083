package echo

import "math/bits"

const (
	minBuffer = 4 << 10
	// keepPerClass bounds what a burst of large messages leaves behind.
	keepPerClass = 64
)

// pool holds the buffers of one loop by size class; class i holds minBuffer<<i bytes each.
type pool struct {
	classes [14][][]byte // up to 32 MiB, above the message limit
}

// get returns an empty buffer with room for at least n bytes.
func (p *pool) get(n int) []byte {
	class := classOf(n)
	if have := p.classes[class]; len(have) > 0 {
		p.classes[class] = have[:len(have)-1]
		return have[len(have)-1][:0]
	}
	return make([]byte, 0, minBuffer<<class)
}

// put takes back a buffer that get has returned.
func (p *pool) put(b []byte) {
	class := classOf(cap(b))
	if len(p.classes[class]) < keepPerClass {
		p.classes[class] = append(p.classes[class], b)
	}
}

func classOf(n int) int {
	if n <= minBuffer {
		return 0
	}
	return bits.Len(uint((n - 1) / minBuffer))
}
