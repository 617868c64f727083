package health

import (
	"context"
	"net"
)

// TCPProbe returns a probe that connects to addr ("host:port") and closes the connection. It sees a host that is down or refuses, and
// nothing more: an upstream that hangs above TCP passes. It sends nothing, not even a header of the PROXY protocol. The probe may be called concurrently.
func TCPProbe(addr string) Probe {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err // already "dial tcp ADDR: cause"
		}
		_ = conn.Close() // it was connected: that is all we asked
		return nil
	}
}
