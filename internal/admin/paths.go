package admin

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// visit is one request.
type visit struct {
	ctx *fasthttp.RequestCtx
	// of is the upstream or drain that the path names, "" if it names none.
	of string
}

// handler answers a visit. The body of its answer is marshalled; the error is
// a refusal or one of the router's.
type handler func(*Door, *visit) (status int, body any, err error)

// place is what there is at a path. One of get and post is set.
type place struct {
	path      string // NAME and ID stand for one step of any other text
	get, post handler
}

var places = []place{
	{path: "/healthz", get: (*Door).alive},
	{path: "/readyz", get: (*Door).readiness},
	{path: "/status", get: (*Door).tellAll},
	{path: "/metrics", get: (*Door).tellMetrics},
	{path: "/upstreams", get: (*Door).tellUpstreams},
	{path: "/upstreams/NAME", get: (*Door).tellUpstream},
	{path: "/upstreams/NAME/drain", post: (*Door).drain},
	{path: "/upstreams/NAME/disable", post: (*Door).disable},
	{path: "/upstreams/NAME/enable", post: (*Door).enable},
	{path: "/upstreams/NAME/failover", post: (*Door).failover},
	{path: "/drains", get: (*Door).tellDrains},
	{path: "/drains/ID", get: (*Door).tellDrain},
	{path: "/drains/ID/pause", post: (*Door).pause},
	{path: "/drains/ID/resume", post: (*Door).resume},
	{path: "/drains/ID/cancel", post: (*Door).cancel},
	{path: "/reload", post: (*Door).reload},
}

// find returns the place at a path, and what its NAME or ID is. There is one
// way to write each path: nothing in it is decoded, cleaned or folded.
func find(path string) (p *place, of string) {
	steps := strings.Split(path, "/")
	for i := range places {
		if of, ok := match(strings.Split(places[i].path, "/"), steps); ok {
			return &places[i], of
		}
	}
	return nil, ""
}

func match(pattern, steps []string) (of string, ok bool) {
	if len(pattern) != len(steps) {
		return "", false
	}
	for i, want := range pattern {
		switch {
		case (want == "NAME" || want == "ID") && steps[i] != "":
			of = steps[i]
		case want != steps[i]:
			return "", false
		}
	}
	return of, true
}

// serve is the handler of the HTTP server.
func (d *Door) serve(ctx *fasthttp.RequestCtx) {
	status, body, err := d.answer(ctx)
	if err != nil {
		sayNo(ctx, d.refusalOf(err))
		return
	}
	say(ctx, status, body)
}

func (d *Door) answer(ctx *fasthttp.RequestCtx) (status int, body any, err error) {
	p, of := find(string(ctx.URI().PathOriginal()))
	if p == nil {
		r := refuse(fasthttp.StatusNotFound, "unknown path")
		for _, p := range places {
			r.known = append(r.known, p.path)
		}
		return 0, nil, r
	}
	v := &visit{ctx: ctx, of: of}
	switch {
	case p.get != nil && (ctx.IsGet() || ctx.IsHead()):
		return p.get(d, v)
	case p.post != nil && ctx.IsPost():
		if err := d.guard.admit(ctx); err != nil {
			return 0, nil, err
		}
		return p.post(d, v)
	}
	allowed := "GET, HEAD"
	if p.post != nil {
		allowed = "POST"
	}
	r := refuse(fasthttp.StatusMethodNotAllowed, "wrong method for this path; allowed: %s", allowed)
	r.header, r.value = fasthttp.HeaderAllow, allowed
	return 0, nil, r
}
