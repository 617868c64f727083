package proxy

import (
	"net"
	"net/netip"

	"github.com/pointsman/pointsman/pool"
)

// announcement is the header of the PROXY protocol with which the connection to an
// upstream begins, nil if it wants none. It names the client and the address it
// came to. Of a client that only a trusted proxy knows, the port is not known: it
// is 0 then.
func (c *clientConn) announcement(h pool.ProxyHeader) []byte {
	if h == pool.NoProxyHeader {
		return nil
	}
	client, reached := c.proxied.client, c.proxied.reached
	if !client.IsValid() {
		client, reached = addressOf(c.Conn.RemoteAddr()), addressOf(c.Conn.LocalAddr())
	}
	if a := c.address(); a != client.Addr() {
		client = netip.AddrPortFrom(a, 0)
	}
	return h.Format(client, reached)
}

// addressOf returns an address of TCP, or the invalid one.
func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return unmapped(tcp.AddrPort())
	}
	return netip.AddrPort{}
}
