//go:build !linux || portable

package relay

import "crypto/tls"

func detach(*tls.Conn) error { return nil }
