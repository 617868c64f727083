package contest

import (
	"context"
	"fmt"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

// TLS says where a contest speaks TLS. The zero value is nowhere.
type TLS struct {
	// Authority has the certificates. It is needed if one of the others is set.
	Authority *authority.Authority
	// Clients is whether the candidates speak TLS with the load, Upstream whether they do with the echo.
	Clients, Upstream bool
	// Manner is how the clients' handshakes are done.
	Manner authority.Manner
}

// at is the candidates' part of it.
func (t TLS) at() peer.TLS {
	return peer.TLS{Authority: t.Authority, Clients: t.Clients, Upstream: t.Upstream}
}

// experiment is the name of the outcome; that of the same without TLS is its last word.
func (t TLS) experiment(plain string) string {
	switch {
	case t.Clients && t.Upstream:
		return "tls both " + plain
	case t.Clients && t.Manner == authority.Resumed:
		return "tls resumed " + plain
	case t.Clients:
		return "tls " + plain
	}
	return plain
}

// setting adds to what each candidate has to do.
func (t TLS) setting(plain string) string {
	switch {
	case t.Clients && t.Upstream:
		return plain + ", wss on both sides; " + t.Manner.Setting()
	case t.Clients:
		return plain + ", wss from the clients, ws to the upstream; " + t.Manner.Setting()
	}
	return plain
}

// secured lets load do its work with TLS, if it has to. Each measurement has clients of its own. Those that resume get their ticket
// before, by one more session; every handshake that is full all the same is an error.
func (t TLS) secured(do work) work {
	if !t.Clients {
		return do
	}
	return func(ctx context.Context, o load.Options) (load.Result, error) {
		clients := t.Authority.Clients(t.Manner)
		o.TLS = clients.Config()
		if t.Manner == authority.Resumed {
			first := load.Options{Target: o.Target, TLS: o.TLS, Connections: 1}
			if _, err := load.Idle(ctx, first, func(context.Context) error { return nil }); err != nil {
				return load.Result{}, fmt.Errorf("get a ticket: %w", err)
			}
		}
		res, err := do(ctx, o)
		if all, resumed := clients.Done(); t.Manner == authority.Resumed {
			res.Errors.Handshake += all - 1 - resumed
		}
		return res, err
	}
}
