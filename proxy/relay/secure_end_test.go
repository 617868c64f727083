package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
)

// tlsEnd is a way for TLS to end a side. All are lost without a Close frame.
type tlsEnd struct {
	name     string
	versions []uint16
	send     func(r *records) []byte
	fin      bool // the end of TCP follows
	answer   int  // the alert that comes back; -1: none, and the good-bye neither
}

const (
	noAlert = -1
	goodBye = closeNotify
)

var tlsEnds = []tlsEnd{
	{"good-bye and no more", bothVersions, func(r *records) []byte { return r.alert(closeNotify) }, false, goodBye},
	{"good-bye and the end of tcp", bothVersions, func(r *records) []byte { return r.alert(closeNotify) }, true, goodBye},
	{"good-bye and more data", bothVersions, func(r *records) []byte {
		return append(r.alert(closeNotify), r.record(dataRecord, []byte("more"))...)
	}, false, goodBye},
	{"good-bye and nonsense", bothVersions, func(r *records) []byte {
		return append(r.alert(closeNotify), "nonsense"...)
	}, true, goodBye},
	{"only the end of tcp", bothVersions, func(r *records) []byte { return nil }, true, goodBye},
	{"end of tcp inside a header", bothVersions, func(r *records) []byte {
		return r.record(dataRecord, []byte("lost"))[:3]
	}, true, goodBye},
	{"end of tcp inside a record", bothVersions, func(r *records) []byte {
		return r.record(dataRecord, []byte("lost"))[:20]
	}, true, goodBye},
	{"fatal alert", bothVersions, func(r *records) []byte { return r.alert(internalError) }, false, noAlert},
	{"fatal alert and the end of tcp", bothVersions, func(r *records) []byte { return r.alert(internalError) }, true, noAlert},
	{"damaged record", bothVersions, func(r *records) []byte {
		b := r.record(dataRecord, []byte("lost"))
		b[len(b)-20] ^= 1
		return b
	}, false, badRecordMAC},
	{"damaged record among others", bothVersions, func(r *records) []byte {
		b := r.record(dataRecord, []byte("lost"))
		b[len(b)-1] ^= 1
		return append(b, bytes.Repeat(r.record(dataRecord, make([]byte, 10_000)), 10)...)
	}, true, badRecordMAC},
	{"repeated record", bothVersions, func(r *records) []byte {
		b := r.alert(userCanceled)
		return append(b, b...)
	}, false, badRecordMAC},
	{"plain text", bothVersions, func(r *records) []byte { return []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }, false, protocolVersion},
	{"record of unknown type", bothVersions, func(r *records) []byte { return r.record(99, []byte("?")) }, false, unexpectedMessage},
	{"record that is too long", bothVersions, func(r *records) []byte { return []byte{dataRecord, 3, 3, 0x48, 0x01} }, false, recordOverflow},
	{"more data than a record may hold", bothVersions, func(r *records) []byte {
		return r.record(dataRecord, make([]byte, maxPlaintext+1))
	}, false, recordOverflow},
	{"empty records without end", bothVersions, func(r *records) []byte {
		var b []byte
		for range 20 {
			b = r.appendSealed(b, dataRecord, nil, 0)
		}
		return b
	}, false, unexpectedMessage},
	{"new keys without end", only13, func(r *records) []byte {
		var b []byte
		for range 20 {
			b = append(b, r.update(false)...)
		}
		return b
	}, false, unexpectedMessage},
	{"second finished", only13, func(r *records) []byte {
		return r.record(handshakeRecord, append([]byte{20, 0, 0, 32}, make([]byte, 32)...))
	}, false, unexpectedMessage},
	{"second hello", bothVersions, func(r *records) []byte { return r.record(handshakeRecord, r.hello) }, false, unexpectedMessage},
	{"second change of ciphers", only12, func(r *records) []byte { return r.record(changeCipher, []byte{1}) }, false, unexpectedMessage},
}

// However TLS ends: what came before is delivered, the other side gets what a
// lost side gets, and the side itself hears the alert, or else all that there is
// for it and the good-bye.
func TestEndsOfTLS(t *testing.T) {
	for _, end := range tlsEnds {
		t.Run(end.name, func(t *testing.T) {
			eachHand(t, Options{}, end.versions, func(t *testing.T, h *hand) { end.happen(t, h) })
		})
	}
}

func (end *tlsEnd) happen(t *testing.T, h *hand) {
	first, last := h.odd.frameFrom(textFrame, "first"), h.odd.frameFrom(textFrame, "last")
	h.odd.send(first)
	h.other.bytes(first)
	h.raw(h.records.record(dataRecord, last), end.send(h.records))
	if end.fin {
		if err := h.odd.conn.tcp.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	h.other.bytes(last)
	want := End{Cause: ClientLost}
	reply := h.other.frameFrom(closeFrame, body(1012, ""))
	if h.odd == h.upstream {
		want.Cause = UpstreamLost
		h.client.wantsClose(1012, "upstream lost")
	} else {
		h.upstream.eof()
		reply = h.other.frameFrom(closeFrame, body(1001, "you left"))
	}
	inFlight := h.other.frameFrom(textFrame, "in flight")
	h.other.send(inFlight, reply)
	if end.answer == goodBye {
		h.odd.bytes(inFlight, reply)
		h.odd.eof()
	} else {
		h.wantsAlert(end.answer)
	}
	if h.odd == h.upstream {
		h.client.eof()
	}
	h.hangUp()
	odd, other := sent(2, first, last), sent(1, inFlight, reply)
	want.Client, want.Upstream = h.traffic(odd, other)
	h.end(want)
}

// wantsAlert reads an alert, unless there should be none, and then the end of
// TCP at once. What the session still had for that side may stand before it.
func (h *hand) wantsAlert(description int) {
	h.t.Helper()
	if description != noAlert {
		if _, err := h.odd.in.ReadByte(); err != alertError(description) {
			h.t.Fatalf("%s: got %v, want %v", h.odd.name, err, alertError(description))
		}
	}
	h.odd.cut()
}

// Renegotiation is refused, and that is the end.
func TestRenegotiation(t *testing.T) {
	end := tlsEnd{name: "hello request", answer: noRenegotiation, send: func(r *records) []byte {
		return r.record(handshakeRecord, []byte{0, 0, 0, 0})
	}}
	t.Parallel()
	for _, policy := range []tls.RenegotiationSupport{tls.RenegotiateNever, tls.RenegotiateOnceAsClient, tls.RenegotiateFreelyAsClient} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			t.Parallel()
			r := startSecured(t, Options{}, upstream, tls.VersionTLS12, func(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
				return tunedByHand(t, d, version, near, tcp, func(near, _ *tls.Config) { near.Renegotiation = policy })
			})
			end.happen(t, r.hand(t, upstream))
		})
	}
}
