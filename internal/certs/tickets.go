package certs

import (
	"crypto/rand"
	"time"
)

const (
	// ticketAge is how long session tickets are made with one key.
	ticketAge = 4 * time.Hour
	// ticketsKept is how many older keys are still taken. Sessions live for hours
	// here, and a drain ends many at once: those clients should come back with the
	// tickets of their last handshake. So a ticket is good for a day, and for four
	// hours more at most.
	ticketsKept = 6
)

// ring holds the keys of session tickets, the one in use first. They are random,
// and leave the memory of this process for nowhere.
type ring [][32]byte

// newRing returns a ring that no ticket fits.
func newRing() ring { return ring{}.next() }

// next returns the ring with a new key in use.
func (r ring) next() ring {
	var key [32]byte
	_, _ = rand.Read(key[:]) // It never returns an error.
	return append(ring{key}, r[:min(len(r), ticketsKept)]...)
}
