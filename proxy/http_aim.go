package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/exchange"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// What the clients of Engine.IO write into the query: the session, the version of
// the protocol, and how they are connected.
const (
	engineSID       = "sid"
	engineVersion   = "EIO"
	engineTransport = "transport"
)

// aim is what is known about the upstream of a request: whether its client belongs
// there already, and in what way the answer says so to a client that does not.
type aim struct {
	belongs bool // an id leads there
	reads   bool // the body of the answer will be read
	adapt   func(*clientConn, *handshake.Answer, string) exchange.Adaptation
}

// as leaves an answer as it is.
func asItIs(*clientConn, *handshake.Answer, string) exchange.Adaptation {
	return exchange.Adaptation{}
}

// aim finds out where a request belongs.
func (c *clientConn) aim() *aim {
	c.find()
	a := &aim{belongs: c.ticket.bound(), adapt: asItIs}
	if c.route.pins == nil || c.ticket != nil {
		return a
	}
	switch {
	case c.route.HTTP.Affinity == AffinityByCookie:
		if c.steer == nil {
			a.adapt = setCookie
		} else {
			a.adapt = moveCookie
		}
	case c.steer != nil:
		a.belongs = true
	case c.negotiatesSignalR():
		a.reads, a.adapt = true, adaptNegotiation
	case c.opensEngine():
		a.reads, a.adapt = true, adaptOpening
	}
	return a
}

// find finds out which upstream the client of a plain route belongs to, and takes
// out of the query what is only for us.
func (c *clientConn) find() {
	c.steer = nil
	pins := c.route.pins
	if pins == nil || c.ticket != nil {
		return
	}
	if c.route.HTTP.Affinity == AffinityByCookie {
		for _, value := range c.cookies(c.route.HTTP.Cookie) {
			if _, name, found := pins.Find(value, pins.names); found {
				c.steer = pins.upstreams[name]
				return
			}
		}
		return
	}
	query := string(c.request.Query)
	for _, parameterName := range [...]string{signalRID, engineSID} {
		id, ok := parameter(query, parameterName)
		if !ok {
			continue
		}
		bare, name, found := pins.Find(id, pins.names)
		if !found {
			continue
		}
		if bare != id {
			c.request.Query = []byte(replaceParameter(query, parameterName, bare))
		}
		c.steer = pins.upstreams[name]
		return
	}
}

// cookies returns the values of the cookies with this name.
func (c *clientConn) cookies(name string) (values []string) {
	for i := range c.request.Fields {
		f := &c.request.Fields[i]
		if !strings.EqualFold(string(f.Name), "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(string(f.Value), ";") {
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && key == name {
				values = append(values, value)
			}
		}
	}
	return values
}

// setCookie makes the client come back to the upstream. Scripts need not read the
// cookie, and other sites need not send it.
func setCookie(c *clientConn, _ *handshake.Answer, upstream string) exchange.Adaptation {
	value := c.route.HTTP.Cookie + "=" + c.route.pins.Issue(upstream) + "; Path=/; HttpOnly; SameSite=Lax"
	if proto := c.trail.Proto(); string(proto) == "https" || proto == nil && c.proto() == "https" {
		value += "; Secure"
	}
	return exchange.Adaptation{Header: [][2]string{{"Set-Cookie", value}}}
}

// moveCookie makes the client come back to another upstream than before, if that
// could not be had.
func moveCookie(c *clientConn, a *handshake.Answer, upstream string) exchange.Adaptation {
	if c.steer.Name() == upstream {
		return exchange.Adaptation{}
	}
	return setCookie(c, a, upstream)
}

// negotiatesSignalR reports whether a request is the negotiation of a client of
// SignalR.
func (c *clientConn) negotiatesSignalR() bool {
	return string(c.request.Method) == http.MethodPost && bytes.HasSuffix(c.request.Path, []byte(negotiatePath))
}

