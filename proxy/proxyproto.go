package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// The shortest header of either version of the PROXY protocol, the fixed part of
// version 2, and the longest header of version 1 (the protocol's specification,
// sections 2.1 and 2.2).
const (
	proxyShortest = 15 // "PROXY UNKNOWN\r\n"
	proxyFixed    = 16
	proxyLongest1 = 107
	// proxyLongest2 bounds version 2: addresses and the usual extensions.
	proxyLongest2 = 2048

	// Where version 2 has its version and command, and that of a connection that is
	// passed on; and where it has, in the upper half, the family of its addresses: 0
	// if the proxy does not know them, or they are none of these families.
	proxyCommand  = 12
	proxyPassedOn = 0x21
	proxyFamily   = 13
)

var errProxyHeader = errors.New("no header of the PROXY protocol")

// proxied is what a header of the PROXY protocol says: where the client is, and which
// address it came to. Both are invalid if the connection is the proxy's own, a
// health check for example, or the proxy does not know or cannot say it.
type proxied struct{ client, reached netip.AddrPort }

// readProxyHeader reads exactly the header with which a proxy before us says who
// the client is.
func readProxyHeader(conn net.Conn) (says proxied, err error) {
	var buffer [proxyLongest2]byte
	head := buffer[:proxyShortest]
	if _, err := io.ReadFull(conn, head); err != nil {
		return says, fmt.Errorf("PROXY header: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, proxyproto.SIGV2):
		if head, err = readProxy2(conn, buffer[:]); err != nil {
			return says, err
		}
		if head[proxyCommand] == proxyPassedOn && head[proxyFamily]>>4 == 0 {
			return says, nil // like UNKNOWN in version 1
		}
	case bytes.HasPrefix(head, proxyproto.SIGV1):
		// Byte by byte: what follows the line is not ours to take.
		for head[len(head)-1] != '\n' {
			if len(head) == proxyLongest1 {
				return says, errProxyHeader
			}
			head = head[:len(head)+1]
			if _, err := io.ReadFull(conn, head[len(head)-1:]); err != nil {
				return says, fmt.Errorf("PROXY header: %w", err)
			}
		}
	default:
		return says, errProxyHeader
	}
	header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return says, fmt.Errorf("PROXY header: %w", err)
	}
	if header.Command.IsLocal() {
		return says, nil
	}
	if source, destination, ok := header.TCPAddrs(); ok {
		says = proxied{unmapped(source.AddrPort()), unmapped(destination.AddrPort())}
	}
	return says, nil
}

// readProxy2 reads the rest of a header of version 2, whose first bytes stand in
// buffer.
func readProxy2(conn net.Conn, buffer []byte) ([]byte, error) {
	if _, err := io.ReadFull(conn, buffer[proxyShortest:proxyFixed]); err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	whole := proxyFixed + int(buffer[14])<<8 + int(buffer[15])
	if whole > len(buffer) {
		return nil, fmt.Errorf("PROXY header of %d bytes: %w", whole, errProxyHeader)
	}
	if _, err := io.ReadFull(conn, buffer[proxyFixed:whole]); err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	return buffer[:whole], nil
}

// unmapped is an address in the one form in which they are compared: IPv4 as such,
// and without a zone, which says something to this machine only.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
