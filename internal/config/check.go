package config

import (
	"fmt"
	"slices"
	"strings"
)

// check reports what is wrong between keys that are each right on their own,
// and fills in the defaults that depend on other keys.
func (d *decoder) check(c *Config) {
	listeners := d.checkListeners(c)
	d.checkConnections(c)
	d.checkUpstreams(c, listeners)
	d.checkRoutes(c)
	d.checkOrder(c)
	d.checkLimits(c)
	d.checkTLS(c)
	d.checkAdmin(c)
	d.checkKeys(c)
	c.complete(d.named)
	d.checkServices(c)
}

// listener is an address of this router and where it was given.
type listener struct {
	endpoint
	path string
	what string
}

// checkListeners reports listeners that cannot all be opened, and returns those
// that can.
func (d *decoder) checkListeners(c *Config) []listener {
	var all []listener
	add := func(address, path, what string) {
		e, err := listenEndpoint(address)
		if err != nil || !d.usable(path) {
			return // Reported where it was read.
		}
		for _, l := range all {
			if e.collides(l.endpoint) {
				d.reject(path, d.at(path, l.path), "%s is the same address as %s%s; expected another port",
					what, l.what, d.line(l.path))
				return
			}
		}
		all = append(all, listener{e, path, what})
	}
	for i, l := range c.Listen {
		path := fmt.Sprintf("listen[%d].address", i)
		if !has(d.origins, path) {
			path = "listen"
		}
		add(l.Address, path, path)
	}
	if network, address := c.Admin.Network(); c.Admin.Address != AdminOff && network == "tcp" {
		add(address, "admin.address", "admin")
	}
	return all
}

func (d *decoder) checkUpstreams(c *Config, listeners []listener) {
	if len(c.Upstreams) == 0 {
		if d.usable("upstreams") {
			d.addf(d.at("upstreams"), "no upstream is given; expected at least one, with name and url or connection_string")
		}
		return
	}
	names := make(map[string]string)
	urls := make(map[string]int)
	for i, u := range c.Upstreams {
		name := fmt.Sprintf("upstreams[%d].name", i)
		if d.usable(name) {
			if first, ok := names[u.Name]; ok {
				d.reject(name, d.at(name), "is the name of %s%s too; expected a name of its own",
					parent(first), d.line(first))
			} else {
				names[u.Name] = name
			}
		}
		path := fmt.Sprintf("upstreams[%d].url", i)
		if !d.usable(path) {
			continue
		}
		_, e, err := upstreamURL(u.URL)
		if err != nil {
			continue // Reported where it was read.
		}
		same := identity(e, u.URL)
		if first, ok := urls[same]; ok {
			d.reject(path, d.at(path), "is where %s%s is too; expected another instance, since this one cannot stand in for itself",
				title(c, first), d.line(fmt.Sprintf("upstreams[%d].url", first)))
			continue
		}
		urls[same] = i
		for _, l := range listeners {
			if e.reaches(l.endpoint) {
				d.reject(path, d.at(path), "leads back to this router's own %s%s; expected another address", l.what, d.line(l.path))
				break
			}
		}
	}
}

func (d *decoder) checkRoutes(c *Config) {
	var known []string
	for i, u := range c.Upstreams {
		if d.usable(fmt.Sprintf("upstreams[%d].name", i)) {
			known = append(known, u.Name)
		}
	}
	complete := len(known) == len(c.Upstreams) && d.usable("upstreams")
	var matches []int // The routes with a usable match.
	for i, r := range c.Routes {
		seen := make(map[string]bool)
		for j, name := range r.Upstreams {
			path := fmt.Sprintf("routes[%d].upstreams[%d]", i, j)
			if !d.usable(path) {
				continue
			}
			switch {
			case seen[name]:
				d.reject(path, d.at(path), "is in this list twice; expected each upstream once")
			case complete && !slices.Contains(known, name):
				d.reject(path, d.at(path), "names no upstream; %s", knownNames(name, known))
			}
			seen[name] = true
		}
		path := fmt.Sprintf("routes[%d].match", i)
		if !d.usable(path, path+".host", path+".path") {
			continue
		}
		first := slices.IndexFunc(matches, func(j int) bool { return c.Routes[j].Match.covers(r.Match) })
		if first < 0 {
			matches = append(matches, i)
			continue
		}
		// It takes nothing that the earlier route does not take, so what it
		// covers is covered without it.
		j := matches[first]
		d.reject(path, d.at(path), "never gets a request: routes[%d]%s comes first and takes them all; expected the narrower match first",
			j, d.line(fmt.Sprintf("routes[%d].match", j)))
	}
}