// adaptNegotiation adapts the answer to it.
func adaptNegotiation(c *clientConn, a *handshake.Answer, upstream string) exchange.Adaptation {
	if a.Status != http.StatusOK {
		return exchange.Adaptation{}
	}
	kind, _ := a.Value("Content-Type")
	encoding, _ := a.Value("Content-Encoding")
	answer := negotiate.UpstreamAnswer{Status: a.Status, ContentType: string(kind), ContentEncoding: string(encoding)}
	if e := strings.ToLower(answer.ContentEncoding); e != "" && e != "identity" && e != "gzip" && e != "x-gzip" {
		return exchange.Adaptation{} // nobody can read it
	}
	return exchange.Adaptation{Most: negotiate.MaxUpstreamAnswer, Rewrite: func(body []byte) ([]byte, bool, error) {
		answer.Body = body
		adapted, err := c.route.pins.Adapt(answer, upstream)
		return adapted.Body, adapted.Unpacked || len(adapted.Body) != len(body), err
	}}
}

// opensEngine reports whether a request opens a session of Engine.IO by polling.
func (c *clientConn) opensEngine() bool {
	query := string(c.request.Query)
	if string(c.request.Method) != http.MethodGet || !strings.Contains(query, engineVersion) {
		return false
	}
	_, versioned := parameter(query, engineVersion)
	_, opened := parameter(query, engineSID)
	transport, _ := parameter(query, engineTransport)
	return versioned && !opened && transport == "polling"
}

// adaptOpening adapts the answer to it.
func adaptOpening(c *clientConn, a *handshake.Answer, upstream string) exchange.Adaptation {
	if encoding, coded := a.Value("Content-Encoding"); a.Status != http.StatusOK || coded && !strings.EqualFold(string(encoding), "identity") {
		return exchange.Adaptation{}
	}
	version, _ := parameter(string(c.request.Query), engineVersion)
	return exchange.Adaptation{Most: maxOpening, Rewrite: func(body []byte) ([]byte, bool, error) {
		if len(body) > maxOpening {
			return nil, false, errOpening
		}
		out := c.route.pins.adaptOpening(body, version, upstream)
		return out, len(out) != len(body), nil
	}}
}

// maxOpening is the longest answer in which the opening of a session is looked
// for; a real one has some hundred bytes.
const maxOpening = 64 << 10

var errOpening = errors.New("the answer to the opening of an Engine.IO session is too long")

// adaptOpening appends a hint to the session in the first packet of version 4 of
// Engine.IO:
//
//	0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"], ...}
//
// Packets may follow behind a record separator. In version 3 the length stands
// before the packet, and applications know the session as the id of their socket:
// there it is only remembered. What is no such packet stays as it is.
func (p *pins) adaptOpening(body []byte, version, upstream string) []byte {
	start := bytes.IndexByte(body, '{')
	if start < 1 || body[start-1] != '0' {
		return body
	}
	const mark = `"sid":"`
	d := json.NewDecoder(bytes.NewReader(body[start:]))
	var packet struct {
		SID string `json:"sid"`
	}
	if d.Decode(&packet) != nil || packet.SID == "" {
		return body
	}
	text := body[start : start+int(d.InputOffset())]
	at := bytes.Index(text, []byte(mark+packet.SID+`"`))
	if version != "4" || start != 1 || at < 0 || bytes.Count(text, []byte(mark)) != 1 {
		p.Remember(packet.SID, upstream)
		return body
	}
	end := start + at + len(mark) + len(packet.SID)
	hint := strings.TrimPrefix(p.Pin(packet.SID, upstream), packet.SID)
	out := make([]byte, 0, len(body)+len(hint))
	out = append(append(out, body[:end]...), hint...)
	return append(out, body[end:]...)
}

// byName finds the upstreams of a set.
func byName(upstreams []*pool.Upstream) map[string]*pool.Upstream {
	named := make(map[string]*pool.Upstream, len(upstreams))
	for _, u := range upstreams {
		named[u.Name()] = u
	}
	return named
}
