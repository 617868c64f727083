package fanout

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// connection makes a call about one connection. The one who is known to hold it is asked alone, as long as he does not deny it.
func (f *Fanout) connection(ctx context.Context, o *order, targets []*peer) Answer {
	id := o.call.ConnectionID
	rest := targets
	var denied []Result
	if name, known := f.o.Directory.Find(id); known {
		at := slices.IndexFunc(targets, func(p *peer) bool { return p.Name == name && p.online() })
		if at >= 0 {
			results := f.ask(ctx, o, targets[at:at+1])
			if results[0].verdict(o.call.Kind) != no {
				f.learn(o.call, results)
				return combine(o.call, results)
			}
			f.o.Directory.Forget(id)
			denied = results
			rest = slices.Delete(slices.Clone(targets), at, at+1)
		}
	}
	if o.call.Kind == Invocation {
		return f.invoke(ctx, o, rest, denied)
	}
	results := append(denied, f.ask(ctx, o, rest)...)
	f.learn(o.call, results)
	return combine(o.call, results)
}

// invoke finds the upstream that holds the connection and calls it alone: two of them might both answer.
func (f *Fanout) invoke(ctx context.Context, o *order, peers []*peer, denied []Result) Answer {
	question := &order{call: o.call, request: o.request, query: onlyVersion(o.query)}
	question.call.Row = Row{Method: http.MethodHead, Path: hub + theConnection, Kind: Exists, Again: true, Knows: true}
	question.call.RawPath = strings.Join(strings.SplitN(o.call.RawPath, "/", 7)[:6], "/") // /api/hubs/{hub}/connections/{connection}
	results := append(denied, f.ask(ctx, question, peers)...)
	f.learn(question.call, results)
	at := slices.IndexFunc(results, func(r Result) bool { return r.verdict(Exists) == yes })
	if at < 0 {
		return combine(o.call, results)
	}
	holder := slices.IndexFunc(peers, func(p *peer) bool { return p.Name == results[at].Upstream })
	return combine(o.call, f.ask(ctx, o, peers[holder:holder+1]))
}

// onlyVersion leaves of a query what a question about a connection takes.
func onlyVersion(query string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && (name == "api-version" || name == "application") {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// learn notes who holds a connection: who has said so when asked, or the only one who has not denied it. After a close nobody does.
func (f *Fanout) learn(c Call, results []Result) {
	var holder string
	yeses, proofs, failures := 0, 0, 0
	for i := range results {
		switch results[i].verdict(c.Kind) {
		case yes:
			yeses++
			if c.Knows {
				proofs++
			}
			holder = results[i].Upstream
		case failure:
			failures++
		}
	}
	closed := c.Method == http.MethodDelete && (c.Row.Path == hub+theConnection || c.Row.Path == hub1+theConnection)
	switch {
	case closed:
		f.o.Directory.Forget(c.ConnectionID)
	case proofs > 0 || yeses == 1 && failures == 0 && len(results) > 1:
		f.o.Directory.Learn(c.ConnectionID, holder)
	}
}
