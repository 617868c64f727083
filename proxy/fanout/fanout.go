package fanout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/valyala/fasthttp"
)

// Fanout makes calls to many upstreams. Make one with [New]. All methods may be called concurrently.
type Fanout struct {
	o     Options // with defaults
	peers []*peer

	under   atomic.Int64 // calls under way
	calls   atomic.Uint64
	partial atomic.Uint64
	failed  atomic.Uint64
	shed    atomic.Uint64
}

// Stats counts calls since the fan-out was made.
type Stats struct {
	Calls   uint64 // that were made to upstreams
	Partial uint64 // of them, those that some have done and some have not
	Failed  uint64 // of them, those answered with 500 or above
	Shed    uint64 // refused because too many were under way
	Under   int    // under way now
}

// New makes a fan-out. It reports all mistakes in o together, copies it, and starts nothing.
func New(o Options) (*Fanout, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	f := &Fanout{o: o}
	for _, u := range o.Upstreams {
		f.peers = append(f.peers, newPeer(u, o))
	}
	return f, nil
}

// Request is what has to be known of a call besides the [Call].
type Request struct {
	// Query is the query without the question mark, as it was sent. An access token in it is left out.
	Query string
	// Base is where the caller has sent the call: pages of lists lead there.
	Base azure.Base
	// Token is the caller's token, verified. Without one the answer is 401.
	Token *azure.Token
	// Fields are the header fields of the request, names and values. A few of them are sent on.
	Fields [][2]string
	// Body is read to its end, or to the limit, before anybody is called; nil means none. Its reads must have a deadline of their
	// own.
	Body io.Reader
	// Length is the length of the body by the head, below 0 if the head has none.
	Length int64
	// Targets are the names of the upstreams that the call is for. Nil means all. Unknown ones get 400.
	Targets []string
}

// Do makes a call to the upstreams that it concerns and combines their answers. It takes at most the deadline of an upstream, twice
// where the connection has to be found first, once for each upstream where a page of a list is looked for; and the time to read the
// body.
//
// Besides the answers of upstreams there are: 400 for an unknown target or page, a query that no request may hold and a body that
// is shorter than its head says, 401 without a token, 404 for a call that is [Local], 413 for a body above the limit, 415 and 400
// for a message that no upstream could take, 503 with Retry-After when too many calls are under way or no upstream is healthy, 504
// when all have exceeded their deadline, 502 when nobody has said yes and not all have said the same. Nobody has been called with
// those of 400 to 415, nor with the 503s.
func (f *Fanout) Do(ctx context.Context, c Call, r Request) Answer {
	if f.under.Add(1) > int64(f.o.Backlog) {
		f.under.Add(-1)
		f.shed.Add(1)
		return restError(http.StatusServiceUnavailable, "TooManyCalls", "", "Too many calls are under way, please try again later.")
	}
	defer f.under.Add(-1)
	a := f.do(ctx, c, r)
	if len(a.Results) > 0 {
		f.count(a)
	}
	return a
}

func (f *Fanout) count(a Answer) {
	f.calls.Add(1)
	switch {
	case a.Status >= 500:
		f.failed.Add(1)
	case slices.ContainsFunc(a.Fields, func(field [2]string) bool { return field[0] == PartialField }):
		f.partial.Add(1)
	}
}

func (f *Fanout) do(ctx context.Context, c Call, r Request) Answer {
	if c.Kind == Local {
		return restError(http.StatusNotFound, "NotFound", "", "There is no such call.")
	}
	if r.Token == nil {
		return restError(http.StatusUnauthorized, "Unauthorized", "", "The request is not authenticated.")
	}
	if !clean(r.Query) {
		return restError(http.StatusBadRequest, "BadRequest", "query",
			"Invalid request: the query holds a character that must be escaped.")
	}
	targets := f.targets(r.Targets)
	if len(targets) == 0 {
		return restError(http.StatusBadRequest, "BadRequest", "endpoints", "Invalid request: an endpoint is not known, or none is given.")
	}
	body, err := readBody(r.Body, r.Length, f.o.MaxBody)
	if err == nil && c.Message {
		err = checkMessage(f.o.Service, field(r.Fields, "Content-Type"), body)
	}
	var refused *bodyError
	if errors.As(err, &refused) {
		return restError(refused.status, codeOf(refused.status), "body", "Invalid request: "+refused.text+".")
	}
	o := &order{call: c, request: r, body: body, query: azure.ReplaceToken(r.Query, "")}
	switch c.Kind {
	case List:
		return f.list(ctx, o, targets)
	case Connection, Exists, Invocation:
		if c.ConnectionID != "" {
			return f.connection(ctx, o, targets)
		}
	}
	return combine(c, f.ask(ctx, o, targets))
}

