package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
)

// checkKeys reads the files of access keys.
func (d *decoder) checkKeys(c *Config) {
	d.loadKeys("", &c.AccessKeys, c.AccessKeyFiles)
	for i := range c.Routes {
		r := &c.Routes[i]
		d.loadKeys(fmt.Sprintf("routes[%d].", i), &r.AccessKeys, r.AccessKeyFiles)
	}
}

// loadKeys reads the files of one list of keys, whose paths begin with prefix, and
// checks the list.
func (d *decoder) loadKeys(prefix string, keys *[]Secret, files []string) {
	inline, from := prefix+"access_keys", prefix+"access_key_files"
	if !d.usable(inline, from) {
		return
	}
	if has(d.origins, from) && has(d.origins, inline) {
		d.reject(from, d.at(from), "is given, and so is access_keys%s; expected one of them", d.line(inline))
		return
	}
	if len(files) > 0 {
		*keys = make([]Secret, len(files))
		inline = from
	}
	for i, file := range files {
		path := fmt.Sprintf("%s[%d]", from, i)
		if !d.usable(path) {
			continue
		}
		text, err := loadSecret(file, KiB)
		var key Secret
		if err == nil {
			key, err = readKey(text)
		}
		if err != nil {
			d.reject(path, d.at(path), "cannot be used: %v; expected a file that holds an access key", err)
			continue
		}
		(*keys)[i] = key
	}
	if len(*keys) > mostKeys {
		d.reject(inline, d.at(inline), "are %d keys; expected at most %d, the one that signs first", len(*keys), mostKeys)
	}
	for i, key := range *keys {
		path := fmt.Sprintf("%s[%d]", inline, i)
		if first := slices.Index(*keys, key); first < i && d.usable(path, fmt.Sprintf("%s[%d]", inline, first)) {
			d.reject(path, d.at(path), "is the same key as another one; expected each once")
		}
	}
}

// mostKeys are what rotation needs.
const mostKeys = 2

// checkServices reports what is wrong with routes beside their matches. What
// depends on other keys has been filled in.
func (d *decoder) checkServices(c *Config) {
	for i := range c.Routes {
		r, path := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		if !d.usable(path) {
			continue
		}
		d.checkRouter(c, r, path)
		d.checkGroups(r, path)
		d.order(!r.HTTP.Pass && has(d.origins, path+".pass"), path+".pass", path+".http", "is given without http: pass; expected both or none")
		if len(r.Upstreams) == 0 {
			d.order(len(c.Upstreams) > 0, path+".upstreams", "upstreams", "none is left for protocol %s: those that the environment names take part in routes with their protocol, or by their names; expected one of these", r.Protocol)
			continue
		}
		service, ok := r.Protocol.Azure()
		if !ok {
			d.checkNoService(r, path)
			continue
		}
		d.checkService(c, r, service, path)
	}
}

// checkNoService reports what has no use on a route of plain WebSockets.
func (d *decoder) checkNoService(r *Route, path string) {
	for _, name := range []string{".hubs", ".public_url", ".negotiate", ".close_at_expiry", ".group_prefix"} {
		if key := path + name; has(d.origins, key) && d.usable(key, path+".protocol") {
			d.reject(key, d.at(key), "has no use with protocol %s; expected protocol webpubsub or signalr", r.Protocol)
		}
	}
	for _, name := range []string{".access_keys", ".access_key_files"} {
		if key := path + name; has(d.origins, key) && !r.HTTP.Pass && d.usable(key, path+".protocol", path+".http") {
			d.reject(key, d.at(key), "has no use with protocol %s; expected protocol webpubsub or signalr, or http: pass", r.Protocol)
		}
	}
}

// checkService checks a route with one of the Azure protocols.
func (d *decoder) checkService(c *Config, r *Route, service azure.Service, path string) {
	candidates := path + ".upstreams"
	if !d.usable(candidates, path+".protocol", "upstreams") {
		return
	}
	hosted, primary := r.hosted(c), false
	for i, name := range r.Upstreams {
		at, j := fmt.Sprintf("%s[%d]", candidates, i), slices.IndexFunc(c.Upstreams, func(u Upstream) bool { return u.Name == name })
		if j < 0 {
			return // Reported with the names.
		}
		u, from := &c.Upstreams[j], fmt.Sprintf("upstreams[%d]", j)
		primary = primary || u.Role == RolePrimary
		if speaks, known := d.speaks[name]; known && speaks != service && d.usable(at) {
			d.reject(at, d.at(at, candidates), "upstream %s speaks %s, as %s says; expected one for protocol %s", name, speaks, d.variables[name], r.Protocol)
		}
		if hosted && u.ConnectionString == "" && d.usable(at, from+".connection_string", from+".connection_string_file", from+".url") {
			d.reject(at, d.at(at, candidates), "upstream %s has no connection string, and protocol %s needs its key; expected connection_string or connection_string_file there", name, r.Protocol)
		}
	}
	if !primary && d.rolesUsable(c) {
		d.reject(candidates, d.at(candidates), "no upstream of this route is primary; expected at least one, which is the default role")
	}
	keys := path + ".access_keys"
	if hosted && len(r.AccessKeys) == 0 && d.usable(keys, path+".access_key_files", "access_keys", "access_key_files") {
		d.reject(keys, d.at(keys), "are missing; expected one or two keys for protocol %s: of this route, of all routes, or in %s", r.Protocol, envName("access_keys"))
	}
	d.checkServiceKeys(r, service, hosted, path)
}

