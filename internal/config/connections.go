package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
)

// azureEnvironment adds the instances that the variables of the Azure SDKs name.
// One with the name of an upstream in the file says the connection string of that
// upstream.
func (d *decoder) azureEnvironment(environ []string, c *Config) {
	list, err := azure.FromEnvironment(environ)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			variable, message, _ := strings.Cut(e.Error(), ": ")
			d.addf(origin{source: sourceEnvironment, key: variable}, "%s", message)
		}
	}
	for _, service := range []azure.Service{azure.WebPubSub, azure.SignalR} {
		of := slices.DeleteFunc(slices.Clone(list), func(e azure.Endpoint) bool { return e.Service != service })
		kept, dropped, _ := azure.Reduce(of) // whether there is a primary is judged for each route
		for _, one := range dropped {
			c.LeftOut = append(c.LeftOut, one.String())
		}
		for _, e := range kept {
			d.addEndpoint(c, e, valueOf(e.Source, environ))
		}
	}
}

// valueOf returns the value of a variable: of one given twice, the last.
func valueOf(variable string, environ []string) string {
	value := ""
	for _, entry := range environ {
		if text, ok := strings.CutPrefix(entry, variable+"="); ok {
			value = text
		}
	}
	return value
}

// addEndpoint makes an upstream of an instance that the environment names, or
// completes the one of that name.
func (d *decoder) addEndpoint(c *Config, e azure.Endpoint, text string) {
	name := upstreamName(e.Name, e.Connection.Endpoint)
	at := origin{source: sourceEnvironment, key: e.Source}
	i := slices.IndexFunc(c.Upstreams, func(u Upstream) bool { return u.Name == name })
	if _, again := d.speaks[name]; again {
		d.addf(at, "its upstream would be called %q, as that of %s; expected another name", name, d.variables[name])
		return
	}
	d.speaks[name], d.variables[name] = e.Service, e.Source
	if i < 0 {
		i = len(c.Upstreams)
		u := newUpstream()
		u.Name = name
		c.Upstreams = append(c.Upstreams, u)
		d.named[name] = e.Service
		for _, key := range []string{"", ".name"} {
			d.origins[fmt.Sprintf("upstreams[%d]%s", i, key)] = at
		}
	}
	u, path := &c.Upstreams[i], fmt.Sprintf("upstreams[%d]", i)
	if url := path + ".url"; has(d.origins, url) {
		d.addf(at, "is the connection string of upstream %s, which has a url%s; expected one of them, or another name", name, d.line(url))
		return
	}
	d.forget(path + ".connection_string")
	d.forget(path + ".connection_string_file")
	u.ConnectionString, u.ConnectionStringFile = Secret(text), ""
	d.origins[path+".connection_string"] = at
	_, added := d.named[name]
	if _, inName, _ := strings.Cut(d.origins[path+".name"].value, ":"); added || saysRole(e) || inName == "" && !has(d.origins, path+".role") {
		u.Role = Role(e.Role.String())
	}
}

// saysRole reports whether a variable ends with its role, which else is the
// default.
func saysRole(e azure.Endpoint) bool {
	variable := strings.ToLower(strings.ReplaceAll(e.Source, "__", ":"))
	return strings.HasSuffix(variable, ":"+strings.ToLower(e.Name)+":"+e.Role.String())
}

// upstreamName makes the name of an upstream of the name that an instance has for
// the SDKs, or without one of its host.
func upstreamName(name string, at azure.Base) string {
	if name == "" {
		name = at.Hostname()
		if label, _, more := strings.Cut(name, "."); more && strings.Trim(label, "0123456789") != "" {
			name = label // not of an IP address
		}
	}
	name = strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, name)
	if name = strings.Trim(name[:min(len(name), 63)], "-"); name == "" {
		return "azure"
	}
	return name
}

// checkConnections reads connection strings, and says what they say about name
// and URL. It reports upstreams that have neither one nor a URL.
func (d *decoder) checkConnections(c *Config) {
	for i := range c.Upstreams {
		d.checkConnection(&c.Upstreams[i], fmt.Sprintf("upstreams[%d]", i))
	}
}

func (d *decoder) checkConnection(u *Upstream, path string) {
	name, role, url := path+".name", path+".role", path+".url"
	inline, file := path+".connection_string", path+".connection_string_file"
	if !d.usable(path) {
		return
	}
	if strings.Contains(d.origins[name].value, ":") && has(d.origins, role) && d.usable(name, role) {
		d.reject(role, d.at(role), "is given, and the name%s says a role too; expected one of them", d.line(name))
	}
	from := inline
	switch {
	case has(d.origins, inline) && has(d.origins, file):
		d.reject(file, d.at(file), "is given, and so is connection_string%s; expected one of them", d.line(inline))
		return
	case has(d.origins, file):
		from = file
	case !has(d.origins, inline):
		d.missing(path, "url", "a url such as ws://10.0.0.1:9001, or a connection_string", url)
		d.missing(path, "name", nameRule, name)
		return
	}
	if has(d.origins, url) && d.usable(url) {
		d.reject(url, d.at(url), "is given, and so is %s%s, which says it too; expected one of them", lastName(from), d.line(from))
		return
	}
	unknown := func() {
		d.bad[url] = true
		if u.Name == "" {
			d.bad[name] = true
		}
	}
	if !d.usable(from) {
		unknown()
		return
	}
	if from == file {
		text, err := loadSecret(u.ConnectionStringFile, azure.MaxConnectionString)
		if err != nil {
			d.reject(from, d.at(from), "cannot be used: %v; expected a file that holds a connection string", err)
			unknown()
			return
		}
		u.ConnectionString = Secret(text)
	}
	connection, err := azure.ParseConnectionString(string(u.ConnectionString))
	if err == nil {
		u.URL, err = readUpstreamURL(connection.ClientBase().WebSocket())
	}
	if err != nil {
		d.reject(from, d.at(from), "%s", strings.TrimPrefix(err.Error(), "connection string: "))
		unknown()
		return
	}
	d.origins[url] = d.at(from) // What is wrong with it is wrong there.
	if !has(d.origins, name) && u.Name == "" {
		u.Name = upstreamName("", connection.Endpoint)
		d.origins[name] = d.at(from)
	}
}

// missing reports a key of a section that has to be there, and is not.
func (d *decoder) missing(section, name, expected, path string) {
	at, given := d.origins[section]
	if has(d.origins, path) || !given {
		return
	}
	at.key, at.value, at.width = path, "", 0
	d.reject(path, at, "is missing; expected %s", expected)
}
