package config

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// Pool says what is kept in advance for new sessions.
type Pool struct {
	// Spares is the number of idle connections to each upstream, 0 to 1000.
	// Default 0.
	Spares int
	// SpareAge bounds the time that one of them waits, 1s to 24h. Default
	// pool.DefaultSpareAge.
	SpareAge time.Duration
}

// Forwarded says who is believed about clients, and what upstreams are told.
type Forwarded struct {
	// Trusted are the networks of proxies that are believed. Default none.
	Trusted []netip.Prefix
	// Style is the fields of both. Default handshake.ForwardX.
	Style handshake.ForwardStyle
}

// Limits bounds what clients may cost.
type Limits struct {
	// HeaderTimeout is the time a client has to send its request head, 1ms to
	// 24h. Default 5s.
	HeaderTimeout time.Duration
	// HeaderSize is the largest request head, 1KiB to 1MiB. Default 16KiB.
	HeaderSize ByteSize
	// Sessions bounds the open sessions of the process; 0 is no limit.
	// Default 0.
	Sessions int
	// SessionsPerAddress bounds the open sessions of one client address, of IPv6
	// of one /64 network; 0 is no limit, and it is not above Sessions. Default 0.
	SessionsPerAddress int
	// HandshakesPerSecond bounds what each listener admits in a second; 0 is no
	// limit. Default 0.
	HandshakesPerSecond int
	// MessageSize is the largest payload of one message, 125 bytes to 1024GiB; 0
	// is no limit. Default 0.
	MessageSize ByteSize
	// MessagesPerSecond bounds what one client sends in a second; 0 is no limit.
	// Default 0.
	MessagesPerSecond int
	// MessageBurst is how many of them may come at once, only with
	// MessagesPerSecond; 0 is those of one second. Default 0.
	MessageBurst int
	// BytesPerSecond bounds what one client sends in a second, 125 bytes to
	// 1024GiB; 0 is no limit. Default 0.
	BytesPerSecond ByteSize
	// ByteBurst is how many of them may come at once, 125 bytes to 1024GiB and
	// only with BytesPerSecond; 0 is those of one second. Default 0.
	ByteBurst ByteSize
	// CloseOnExcess ends the session of a client that sends more, instead of
	// slowing it down; only with a bound. Default false.
	CloseOnExcess bool
	// MemoryHigh is the resident memory from which on new sessions are refused,
	// 16MiB to 1024GiB; 0 is 90 % of the memory limit of the control group, if
	// there is one. Default 0.
	MemoryHigh ByteSize
	// MemoryLow is the memory below which they are admitted again, from 1MiB to
	// below MemoryHigh; 0 is 90 % of MemoryHigh. Default 0.
	MemoryLow ByteSize
}

// readNetwork reads a network, or an address as the network that holds only it.
func readNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, errors.New("has a zone, which no network has")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case s == "":
		return p, errors.New("is empty")
	case err != nil && strings.Contains(s, "://"):
		return p, errors.New("is a URL, not a network")
	case err != nil:
		return p, errors.New("is neither a network nor an address")
	}
	if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	switch {
	case p.Addr().Is4In6():
		return p, errors.New("holds IPv4 addresses and others; write the two as networks of their own")
	case p != p.Masked():
		return p, errors.New("has bits behind its length, did you mean " + p.Masked().String() + " or " + p.Addr().String())
	}
	return p, nil
}
