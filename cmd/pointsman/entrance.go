package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certs"
	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/proxy"
)

// entrance is a listener for clients, with the certificates that it shows them.
type entrance struct {
	door     config.Door
	listener *proxy.Listener
	keeper   *certs.Keeper // nil without TLS
}

// entrances are all of them, in the order of the configuration.
type entrances []*entrance

// newEntrances reads the files for TLS, and opens nothing.
func newEntrances(c *config.Config, logger *slog.Logger) (entrances, error) {
	var all entrances
	for i := range c.Listen {
		l := &c.Listen[i]
		e := &entrance{door: l.Door(), listener: &proxy.Listener{Proxies: l.ProxyProtocol}}
		if l.TLS.On() {
			keeper, err := certs.New(l.Keeping(logger.With("listener", l.Address)))
			if err != nil {
				return nil, fmt.Errorf("listen %s: %w", l.Address, err)
			}
			// Whether HTTP/2 is offered is the keeper's to say, and may change.
			e.keeper, e.listener.TLS, e.listener.HTTP2 = keeper, keeper.Config(), true
		} else {
			e.listener.Challenge = func(host, path string) ([]byte, bool) { return all.challenge(host, path) }
		}
		all = append(all, e)
	}
	return all, nil
}

// open opens the ports, all or none.
func (all entrances) open() error {
	for i, e := range all {
		ln, err := net.Listen("tcp", e.door.Address)
		if err != nil {
			all[:i].close()
			return err
		}
		e.listener.Listener = ln
	}
	return nil
}

func (all entrances) close() {
	for _, e := range all {
		e.listener.Close()
	}
}

// url is where clients connect to.
func (e *entrance) url() string {
	if e.keeper != nil {
		return "wss://" + e.listener.Addr().String()
	}
	return "ws://" + e.listener.Addr().String()
}

// listeners are those for the router.
func (all entrances) listeners() []net.Listener {
	var listeners []net.Listener
	for _, e := range all {
		listeners = append(listeners, e.listener)
	}
	return listeners
}

// run looks after the certificates until ctx is done.
func (all entrances) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, e := range all {
		if e.keeper != nil {
			running.Go(func() { e.keeper.Run(ctx) })
		}
	}
	running.Wait()
}

// challenge answers a directory of ACME for whichever entrance has asked it for a
// certificate.
func (all entrances) challenge(host, path string) (body []byte, ok bool) {
	for _, e := range all {
		if e.keeper == nil {
			continue
		}
		if body, ok = e.keeper.HTTPChallenge(host, path); ok {
			return body, true
		}
	}
	return nil, false
}

// prepare reads what c says of the entrances, and changes nothing; commit does.
// Those that only a restart can change stay as they are.
func (all entrances) prepare(c *config.Config, logger *slog.Logger) (commit func(), err error) {
	var steps []func()
	left := slices.Clone(c.Listen)
	for _, e := range all {
		i := slices.IndexFunc(left, func(l config.Listener) bool { return l.Door() == e.door })
		if i < 0 {
			continue
		}
		l := left[i]
		left = slices.Delete(left, i, i+1)
		if e.keeper != nil {
			take, err := e.keeper.Prepare(l.Keeping(logger))
			if err != nil {
				return nil, fmt.Errorf("listen %s: %w", l.Address, err)
			}
			steps = append(steps, take)
		}
		steps = append(steps, func() { e.listener.SetProxies(l.ProxyProtocol) })
	}
	return func() {
		for _, step := range steps {
			step()
		}
	}, nil
}

// certificates tells of those that are shown now.
func (all entrances) certificates() []admin.Certificate {
	list := []admin.Certificate{}
	for _, e := range all {
		if e.keeper == nil {
			continue
		}
		s := e.keeper.Status()
		for _, one := range s.Certificates {
			shown := admin.Certificate{Listener: e.door.Address, Names: one.Names, NotAfter: one.NotAfter, Source: admin.FromFile, File: one.File}
			if one.ACME {
				shown.Source = admin.FromACME
			}
			if err := cmp.Or(one.Err, s.ClientCAErr); err != nil {
				shown.Error = err.Error()
			}
			list = append(list, shown)
		}
	}
	return list
}
