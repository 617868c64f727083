package health

import (
	"errors"
	"net/netip"
	"slices"
)

// ByClient marks err as one that the client at the address may have brought about, by what it asked for or sent: an answer of 5xx to
// its handshake, say, or a session that broke off. Among the failures that lead to a step down, those of one client count once, or
// anybody could take an upstream from all others. An IPv6 client is its /64 network; clients without an address are one.
// It returns nil for nil. The text of err stays as it is, and [errors.Is] and [errors.As] see through the mark.
func ByClient(client netip.Addr, err error) error {
	if err == nil {
		return nil
	}
	return &byClient{err, oneClient(client)}
}

type byClient struct {
	error
	client netip.Addr
}

// Unwrap returns the error that was marked.
func (b *byClient) Unwrap() error { return b.error }

// oneClient is the address that stands for all that one client may have.
func oneClient(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if network, err := a.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return a
}

// culprits are the clients whose failures have counted since the last step up or down, or since traffic was last well. There are no
// more than failures that count, and so no more than Options.Fall.
type culprits []netip.Addr

// again reports whether err is one of a client whose failure has counted already.
func (c culprits) again(err error) bool {
	by, ok := errors.AsType[*byClient](err)
	return ok && slices.Contains(c, by.client)
}

// add notes whose failure err is, if it is a client's.
func (c *culprits) add(err error) {
	if by, ok := errors.AsType[*byClient](err); ok {
		*c = append(*c, by.client)
	}
}
