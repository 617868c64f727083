package proxy

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// perAddress counts the sessions of each client address that has some, for
// [Limits.SessionsPerAddress]. It is asked when a session is admitted and when it
// has ended, never in between, and holds nothing for an address without
// sessions. The zero value counts none.
type perAddress struct {
	shards [1 << addressShardBits]addressShard
}

// addressShardBits says over how many locks the addresses are spread: enough
// that event loops hardly ever wait for each other.
const addressShardBits = 6

type addressShard struct {
	mu       sync.Mutex
	sessions map[addressKey]uint32 // nil before the first
	most     int                   // addresses since the map was made
}

// leastShrunk is the size up to which a map may stay as large as it has been.
const leastShrunk = 64

// addressKey is whom sessions are counted for.
type addressKey uint64

// unknownAddress is the key for clients without an address, who are one.
const unknownAddress = ^addressKey(0)

// keyOf is an IPv4 address, or the /64 network of an IPv6 address: within one,
// anybody can have as many addresses as they like. IPv4 is kept where IPv6 has
// multicast networks, which are nobody's address.
func keyOf(client netip.Addr) addressKey {
	client = client.Unmap()
	switch {
	case client.Is4():
		b := client.As4()
		return 0xff<<56 | addressKey(binary.BigEndian.Uint32(b[:]))
	case client.Is6():
		b := client.As16()
		return addressKey(binary.BigEndian.Uint64(b[:8]))
	default:
		return unknownAddress
	}
}

// shard returns where a key is counted.
func (a *perAddress) shard(k addressKey) *addressShard {
	const mixed = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return &a.shards[uint64(k)*mixed>>(64-addressShardBits)]
}

// enter takes a place for a session of client, unless it has most already.
// Whoever has taken one must leave.
func (a *perAddress) enter(client netip.Addr, most int) bool {
	k := keyOf(client)
	s := a.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sessions[k]
	if int64(n) >= int64(most) {
		return false
	}
	if s.sessions == nil {
		s.sessions = make(map[addressKey]uint32)
	}
	s.sessions[k] = n + 1
	s.most = max(s.most, len(s.sessions))
	return true
}

// leave gives back a place.
func (a *perAddress) leave(client netip.Addr) {
	k := keyOf(client)
	s := a.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.sessions[k]; n > 1 {
		s.sessions[k] = n - 1
		return
	}
	delete(s.sessions, k)
	s.shrink()
}

// shrink makes a new map when the present one is much too large: a map keeps the
// room that it once had. The price of it is shared by all who have left since.
func (s *addressShard) shrink() {
	n := len(s.sessions)
	if s.most <= leastShrunk || n >= s.most/4 {
		return
	}
	fresh := make(map[addressKey]uint32, n)
	for k, v := range s.sessions {
		fresh[k] = v
	}
	s.sessions, s.most = fresh, n
}
