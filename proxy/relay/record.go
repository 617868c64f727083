package relay

import "encoding/binary"

const (
	// maxRecord is the most payload of one TLS record, recordHeader what stands
	// before it (RFC 8446 §5.1).
	maxRecord    = 16 << 10
	recordHeader = 5
)

// recordCount is where a stream of TLS records stands.
type recordCount struct {
	whole  int    // that have ended
	left   uint16 // of the one under way, behind its header
	header [recordHeader]byte
	have   uint8 // of header
}

// count notes where records end in what comes next.
func (r *recordCount) count(p []byte) {
	for len(p) > 0 {
		if r.have < recordHeader {
			n := copy(r.header[r.have:], p)
			p = p[n:]
			if r.have += uint8(n); r.have < recordHeader {
				return
			}
			r.left = binary.BigEndian.Uint16(r.header[3:])
		}
		n := min(int(r.left), len(p))
		p = p[n:]
		if r.left -= uint16(n); r.left == 0 {
			r.whole++
			r.have = 0
		}
	}
}
