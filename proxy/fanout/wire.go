package fanout

import (
	"fmt"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/valyala/fasthttp"
)

// sentOn are the fields of a request that upstreams get, in the form that they are written in.
var sentOn = []string{
	"Accept", "Content-Type", "X-Ms-Client-Request-Id", "X-Ms-Return-Client-Request-Id", "X-Asrs-Message-Tracing-Id", "X-Asrs-User-Agent",
}

// handedOn are the fields of an upstream's answer that the caller gets.
var handedOn = []string{"Content-Type", azure.ErrorCodeField, "X-Ms-Client-Request-Id", "Retry-After"}

// field returns the value of a header field, "" if it is missing.
func field(fields [][2]string, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// write writes the call as one upstream gets it. Path and query stay as they came: fasthttp would give them a normal form of its own.
func (o *order) write(req *fasthttp.Request, p *peer, s azure.Service) error {
	token, err := o.request.Token.Mint(p.Key, azure.RESTResource(s, o.call.RawPath).Audience(p.Endpoint))
	if err != nil {
		return fmt.Errorf("token for %s: %w", p.Name, err)
	}
	target := p.Base.Path() + o.call.RawPath
	if o.query != "" {
		target += "?" + o.query
	}
	h := &req.Header
	h.SetNoDefaultContentType(true)
	h.SetMethod(o.call.Method)
	h.SetRequestURI(target)
	h.SetHost(p.Base.Host())
	h.SetUserAgent("pointsman")
	h.Set("Authorization", "Bearer "+token)
	for _, name := range sentOn {
		if value := field(o.request.Fields, name); value != "" {
			h.Set(name, value)
		}
	}
	if len(o.body) > 0 && !h.IsGet() && !h.IsHead() { // they have none; fasthttp refuses to write one
		req.SetBodyRaw(o.body)
	}
	return nil
}

// take takes over an answer: nothing of resp is kept.
func (r *Result) take(resp *fasthttp.Response) {
	r.Outcome, r.Status = Answered, resp.StatusCode()
	r.body = append([]byte(nil), resp.Body()...)
	for _, name := range handedOn {
		if value := resp.Header.Peek(name); len(value) > 0 {
			r.fields = append(r.fields, [2]string{name, string(value)})
		}
	}
}
