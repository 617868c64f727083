package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// Refusal is the body of every answer that is no success, but for /healthz and
// /readyz.
type Refusal struct {
	// Error says what is wrong, and what would be right.
	Error string `json:"error"`
	// Known are the paths, upstreams or drains that there are, where the one that
	// was asked for is not among them.
	Known []string `json:"known,omitzero"`
}

// refusal is an error that is an answer.
type refusal struct {
	status        int
	text          string
	known         []string
	header, value string // one more header, if set
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// refusalOf makes an answer of an error of the router.
func (d *Door) refusalOf(err error) *refusal {
	var already *refusal
	var unknown *proxy.UnknownUpstream
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &unknown):
		r := refuse(fasthttp.StatusNotFound, "%v", unknown)
		r.known = unknown.Known
		return r
	case errors.Is(err, drain.ErrUnknown):
		r := refuse(fasthttp.StatusNotFound, "%v", err)
		r.known = []string{}
		for _, s := range d.options.Proxy.Drains().List() {
			r.known = append(r.known, s.ID)
		}
		if len(r.known) > 0 {
			r.text += "; known: " + strings.Join(r.known, ", ")
		}
		return r
	default:
		return refuse(fasthttp.StatusInternalServerError, "%v", err)
	}
}

// plain is an answer for those who look at its status only.
type plain string

// say answers.
func say(ctx *fasthttp.RequestCtx, status int, body any) {
	ctx.SetStatusCode(status)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	switch body := body.(type) {
	case plain:
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString(string(body) + "\n")
		return
	case exposition:
		ctx.SetContentType(body.kind)
		ctx.SetBody(body.text)
		return
	}
	bytes, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(bytes, '\n'))
}

// sayNo answers with a refusal.
func sayNo(ctx *fasthttp.RequestCtx, r *refusal) {
	if r.header != "" {
		ctx.Response.Header.Set(r.header, r.value)
	}
	say(ctx, r.status, Refusal{Error: r.text, Known: r.known})
}

// refuseBytes answers what is no good request, or takes too long to be one.
func refuseBytes(ctx *fasthttp.RequestCtx, err error) {
	var late net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		sayNo(ctx, refuse(fasthttp.StatusRequestEntityTooLarge, "the body is larger than %d bytes", longestBody))
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		sayNo(ctx, refuse(fasthttp.StatusRequestHeaderFieldsTooLarge, "the head is too large"))
	case errors.As(err, &late) && late.Timeout():
		sayNo(ctx, refuse(fasthttp.StatusRequestTimeout, "the request took longer than %v", timeout))
	default:
		sayNo(ctx, refuse(fasthttp.StatusBadRequest, "this is no good HTTP request"))
	}
}
