package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// build builds r, whose upstreams are among those in byName. maxAge is that of
// probes when a client negotiates, 0 without on-demand probes.
func (r *Route) build(byName map[string]*pool.Upstream, maxAge time.Duration) (proxy.Route, error) {
	built := proxy.Route{Host: r.Match.Host, Path: r.Match.Path, Origins: r.Origins}
	router, err := r.buildRouter()
	if err != nil {
		return built, err
	}
	candidates := make([]*pool.Upstream, 0, len(r.Upstreams))
	for _, name := range r.Upstreams {
		candidates = append(candidates, byName[name])
	}
	if built.Set, err = pool.NewSet(router, candidates); err != nil {
		return built, err
	}
	if r.Router == RouterHash {
		built.Affinity = r.Hash.affinity()
	}
	if r.Router == RouterQuery && r.Query.Strict {
		built.RequireQuery = r.Query.Name
	}
	keys, err := buildKeys(r.AccessKeys)
	if err != nil {
		return built, err
	}
	if r.HTTP.Pass {
		built.HTTP = proxy.HTTP{
			Pass: true, Affinity: r.HTTP.Affinity, Keys: keys, Cookie: r.HTTP.Cookie,
			AnswerTimeout: r.HTTP.AnswerTimeout, IdleTimeout: r.HTTP.IdleTimeout, BodyTimeout: r.HTTP.BodyTimeout,
		}
	}
	if service, ok := r.Protocol.Azure(); ok {
		built.Policy = r.buildPolicy(router)
		if built.Service, err = r.buildService(service, keys); err != nil {
			return built, err
		}
		built.Service.Negotiate.MaxAge = maxAge
	}
	return built, nil
}

func (r *Route) buildRouter() (pool.Router, error) {
	if r.Router == RouterQuery {
		return pool.Query(r.Query.Name, pool.Priority), nil
	}
	return pool.ParseRouter(string(r.Router))
}

func (h Hash) affinity() proxy.Affinity {
	by := map[HashBy]proxy.AffinityBy{
		HashByClient: proxy.AffinityByClient, HashByUser: proxy.AffinityByUser,
		HashByHeader: proxy.AffinityByHeader, HashByQuery: proxy.AffinityByQuery,
	}
	return proxy.Affinity{By: by[h.By], Name: h.Name}
}

func buildKeys(texts []Secret) ([]azure.Key, error) {
	var keys []azure.Key
	for i, text := range texts {
		key, err := azure.ParseKey(string(text))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// buildPolicy puts the first rule for groups on last: it then counts first.
func (r *Route) buildPolicy(router pool.Router) pool.Policy {
	p := pool.Default(router)
	for _, g := range slices.Backward(r.GroupPrefixes) {
		p = p.GroupPrefix(g.Prefix, func(u *pool.Upstream) bool { return slices.Contains(g.Upstreams, u.Name()) })
	}
	return p
}

func (r *Route) buildService(kind azure.Service, keys []azure.Key) (*proxy.Service, error) {
	s := &proxy.Service{
		Kind: kind, AccessKeys: keys, Hubs: r.Hubs, Open: r.Negotiate.Open, CloseAtExpiry: r.CloseAtExpiry,
		Negotiate: proxy.Negotiate{
			Via: r.Negotiate.Via, User: negotiate.UserFromToken,
			Roles: r.Negotiate.Roles, Groups: r.Negotiate.Groups, Lifetime: r.Negotiate.Lifetime,
		},
	}
	if r.Negotiate.UserFromQuery {
		s.Negotiate.User = negotiate.UserFromQuery
	}
	var err error
	if r.PublicURL != "" {
		s.Public, err = azure.ParseBase(r.PublicURL)
	}
	return s, err
}
