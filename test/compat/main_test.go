//go:build compat && linux

package compat

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python is Debian's, because its packages serve no other.
const python = "/usr/bin/python3"

// binary is the path of the pointsman that is tested.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := findTools(); err != nil {
		fmt.Fprintf(os.Stderr, "compat: cannot test:\n%v\n", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "pointsman-compat-")
	if err != nil {
		fmt.Fprintf(os.Stderr, "compat: make temporary directory: %v\n", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := makeAuthority(dir); err != nil {
		fmt.Fprintf(os.Stderr, "compat: make certificates: %v\n", err)
		return 1
	}
	binary = filepath.Join(dir, "pointsman")
	build := exec.Command("go", "build", "-o", binary, "github.com/pointsman/pointsman/cmd/pointsman")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "compat: build pointsman: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// findTools fails with everything that is missing.
func findTools() error {
	var errs []error
	tool := func(cure, name string, args ...string) {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			errs = append(errs, fmt.Errorf("%s: %w: %s; %s", name, err, lines[len(lines)-1], cure))
		}
	}
	tool("install the Debian package curl", "curl", "--version")
	tool("install the Debian package openssl", "openssl", "version")
	tool("install the Debian package chromium", "chromium", "--version")
	tool("install the Debian packages python3-websockets and python3-wsproto", python, "-c", "import websockets.legacy.server, wsproto")
	tool("install Node.js 18.17 or later, and run: npm ci --prefix test/compat/node",
		"node", "-e", "process.chdir('node'); for (const name of ['ws', 'undici', 'faye-websocket', 'permessage-deflate', '@azure/web-pubsub',"+
			" '@azure/web-pubsub-client', '@azure/web-pubsub-express', '@microsoft/signalr', 'socket.io', 'socket.io-client']) require(process.cwd() + '/node_modules/' + name)")
	return errors.Join(errs...)
}
