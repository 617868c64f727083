package webpubsub

import "sync"

// rememberedAcks is how many of its latest ack ids a client may not use again.
// The service knows no such limit, but its memory has one as well.
const rememberedAcks = 1024

// ackWindow remembers the latest ack ids of a client. The zero value is ready.
type ackWindow struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
	ring []uint64 // in the order of arrival once it is full, from next on
	next int
}

// first remembers id, and reports whether it was not remembered before.
func (w *ackWindow) first(id uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[uint64]struct{})
	}
	if _, again := w.seen[id]; again {
		return false
	}
	w.seen[id] = struct{}{}
	if len(w.ring) < rememberedAcks {
		w.ring = append(w.ring, id)
		return true
	}
	delete(w.seen, w.ring[w.next])
	w.ring[w.next] = id
	w.next = (w.next + 1) % rememberedAcks
	return true
}
