package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// negotiateThere passes a negotiation of SignalR to an upstream: a server of the
// application's own, or the service to which a first negotiation has led. What the
// answer calls the connection leads back to that upstream. The service has one
// method for it; about others, a server of the application's own decides itself.
func (p *Proxy) negotiateThere(c *clientConn) (reply, error) {
	if method := string(c.request.Method); !c.route.desk.transparent() && method != http.MethodPost && method != http.MethodOptions {
		return notAllowed("POST, OPTIONS"), nil
	}
	if err := c.request.CheckPlain(); err != nil {
		return reply{}, err
	}
	if err := c.route.allowed.check(&c.request); err != nil {
		return reply{}, err
	}
	if !c.route.hasRequired(c.request.Query) {
		return reply{status: errParameter.Status, kind: "text/plain; charset=utf-8", body: []byte(errParameter.Reason)}, nil // as a first negotiation
	}
	if err := c.showTicket(string(c.request.Method)); err != nil {
		return reply{}, err
	}
	c.search.begin(c)
	var got negotiation
	_, lease, score, err := p.seek(c, func(c *clientConn, t *target) (_ net.Conn, err error) {
		got, err = p.negotiateWith(c, t)
		return nil, err
	})
	if err != nil {
		return reply{}, err
	}
	score.Done(nil)
	upstream := lease.Upstream().Name()
	lease.Release()
	adapted, err := c.route.desk.places.Adapt(got.UpstreamAnswer, upstream)
	if err != nil {
		return reply{}, errBadAnswer
	}
	if !bytes.Equal(got.body, adapted.Body) {
		for _, name := range ofBody {
			got.drop(name)
		}
	}
	got.body = adapted.Body
	if adapted.Unpacked {
		got.drop("Content-Encoding")
	}
	return got.reply, nil
}

// negotiation is an upstream's answer to one.
type negotiation struct {
	reply
	negotiate.UpstreamAnswer
}

// negotiateWith asks one upstream, before one deadline. What fails once it is asked
// may be the client's doing.
func (p *Proxy) negotiateWith(c *clientConn, t *target) (n negotiation, err error) {
	limits := &c.world.options.Failover
	deadline := time.Now().Add(limits.HandshakeTimeout)
	request, err := c.ticket.dress(&c.request, t.of)
	if err != nil {
		return n, err
	}
	out := *request
	out.ContentLength = 0 // nobody sends a body here, and nobody reads one
	conn, err := p.dial(t, c.Conn, c.announcement(t.header), limits, deadline)
	if err != nil {
		return n, err
	}
	defer cut(conn)
	defer func() { err = health.ByClient(c.address(), err) }()
	if err := conn.SetDeadline(deadline); err != nil {
		return n, err
	}
	c.out = out.AppendPlain(c.out[:0], &handshake.Plain{Upstream: t.upstream, Forward: c.forward(), Identity: true})
	if _, err := conn.Write(c.out); err != nil {
		return n, fmt.Errorf("negotiation with %s: %w", t.name, err)
	}
	if err := n.read(conn, string(out.Method)); err != nil {
		return n, fmt.Errorf("negotiation with %s: %w", t.name, err)
	}
	if n.status >= http.StatusInternalServerError {
		return n, &relayedAnswer{n.status, n.append(nil, c.request.Method, false)}
	}
	return n, nil
}

// read reads the answer to a request with this method.
func (n *negotiation) read(conn net.Conn, method string) error {
	var response fasthttp.Response
	response.SkipBody = method == http.MethodHead
	response.Header.SetNoDefaultContentType(true)
	in := bufio.NewReaderSize(conn, answerLimits.Size)
	if err := response.ReadLimitBody(in, negotiate.MaxUpstreamAnswer); err != nil {
		if timedOut(err) || local(err) {
			return err
		}
		return errBody
	}
	h := &response.Header
	if h.StatusCode() == http.StatusSwitchingProtocols {
		return errUnasked
	}
	n.status, n.kind = response.StatusCode(), string(h.ContentType())
	n.body = append([]byte(nil), response.Body()...)
	for name, value := range h.All() {
		if !ofHop(string(name)) {
			n.fields = append(n.fields, [2]string{string(name), string(value)})
		}
	}
	n.UpstreamAnswer = negotiate.UpstreamAnswer{
		Status: n.status, ContentType: n.kind, ContentEncoding: string(h.ContentEncoding()), Body: n.body,
	}
	return nil
}

var errUnasked = &handshake.BadAnswer{Reason: "status 101 to a negotiation"}

// ofBody are the fields that speak of the very bytes of a body (RFC 9110 §8.8.3, RFC
// 9530), and would be wrong about another one.
var ofBody = [...]string{"ETag", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5"}

// ofHop reports whether a field of an answer is not for the client, or is written
// anew for it.
func ofHop(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "trailer", "upgrade", "content-length", "content-type":
		return true
	}
	return false
}

// drop leaves a field out.
func (r *reply) drop(name string) {
	kept := r.fields[:0]
	for _, f := range r.fields {
		if !strings.EqualFold(f[0], name) {
			kept = append(kept, f)
		}
	}
	r.fields = kept
}