// knownNames helps with the name of an upstream that does not exist.
func knownNames(name string, known []string) string {
	const most = 10
	if len(known) > 10*most {
		return fmt.Sprintf("expected one of the %d names of upstreams", len(known))
	}
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) > most {
		return fmt.Sprintf("expected %s or one of %d others", strings.Join(known[:most], ", "), len(known)-most)
	}
	return "expected " + oneOf(known)
}

// title is what a message calls upstream i.
func title(c *Config, i int) string {
	if name := c.Upstreams[i].Name; name != "" {
		return "upstream " + name
	}
	return fmt.Sprintf("upstreams[%d]", i)
}

// checkOrder reports durations that are in the wrong order.
func (d *decoder) checkOrder(c *Config) {
	h, f, b, r, e := c.Health, c.Failover, c.Failback, c.Relay, c.Shutdown
	order := d.order
	order(h.Timeout > h.Interval, "health.timeout", "health.interval",
		"health.timeout (%s) is longer than health.interval (%s); expected a probe to end before the next begins",
		formatDuration(h.Timeout), formatDuration(h.Interval))
	order(h.Recheck > h.Interval, "health.recheck", "health.interval",
		"health.recheck (%s) is longer than health.interval (%s); expected at most the interval",
		formatDuration(h.Recheck), formatDuration(h.Interval))
	order(h.OnDemand && h.MaxAge >= h.Interval, "health.max_age", "health.interval",
		"health.max_age (%s) is not below health.interval (%s), so that health.on_demand does nothing; expected less, or a longer interval",
		formatDuration(h.MaxAge), formatDuration(h.Interval))
	order(f.HandshakeTimeout < f.ConnectTimeout, "failover.handshake_timeout", "failover.connect_timeout",
		"failover.handshake_timeout (%s) is shorter than failover.connect_timeout (%s); expected at least that, it includes the connect",
		formatDuration(f.HandshakeTimeout), formatDuration(f.ConnectTimeout))
	order(b.MaxHold < b.Hold, "failback.max_hold", "failback.hold",
		"failback.max_hold (%s) is shorter than failback.hold (%s); expected at least the hold",
		formatDuration(b.MaxHold), formatDuration(b.Hold))
	order(r.PingInterval > 0 && r.PingTimeout == 0, "relay.ping_timeout", "relay.ping_interval",
		"relay.ping_timeout is 0s while relay.ping_interval is %s; expected a positive wait for the pong",
		formatDuration(r.PingInterval))
	order(e.Lead > 0 && e.Lead >= e.Deadline, "shutdown.lead", "shutdown.deadline",
		"shutdown.lead (%s) is not shorter than shutdown.deadline (%s); expected less, it is a part of it",
		formatDuration(e.Lead), formatDuration(e.Deadline))
}

// order reports key, if it is wrong beside other.
func (d *decoder) order(wrong bool, key, other, format string, args ...any) {
	if wrong && d.usable(key, other) {
		d.reject(key, d.at(key, other), format, args...)
	}
}

// usable reports whether none of the paths, and nothing that holds them, was
// rejected.
func (d *decoder) usable(paths ...string) bool {
	for _, p := range paths {
		for ; p != ""; p = parent(p) {
			if d.bad[p] {
				return false
			}
		}
	}
	return true
}

// at returns the origin of the first path that was given, or else of what would
// hold the first one.
func (d *decoder) at(paths ...string) origin {
	for _, p := range paths {
		if at, ok := d.origins[p]; ok {
			return at
		}
	}
	for p := parent(paths[0]); p != ""; p = parent(p) {
		if at, ok := d.origins[p]; ok {
			at.key = paths[0]
			return at
		}
	}
	return origin{source: d.name, key: paths[0]}
}

// line says where path was given, or nothing when it was not given in the file.
func (d *decoder) line(path string) string {
	if at := d.at(path); at.line > 0 {
		return fmt.Sprintf(" on line %d", at.line)
	}
	return ""
}

// parent is the path without its last name or index.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}
