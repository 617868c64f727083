package proxy

import (
	"net/http"
	"strings"

	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

// sendAfresh answers a client that wants a connection of Web PubSub back, and whose
// upstream cannot be asked for it. A refusal would have it try again for 30 s; what
// tells it to begin anew is an accepted handshake and Close 1008 (the
// specification of the reliable subprotocols, as its clients keep to it).
func (p *Proxy) sendAfresh(c *clientConn) {
	p.counters.refused.Add(1)
	p.counters.refusals.count(errGoneConnection.Code)
	accept := handshake.Accept(c.request.Key)
	out := append(c.out[:0], "HTTP/1.1 101 "...)
	out = append(out, http.StatusText(http.StatusSwitchingProtocols)...)
	out = append(out, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "...)
	out = append(out, accept[:]...)
	out = append(append(out, "\r\nSec-WebSocket-Protocol: "...), c.reliableProtocol()...)
	out = append(out, "\r\n\r\n"...)
	c.say(out)
	c.out = wsframe.AppendClose(out[:0], wsframe.CodePolicy, "connection not found", false)
	c.say(c.out)
}

// manner is how the clients of a route want to be sent elsewhere.
type manner uint8

// The manners.
const (
	plainly      manner = iota
	withFarewell        // SignalR: a message of the hub protocol says that they may come again
	withPolicy          // Web PubSub, reliable: only Close 1008 ends their attempts to take the connection up again
)

// parting is what the relay says before a Close frame.
func (m manner) parting() relay.Parting {
	if m == withFarewell {
		return relay.SignalRParting
	}
	return relay.NoParting
}

// code is the code of a Close frame with which a client is sent elsewhere.
func (m manner) code(usual uint16) uint16 {
	if m == withPolicy {
		return wsframe.CodePolicy
	}
	return usual
}

// manner finds out how c does.
func (c *clientConn) manner() manner {
	switch d := c.route.desk; {
	case d == nil:
		return plainly
	case d.signalR():
		return withFarewell
	case strings.Contains(string(c.answer.Protocol), reliableMarking):
		return withPolicy
	}
	return plainly
}
