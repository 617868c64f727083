package pool

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// ProxyHeader says with what header of the PROXY protocol connections to an upstream begin.
type ProxyHeader uint8

// The headers.
const (
	NoProxyHeader ProxyHeader = iota // none
	ProxyHeaderV1                    // version 1, a line of text
	ProxyHeaderV2                    // version 2, binary
)

// String returns "none", "v1" or "v2".
func (h ProxyHeader) String() string {
	switch h {
	case NoProxyHeader:
		return "none"
	case ProxyHeaderV1:
		return "v1"
	case ProxyHeaderV2:
		return "v2"
	default:
		return fmt.Sprintf("proxy header %d", uint8(h))
	}
}

// ParseProxyHeader is the inverse of [ProxyHeader.String]. The error names the value and what is allowed.
func ParseProxyHeader(s string) (ProxyHeader, error) {
	for h := NoProxyHeader; h <= ProxyHeaderV2; h++ {
		if s == h.String() {
			return h, nil
		}
	}
	return NoProxyHeader, fmt.Errorf("proxy header %q is not one of none, v1, v2", s)
}

// Format returns the first bytes of a connection on behalf of client, which came to the address reached; nil for [NoProxyHeader]. If
// one of the two is the invalid address, or nobody stands behind the connection, as with a probe, the header says only that there is
// nothing to say: UNKNOWN in version 1, LOCAL in version 2 (specification of the PROXY protocol, sections 2.1 and 2.2).
// Where one is IPv4 and the other IPv6, the former is written in its IPv4-mapped form. It is to be sent in one write.
func (h ProxyHeader) Format(client, reached netip.AddrPort) []byte {
	if h == NoProxyHeader {
		return nil
	}
	var source, destination net.Addr
	if client.IsValid() && reached.IsValid() {
		source, destination = net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(reached)
	}
	header, err := proxyproto.HeaderProxyFromAddrs(byte(h), source, destination).Format()
	if err != nil {
		panic(err) // two addresses of TCP, or none, can be written
	}
	return header
}
