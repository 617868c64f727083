//go:build compat && linux

package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ownKey is the access key of routers that stand for a service.
const ownKey = "0123456789abcdef0123456789abcdef"

// regions are two emulated instances of a service, each with a key of its own.
type regions struct {
	mode       string
	east, west *service
}

func startRegions(t *testing.T, mode string, eastArgs, westArgs []string) *regions {
	t.Helper()
	start := func(name string, args []string) *service {
		return startService(t, mode, append([]string{"--listen", "127.0.0.1:0", "--name", name, "--access-key", strings.Repeat(name, 8)}, args...)...)
	}
	return &regions{mode, start("east", eastArgs), start("west", westArgs)}
}

// again starts the instance that was killed anew, where it was.
func (s *service) again(t *testing.T) *service {
	t.Helper()
	return startService(t, s.mode, append(s.args, "--listen", strings.TrimPrefix(s.url, "ws://"))...)
}

// front is a router that stands for both regions, with the roles that are given for east and west.
type front struct {
	*router
	http       string // its URL
	connection string // what an application is given in the place of an instance's connection string
}

func (g *regions) front(t *testing.T, eastRole, westRole string, settings ...string) *front {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pointsman.yaml")
	text := fmt.Sprintf(`listen: "127.0.0.1:0"
admin: "127.0.0.1:0"
upstreams:
  - {name: east, connection_string: %q, role: %s}
  - {name: west, connection_string: %q, role: %s}
access_keys: [%q]
`, g.east.connection, eastRole, g.west.connection, westRole, ownKey)
	for _, section := range settings {
		text += section + "\n"
	}
	if !strings.Contains(text, "\nroutes:") {
		text += fmt.Sprintf("routes: [{protocol: %s, http: pass}]\n", g.mode)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &front{router: startRouter(t, "east", "--config", file)}
	f.waitHealthy("west")
	f.http = "http" + strings.TrimPrefix(f.url, "ws")
	f.connection = fmt.Sprintf("Endpoint=%s;AccessKey=%s;Version=1.0;", f.http, ownKey)
	return f
}
