//go:build !linux || portable

package relay

import (
	"net"
	"net/netip"
	"time"
)

func (r *Relay) receive(net.Listener, *Reception) (net.Listener, error) { return nil, ErrNoReception }

// Guest is a client before it is joined, as a [Reception] sees it. In the portable
// variant there are none.
type Guest struct {
	// Tag is for the Reception.
	Tag any
}

// The methods of a Guest are those of the event loops.

func (g *Guest) Client() netip.AddrPort             { return netip.AddrPort{} }
func (g *Guest) Left() (time.Duration, bool)        { return 0, false }
func (g *Guest) HangUp()                            {}
func (g *Guest) Read([]byte) (int, error)           { return 0, net.ErrClosed }
func (g *Guest) Ask(*Question) error                { return net.ErrClosed }
func (g *Guest) ReadAnswer([]byte) (int, error)     { return 0, net.ErrClosed }
func (g *Guest) Say([]byte) bool                    { return false }
func (g *Guest) Join(Pair) *Session                 { return nil }
func (g *Guest) Conns() (client, upstream net.Conn) { return nil, nil }
func (g *Guest) Refuse([]byte, time.Duration, int)  {}
func (g *Guest) Close()                             {}
