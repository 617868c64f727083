package relay

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
)

// sheltered is a listener that is more than a TCP listener.
type sheltered struct{ *net.TCPListener }

// What is no listener of TCP itself cannot be received from, and is left as it is.
func TestReceiveOfOtherKind(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Skip(err)
	}
	for _, ln := range []net.Listener{unix, sheltered{listen(t)}} {
		defer ln.Close()
		if door, err := r.relay.Receive(ln, Reception{}); door != nil || !errors.Is(err, ErrNoReception) {
			t.Errorf("receive: %v, %v", door, err)
		}
		far, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		near, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		near.Close()
	}
}
