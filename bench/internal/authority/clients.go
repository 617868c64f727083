package authority

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// Manner is how handshakes are done.
type Manner int

// The manners.
const (
	// Full is a handshake with X25519, and the server's certificate.
	Full Manner = iota
	// Resumed is the same with a ticket of an earlier one in place of the certificate. A first handshake, which gets the ticket, is full.
	Resumed
	// Hybrid is Full with X25519MLKEM768, which clients written in Go and browsers offer by themselves.
	Hybrid
)

// suite is the only one that is taken: what clients with AES in their processor prefer.
const suite = tls.TLS_AES_128_GCM_SHA256

// Setting is what all handshakes of a manner have in common, in words.
func (m Manner) Setting() string {
	words := fmt.Sprintf("ECDSA P-256, TLS 1.3, %s, %s", tls.CipherSuiteName(suite), m.curves()[0])
	if m == Resumed {
		words += ", resumed with tickets"
	}
	return words
}

func (m Manner) curves() []tls.CurveID {
	if m == Hybrid {
		return []tls.CurveID{tls.X25519MLKEM768}
	}
	return []tls.CurveID{tls.X25519}
}

// Clients are clients of one server. They share its last ticket, if their manner is Resumed. Make them with Authority.Clients.
type Clients struct {
	manner        Manner
	leaf          []byte // the certificate that every server has to show
	config        *tls.Config
	last          atomic.Pointer[tls.ClientSessionState]
	full, resumed atomic.Int64
}

// Clients makes clients that handshake in that manner.
func (a *Authority) Clients(m Manner) *Clients {
	c := &Clients{manner: m, leaf: a.certificate.Certificate[0]}
	c.config = &tls.Config{
		ServerName: Name, MinVersion: tls.VersionTLS13, CurvePreferences: m.curves(), DynamicRecordSizingDisabled: true,
		// The certificate is compared, byte for byte. To judge a chain would cost the load more and prove less.
		InsecureSkipVerify: true, VerifyConnection: c.check,
	}
	if m == Resumed {
		c.config.ClientSessionCache = (*ticket)(c)
	}
	return c
}

// Config is their side of TLS.
func (c *Clients) Config() *tls.Config { return c.config }

// Done is how many handshakes went well so far, and how many of these were resumed.
func (c *Clients) Done() (all, resumed int64) {
	r := c.resumed.Load()
	return c.full.Load() + r, r
}

// check is called by crypto/tls at the end of each handshake on the client's side.
func (c *Clients) check(s tls.ConnectionState) error {
	switch {
	case len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, c.leaf):
		return errors.New("not the certificate of this run")
	case s.Version != tls.VersionTLS13 || s.CipherSuite != suite || s.CurveID != c.manner.curves()[0]:
		return fmt.Errorf("%s, %s, %v; want %s", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.CurveID, c.manner.Setting())
	}
	if s.DidResume {
		c.resumed.Add(1)
	} else {
		c.full.Add(1)
	}
	return nil
}

// ticket keeps the last ticket for all. A ticket is good for many handshakes, unless data goes with the first flight.
type ticket Clients

// Get implements tls.ClientSessionCache.
func (t *ticket) Get(string) (*tls.ClientSessionState, bool) {
	s := t.last.Load()
	return s, s != nil
}

// Put implements tls.ClientSessionCache. A handshake that was given up puts nothing in the place of its ticket, which is as good as
// before.
func (t *ticket) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		t.last.Store(s)
	}
}
