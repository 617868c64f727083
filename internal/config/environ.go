package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable that this package
// reads.
const EnvPrefix = "POINTSMAN_"

// envName is the variable of a key: health.interval is POINTSMAN_HEALTH_INTERVAL.
func envName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// variable is the variable that sets f.
func (f field[T]) variable() string {
	if f.long != "" {
		return envName(f.long)
	}
	return envName(f.name)
}

// serviceLink finds the variables that Kubernetes and container links put into
// a process for a service called pointsman or pointsman-something. Nobody wrote
// them, so they are no mistake.
var serviceLink = regexp.MustCompile(
	`^POINTSMAN_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=` +
		`|^POINTSMAN_([A-Z0-9_]+_)?PORT=(tcp|udp|sctp)://`)

// environment applies the variables of environ to c, in the order of their
// names. Of a name given twice the last one counts, as in os/exec.
func (d *decoder) environment(environ []string, c *Config) {
	given := make(map[string]string)
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if ok && strings.HasPrefix(name, EnvPrefix) && !serviceLink.MatchString(entry) {
			given[name] = value
		}
	}
	keys := configKeys()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(keys, func(f field[Config]) bool { return f.variable() == name })
		at := origin{source: sourceEnvironment, key: name}
		switch {
		case i < 0:
			d.addf(at, "is not a known variable; %s", envHint(name, keys))
		case keys[i].set == nil:
			d.addf(at, "is a list, which only a file can give; expected the key %s in the file", keys[i].name)
		default:
			at.value = given[name]
			override(d, keys[i], keys[i].name, at, c)
		}
	}
}

// envHint helps with an unknown variable.
func envHint(name string, keys []field[Config]) string {
	var known []string
	for _, f := range keys {
		if envName(f.name) == name {
			return "expected " + f.variable()
		}
		if f.set != nil {
			known = append(known, f.variable())
		}
	}
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Sprintf("expected %s and the key of a scalar, such as %s", EnvPrefix, envName("health.interval"))
}