// Stats returns the counters. Each is exact; together they are not one moment.
func (f *Fanout) Stats() Stats {
	return Stats{
		Calls: f.calls.Load(), Partial: f.partial.Load(), Failed: f.failed.Load(), Shed: f.shed.Load(), Under: int(f.under.Load()),
	}
}

// Directory returns where connections are known to be.
func (f *Fanout) Directory() *Directory { return f.o.Directory }

// Close closes the connections that are idle, and from now on those that become so. Calls under way go on. It may be called twice.
func (f *Fanout) Close() {
	for _, p := range f.peers {
		p.close()
	}
}

// targets finds the peers by their names; none if one is unknown.
func (f *Fanout) targets(names []string) []*peer {
	if names == nil {
		return f.peers
	}
	var found []*peer
	for _, p := range f.peers {
		if slices.Contains(names, p.Name) {
			found = append(found, p)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(found, func(p *peer) bool { return p.Name == name }) {
			return nil
		}
	}
	return found
}

// order is a call with all that is the same for every upstream.
type order struct {
	call    Call
	request Request
	body    []byte
	query   string
}

// ask makes the call to all peers at once and waits for all. The results are in the order of the peers. Of a question, those who are
// slow are called off after the first yes.
func (f *Fanout) ask(ctx context.Context, o *order, peers []*peer) []Result {
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	results := make([]Result, len(peers))
	one := func(i int) {
		results[i] = f.tell(ctx, o, peers[i])
		if o.call.Kind == Exists && results[i].verdict(Exists) == yes {
			enough(errEnough)
		}
	}
	var all sync.WaitGroup
	for i := 1; i < len(peers); i++ {
		all.Go(func() { one(i) })
	}
	if len(peers) > 0 {
		one(0)
	}
	all.Wait()
	return results
}

// tell makes the call to one peer, more than once if that is allowed and helps.
func (f *Fanout) tell(ctx context.Context, o *order, p *peer) Result {
	if !p.online() {
		return Result{Upstream: p.Name, Outcome: Offline}
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.Deadline)
	defer cancel()
	wait := f.o.RetryWait
	for try := 0; ; try++ {
		r := f.once(ctx, o, p)
		if try == f.o.Retries || !r.again(o.call) {
			return r
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return r
		}
		wait *= 2
	}
}

// again reports whether a call may be made again to the same upstream, and might then succeed.
func (r *Result) again(c Call) bool {
	switch r.Outcome {
	case Unreachable:
		return true
	case Lost, BadAnswer:
		return c.Again
	case Answered:
		return c.Again && (r.Status == http.StatusRequestTimeout || r.Status >= 500)
	default:
		return false
	}
}

// once makes the call to one peer.
func (f *Fanout) once(ctx context.Context, o *order, p *peer) Result {
	r := Result{Upstream: p.Name}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	err := o.write(req, p, f.o.Service)
	if err == nil {
		err = p.exchange(ctx, req, resp, o.call.Again)
	}
	if err != nil {
		r.fail(ctx, err)
	} else {
		r.take(resp)
	}
	if r.verdict(o.call.Kind) == failure && r.Outcome != CalledOff {
		f.o.Logger.Debug("fan-out call failed", "upstream", p.Name, "method", o.call.Method, "call", o.call.Path,
			"outcome", r.Outcome.String(), "status", r.Status, slog.Any("error", r.err))
	}
	return r
}
