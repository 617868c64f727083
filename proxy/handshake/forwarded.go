package handshake

import (
	"net/netip"
	"slices"
)

// ForwardStyle says which fields tell about the client: those that trusted proxies before us are believed in, and those that
// the upstream gets.
type ForwardStyle uint8

// The styles. Only one family of fields is read, because a proxy that writes one of them often passes on the other as the
// client has sent it.
const (
	// ForwardX reads and writes X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host.
	ForwardX ForwardStyle = iota
	// ForwardRFC7239 reads and writes the Forwarded field of RFC 7239.
	ForwardRFC7239
	// ForwardBoth writes both. It reads the one that is there. If both are, they have to agree about the client, or
	// neither is believed; and what they say about scheme and host is believed only if both say the same.
	ForwardBoth
	// ForwardNone writes none: the upstream is not told. It reads as ForwardX does.
	ForwardNone
)

// MaxHops is the largest number of proxies in a chain that are looked at.
const MaxHops = 32

// Trail is the part of a chain of proxies that trusted ones vouch for: who connected to whom, back to the client. The zero
// value is empty. A Trail may be used for one request after the other and keeps its slices' capacity. It points into the
// head.
type Trail struct {
	addresses   []netip.Addr // nearest first; the invalid one if a proxy does not say
	elements    [][]byte     // the same of a Forwarded field, as they came; empty if there was none
	proto, host []byte       // what the client used; nil if nobody says
}

// Proto returns the scheme that the client used, "http" or "https", nil if no proxy that is believed says. It points into the head.
func (t *Trail) Proto() []byte { return t.proto }

// Host returns the Host field that the client sent, nil if no proxy that is believed says. It points into the head.
func (t *Trail) Host() []byte { return t.host }

// Trace reads what the proxies before us say about a request, fills t with the part that can be believed, and returns the
// address of the client.
//
// peer is who has connected, trusted are the networks of the proxies that are believed. If peer is not one of these,
// nothing is believed and the client is peer. Otherwise the chain (X-Forwarded-For, or the for parameters of Forwarded,
// by style) is walked from its right end: each element was written by the proxy behind it, so it is believed if that proxy
// is trusted. The first address that is not trusted is the client; if all are trusted, it is the last one reached. What
// stands before it was said by the client itself, and is dropped.
//
// Several fields of one name are one list. The walk stops, and the client is the address reached so far, at an element
// that is malformed or empty, at one that names no address ("unknown" and the obfuscated names of RFC 7239 §6.2, 6.3), and after
// [MaxHops] elements. An element of X-Forwarded-For is an IPv4 address or an IPv6 address, in brackets or not; with a port,
// which is not looked at, IPv6 needs the brackets. Forwarded is read to the letter of RFC 7239 §4 and §6, but for
// white space around a semicolon, which is let pass. IPv6 zones are malformed, IPv4 within IPv6 is IPv4.
//
// Scheme and host are the last ones in X-Forwarded-Proto and X-Forwarded-Host, or the proto and host of the first
// element of Forwarded that is believed. One that is malformed counts as not said.
//
// It allocates nothing for a peer that is not trusted.
func (r *Request) Trace(t *Trail, peer netip.Addr, trusted []netip.Prefix, style ForwardStyle) (client netip.Addr) {
	t.reset()
	peer = peer.Unmap()
	if !among(trusted, peer) {
		return peer
	}
	readsX := style != ForwardRFC7239
	x := readsX && r.has(kindForwardedFor)
	f := (!readsX || style == ForwardBoth) && r.has(kindForwarded)
	switch {
	case f && x:
		return t.compare(r, peer, trusted)
	case f:
		client = t.walk(r, kindForwarded, peer, trusted)
		t.proto, t.host = farthest(t.elements)
	case readsX:
		client = t.walk(r, kindForwardedFor, peer, trusted)
		t.proto, t.host = r.protoHost()
	default:
		client = peer
	}
	return client
}

// compare reads both families of fields and keeps what they agree in.
func (t *Trail) compare(r *Request, peer netip.Addr, trusted []netip.Prefix) netip.Addr {
	other := t.walk(r, kindForwarded, peer, trusted)
	t.addresses = t.addresses[:0]
	client := t.walk(r, kindForwardedFor, peer, trusted)
	if client != other {
		t.reset()
		return peer
	}
	t.proto, t.host = r.protoHost()
	proto, host := farthest(t.elements)
	if !equalFold(t.proto, proto) {
		t.proto = nil
	}
	if !equalFold(t.host, host) {
		t.host = nil
	}
	return client
}

func (t *Trail) reset() {
	*t = Trail{addresses: t.addresses[:0], elements: t.elements[:0]}
}

// walk walks a chain from its right end and returns the address where it stops.
func (t *Trail) walk(r *Request, k kind, peer netip.Addr, trusted []netip.Prefix) netip.Addr {
	reached := peer
	for _, f := range slices.Backward(r.Fields) {
		if f.kind != k {
			continue
		}
		for rest, more := f.Value, true; more; {
			var element []byte
			rest, element, more = cutLast(rest, k == kindForwarded)
			if len(t.addresses) == MaxHops {
				return reached
			}
			var address netip.Addr
			ok := false
			if k == kindForwarded {
				var h hop
				if h, ok = parseHop(element); ok {
					address, ok = h.address()
				}
			} else {
				address, ok = parseNode(element, true)
			}
			if !ok {
				return reached
			}
			t.addresses = append(t.addresses, address)
			if k == kindForwarded {
				t.elements = append(t.elements, element)
			}
			if !address.IsValid() {
				return reached
			}
			if reached = address; !among(trusted, address) {
				return reached
			}
		}
	}
	return reached
}

// among reports whether an address is in one of the networks.
func among(networks []netip.Prefix, a netip.Addr) bool {
	a = a.WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// farthest returns what the element that is farthest away says about the client.
func farthest(elements [][]byte) (proto, host []byte) {
	if len(elements) == 0 {
		return nil, nil
	}
	h, _ := parseHop(elements[len(elements)-1])
	if isScheme(h.proto) {
		proto = h.proto
	}
	if isAuthority(h.host) {
		host = h.host
	}
	return proto, host
}

// protoHost returns what X-Forwarded-Proto and X-Forwarded-Host say.
func (r *Request) protoHost() (proto, host []byte) {
	return r.lastOf(kindForwardedProto, isScheme), r.lastOf(kindForwardedHost, isAuthority)
}

// lastOf returns the last element of all fields of kind k if it is valid, else nil: the nearest proxy has written it.
func (r *Request) lastOf(k kind, valid func([]byte) bool) []byte {
	list, _ := only(r.Fields, k)
	if _, last, _ := cutLast(list, false); valid(last) {
		return last
	}
	return nil
}

// isScheme reports whether b is a scheme (RFC 3986 §3.1) of a sensible length.
func isScheme(b []byte) bool {
	const longest = 16
	if len(b) == 0 || len(b) > longest || lower(b[0]) < 'a' || lower(b[0]) > 'z' {
		return false
	}
	for _, c := range b {
		if !is(c, classUnreserved) && c != '+' || c == '_' || c == '~' {
			return false
		}
	}
	return true
}
