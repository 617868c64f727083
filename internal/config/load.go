package config

import (
	"fmt"

	"github.com/pointsman/pointsman/internal/azure"
)

// Load reads and checks the file at path, of at most 1 MiB; environ ("KEY=value"
// as from os.Environ) overrides it, and adds the instances that the Azure SDKs
// would find there. Files of secrets that either names are read now.
// The error is an [Errors] with every mistake,
// or says why the file cannot be read (errors.Is finds fs.ErrNotExist).
func Load(path string, environ []string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	return Parse(path, data, environ)
}

// Parse does what Load does with a file that is held in memory; name stands for
// it in problems. The error is an [Errors] with every mistake.
func Parse(name string, data []byte, environ []string) (*Config, error) {
	d := newDecoder(name)
	c := Default()
	root := d.tree(data)
	if root != nil {
		decodeSection(d, root, "", configKeys(), &c)
	}
	d.environment(environ, &c)
	d.azureEnvironment(environ, &c)
	if root != nil {
		d.check(&c)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// Flags are a configuration without a file. Empty ones keep what the environment
// or the default says.
type Flags struct {
	// Listen is the address for clients, --listen, and Admin that for operators,
	// --admin.
	Listen, Admin string
	// TLSCert and TLSKey are the files of the certificate for clients, --tls-cert
	// and --tls-key; both or none.
	TLSCert, TLSKey string
	// Primary and Secondary are the URLs of upstreams, --primary and --secondary.
	// They are named primary-1, primary-2, ..., secondary-1, ... in this order.
	// With none of them the upstreams are those that the environment names.
	Primary, Secondary []string
}

// FromFlags makes a configuration without a file. The error is an [Errors] with
// every mistake; its keys are the names of the flags.
func FromFlags(f Flags, environ []string) (*Config, error) {
	d := newDecoder(sourceFlags)
	c := Default()
	d.environment(environ, &c)
	for _, k := range configKeys() {
		switch {
		case k.name == "listen" && f.Listen != "":
			override(d, k, k.name, fromFlag("--listen", f.Listen), &c)
		case k.name == "admin" && f.Admin != "":
			override(d, k, k.name, fromFlag("--admin", f.Admin), &c)
		}
	}
	d.flagTLS(&c, f)
	d.flagUpstreams(&c, RolePrimary, f.Primary)
	d.flagUpstreams(&c, RoleSecondary, f.Secondary)
	if len(c.Upstreams) == 0 {
		d.azureEnvironment(environ, &c)
	}
	if len(c.Upstreams) == 0 && len(d.found) == 0 {
		d.reject("upstreams", fromFlag("--primary", ""), "is missing; expected at least one --primary or --secondary URL")
	}
	d.check(&c)
	if err := d.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// NamesUpstreams reports whether a configuration without a file would have
// upstreams, or mistakes about them, by the variables of the Azure SDKs alone.
func NamesUpstreams(environ []string) bool {
	list, err := azure.FromEnvironment(environ)
	return len(list) > 0 || err != nil
}

// fromFlag is the origin of what a flag says.
func fromFlag(name, value string) origin { return origin{source: sourceFlags, key: name, value: value} }

// flagTLS adds the certificate.
func (d *decoder) flagTLS(c *Config, f Flags) {
	given := []struct{ key, name, value, other string }{
		{"cert", "--tls-cert", f.TLSCert, "--tls-key"}, {"key", "--tls-key", f.TLSKey, "--tls-cert"},
	}
	if f.TLSCert == "" && f.TLSKey == "" {
		return
	}
	var pair Certificate
	for _, g := range given {
		path := "listen[0].tls.certificates[0]." + g.key
		if g.value == "" {
			d.reject(path, fromFlag(g.name, ""), "is missing; expected it with %s", g.other)
			continue
		}
		for _, k := range certificateKeys() {
			if k.name == g.key {
				override(d, k, path, fromFlag(g.name, g.value), &pair)
			}
		}
	}
	c.Listen[0].TLS.Certificates = []Certificate{pair}
}

// flagUpstreams adds the upstreams of one flag.
func (d *decoder) flagUpstreams(c *Config, role Role, urls []string) {
	for i, value := range urls {
		u := newUpstream()
		u.Name, u.Role = fmt.Sprintf("%s-%d", role, i+1), role
		path := fmt.Sprintf("upstreams[%d].url", len(c.Upstreams))
		for _, f := range upstreamKeys() {
			if f.name == "url" {
				override(d, f, path, fromFlag("--"+string(role), value), &u)
			}
		}
		c.Upstreams = append(c.Upstreams, u)
	}
}

// override sets the scalar f, at path, from outside the file; what the file says
// of it no longer counts.
func override[T any](d *decoder, f field[T], path string, at origin, t *T) {
	if f.short != "" {
		delete(d.bad, path)
		path = f.short
	}
	d.forget(path)
	value := at.value
	if f.secret {
		at.value = redacted
	}
	d.origins[path] = at
	if err := f.set(t, value); err != nil {
		d.reject(path, at, "%v; expected %s", err, f.expected)
	}
}