// rolesUsable reports whether the roles of all upstreams are known.
func (d *decoder) rolesUsable(c *Config) bool {
	for i := range c.Upstreams {
		if !d.usable(fmt.Sprintf("upstreams[%d].role", i), fmt.Sprintf("upstreams[%d].name", i)) {
			return false
		}
	}
	return true
}

// checkServiceKeys checks the keys for the Azure protocols among themselves.
func (d *decoder) checkServiceKeys(r *Route, service azure.Service, hosted bool, path string) {
	for i, hub := range r.Hubs {
		at := fmt.Sprintf("%s.hubs[%d]", path, i)
		if slices.ContainsFunc(r.Hubs[:i], func(other string) bool { return azure.SameHub(hub, other) }) && d.usable(at) {
			d.reject(at, d.at(at), "is in this list twice; expected each hub once")
		}
	}
	for _, name := range []string{".negotiate.roles", ".negotiate.groups"} {
		if key := path + name; service == azure.SignalR && has(d.origins, key) && d.usable(key) {
			d.reject(key, d.at(key), "has no use with protocol signalr; expected protocol webpubsub, or a hub that does it")
		}
	}
	if hosted {
		return
	}
	// A dump says what these are by default, too.
	for _, row := range []struct {
		name string
		set  bool
	}{
		{".negotiate", !reflect.DeepEqual(r.Negotiate, newRoute().Negotiate)}, {".close_at_expiry", r.CloseAtExpiry},
		{".group_prefix", len(r.GroupPrefixes) > 0}, {".public_url", r.PublicURL != ""},
	} {
		if key := path + row.name; row.set && d.usable(key) {
			d.reject(key, d.at(key), "has no use: the upstreams of this route have no connection strings, so they are servers of your own, which negotiate themselves; expected upstreams with connection_string")
		}
	}
}

// checkRouter reports settings that do not belong to the router of a route.
func (d *decoder) checkRouter(c *Config, r *Route, path string) {
	router, hash, query := path+".router", path+".hash", path+".query"
	d.order(has(d.origins, hash) && r.Router != RouterHash, hash, router, "is given, and the router is %s; expected router: hash", r.Router)
	d.order(has(d.origins, query) && r.Router != RouterQuery, query, router, "is given, and the router is %s; expected router: query", r.Router)
	if r.Router != RouterHash {
		return
	}
	by, name := hash+".by", hash+".name"
	needed := r.Hash.By == HashByHeader || r.Hash.By == HashByQuery
	d.order(needed && r.Hash.Name == "", name, by, "hash.name is missing; expected the name of what hash.by: %s goes by", r.Hash.By)
	d.order(!needed && r.Hash.Name != "", name, by, "is given, and hash.by is %s; expected by: header or by: query", r.Hash.By)
	d.order(r.Hash.By == HashByHeader && r.Hash.Name != "" && !headerField(r.Hash.Name), name, by, "is not the name of a header field; expected one such as X-Tenant")
	d.order(r.Hash.By == HashByUser && !r.hosted(c), by, path+".protocol", "is user, which is in the tokens of Azure services only; expected client, header or query")
}

// checkGroups reports rules for groups that cannot be meant.
func (d *decoder) checkGroups(r *Route, path string) {
	for i, g := range r.GroupPrefixes {
		at := fmt.Sprintf("%s.group_prefix[%d]", path, i)
		for j, name := range g.Upstreams {
			item := fmt.Sprintf("%s.upstreams[%d]", at, j)
			if d.usable(item, path+".upstreams") && !slices.Contains(r.Upstreams, name) {
				d.reject(item, d.at(item), "names no upstream of the route; %s", knownNames(name, r.Upstreams))
			}
		}
		if len(g.Upstreams) == 0 {
			d.missing(at, "upstreams", "the names of the upstreams of these groups", at+".upstreams")
		}
		prefix := at + ".prefix"
		if first := slices.IndexFunc(r.GroupPrefixes, func(other GroupPrefix) bool { return strings.HasPrefix(g.Prefix, other.Prefix) }); first < i &&
			d.usable(prefix, fmt.Sprintf("%s.group_prefix[%d].prefix", path, first)) {
			d.reject(prefix, d.at(prefix), "never counts: group_prefix[%d]%s comes first and takes these groups; expected the longer prefix first",
				first, d.line(fmt.Sprintf("%s.group_prefix[%d].prefix", path, first)))
		}
	}
}
