package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

// Names of the candidates.
const (
	Direct    = "direct" // no proxy: the load talks to the echo
	Pointsman = "pointsman"
	Nginx     = "nginx"
	HAProxy   = "haproxy"
)

// ErrMissing is returned when the program of a candidate is not installed.
var ErrMissing = errors.New("not installed")

// Candidate is something that sessions can be opened on.
type Candidate struct {
	Name string
	Addr string // IPv4 address and port
	// Process is what the sessions cost; nil for Direct.
	Process *Process
	// Admin is the URL of the admin address; empty for all but Pointsman.
	Admin string
}

// Stand says where a candidate stands.
type Stand struct {
	// Dir is a directory of its own for its files; it is made if need be.
	Dir string
	// Upstream is the address of the echo behind it.
	Upstream string
	// Pointsman is the path of the pointsman binary.
	Pointsman string
	TLS       TLS
	// Deadline is how long a client may take to send a request, and to take an answer where the candidate knows such a bound. 0 is
	// whatever the candidate does without being told.
	Deadline time.Duration
}

// TLS says on which sides of a candidate TLS is spoken. The zero value is on none.
type TLS struct {
	// Authority has the certificates. It is needed if one of the others is set.
	Authority *authority.Authority
	// Clients and Upstream are the two sides.
	Clients, Upstream bool
}

// scheme is how the candidate's health check is asked for.
func (t TLS) scheme() string {
	if t.Clients {
		return "https://"
	}
	return "http://"
}

// trust is what a client needs for that, nil without TLS.
func (t TLS) trust() *tls.Config {
	if t.Clients {
		return t.Authority.Trust()
	}
	return nil
}

// Start starts the named candidate in front of an echo and returns when it carries requests. The caller stops the process.
func Start(ctx context.Context, name string, s Stand) (*Candidate, error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for %s: %w", name, err)
	}
	switch name {
	case Direct:
		return &Candidate{Name: Direct, Addr: s.Upstream}, nil
	case Pointsman:
		if s.TLS.Clients || s.TLS.Upstream || s.Deadline > 0 {
			file := filepath.Join(s.Dir, "pointsman.yaml")
			if err := os.WriteFile(file, []byte(pointsmanConfig(s)), 0o644); err != nil {
				return nil, fmt.Errorf("write configuration of %s: %w", name, err)
			}
			return StartPointsman(ctx, s.Pointsman, "--config", file)
		}
		return StartPointsman(ctx, s.Pointsman, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--primary", "ws://"+s.Upstream)
	case Nginx:
		return startConfigured(ctx, Nginx, nginxConfig, s, "-p", s.Dir, "-e", filepath.Join(s.Dir, "error.log"), "-c")
	case HAProxy:
		return startConfigured(ctx, HAProxy, haproxyConfig, s, "-db", "-q", "-f")
	}
	return nil, fmt.Errorf("no candidate is named %q", name)
}

// Stop ends the candidate's process, if it has one.
func (c *Candidate) Stop() {
	if c.Process != nil {
		c.Process.Stop()
	}
}

// Blame adds to the error of a measurement who was measured, and what it last had to say.
func (c *Candidate) Blame(err error) error {
	if c.Process == nil {
		return fmt.Errorf("measure %s: %w", c.Name, err)
	}
	if ended := c.Process.Alive(); ended != nil {
		return fmt.Errorf("measure %s: %w; %w", c.Name, err, ended)
	}
	return fmt.Errorf("measure %s: %w; its last lines: %s", c.Name, err, c.Process.log)
}

// StartPointsman runs "pointsman serve" with args, which must make it listen on a free port of 127.0.0.1, and returns when
// an upstream is ready.
func StartPointsman(ctx context.Context, binary string, args ...string) (*Candidate, error) {
	p, at, admin, err := StartRouter(ctx, binary, 1, args...)
	if err != nil {
		return nil, err
	}
	return &Candidate{Name: Pointsman, Addr: at[0], Process: p, Admin: admin}, nil
}

// listeningLine is what pointsman says of each listener, before its URL.
const listeningLine = "pointsman: listening on "

// StartRouter is StartPointsman for a configuration with that many listeners. It returns their addresses.
func StartRouter(ctx context.Context, binary string, listeners int, args ...string) (p *Process, at []string, admin string, err error) {
	return StartLimitedRouter(ctx, binary, 0, listeners, args...)
}

// StartLimitedRouter is StartRouter for a process that may open that many files, 0 for as many as this one.
func StartLimitedRouter(ctx context.Context, binary string, files, listeners int, args ...string) (p *Process, at []string, admin string, err error) {
	says := append(slices.Repeat([]string{listeningLine}, listeners), "pointsman: admin on ")
	path, args := binary, append([]string{"serve"}, args...)
	if files > 0 {
		// Go gives a child no limits, and raises the soft one to the hard one.
		path, args = "/bin/sh", append([]string{"-c", `ulimit -n "$0" && exec "$@"`, fmt.Sprint(files), binary}, args...)
	}
	p, found, err := announced(ctx, Pointsman, path, args, []string{"GOMAXPROCS=2"}, says...)
	if err != nil {
		return nil, nil, "", err
	}
	for _, url := range found[:listeners] { // ws:// or wss://
		_, addr, _ := strings.Cut(url, "://")
		at = append(at, addr)
	}
	admin = found[listeners]
	if err := p.answers(ctx, admin+"/readyz", nil); err != nil {
		p.Stop()
		return nil, nil, "", err
	}
	return p, at, admin, nil
}

// StartUpstream runs "pointsman upstream" in echo mode and returns it with its address.
func StartUpstream(ctx context.Context, binary, name string) (*Process, string, error) {
	p, at, err := announced(ctx, "upstream "+name, binary, []string{"upstream", "--listen", "127.0.0.1:0", "--mode", "echo", "--name", name}, nil,
		"pointsman upstream: listening on ws://")
	if err != nil {
		return nil, "", err
	}
	return p, at[0], nil
}

// EchoPrefix is what the echo command prints before its address.
const EchoPrefix = "echo: listening on "

// Echo says how an echo is started. The zero value is one thread on a free port.
type Echo struct {
	Listen string // IPv4 address and port; see SteadyAddr
	Loops  int
	Name   string // told to each client in echo.NameHeader
	// Cert and Key are files of a certificate, if it shall speak TLS.
	Cert, Key string
	Yields    bool // runs only when nobody else wants a processor
}

// StartEcho runs this program's own echo command, so that its time is told apart from the load's, and returns it with its
// address.
func StartEcho(ctx context.Context, e Echo) (*Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find own program: %w", err)
	}
	args := []string{"echo", "--loops", fmt.Sprint(max(e.Loops, 1)), "--listen", cmp.Or(e.Listen, "127.0.0.1:0"), fmt.Sprintf("--yield=%t", e.Yields)}
	if e.Name != "" {
		args = append(args, "--name", e.Name)
	}
	if e.Cert != "" {
		args = append(args, "--cert", e.Cert, "--key", e.Key)
	}
	p, at, err := announced(ctx, strings.TrimSpace("echo "+e.Name), self, args, nil, EchoPrefix)
	if err != nil {
		return nil, "", err
	}
	return p, at[0], nil
}

// startConfigured starts a peer with a configuration file, whose path is the last of its arguments, and waits until the
// echo's health check can be reached through it.
func startConfigured(ctx context.Context, name string, config func(settings) string, s Stand, args ...string) (*Candidate, error) {
	path, err := Installed(name)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	files, err := Descriptors()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.Dir, name+".conf")
	text := config(settings{Stand: s, listen: addr, files: files})
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", name, err)
	}
	p, err := launch(name, path, append(args, file), nil, nil)
	if err != nil {
		return nil, err
	}
	if err := p.answers(ctx, s.TLS.scheme()+addr+"/api/health", s.TLS.trust()); err != nil {
		p.Stop()
		return nil, err
	}
	return &Candidate{Name: name, Addr: addr, Process: p}, nil
}

// Installed returns the path of a peer's program, or an error that wraps ErrMissing and names the Debian package.
func Installed(name string) (string, error) {
	if path, ok := find(name); ok {
		return path, nil
	}
	return "", fmt.Errorf("%s is %w: install the Debian package %q, or leave it out with --peers", name, ErrMissing, name)
}

func find(name string) (path string, ok bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	// Debian keeps some where only root's path looks.
	path = "/usr/sbin/" + name
	_, err := os.Stat(path)
	return path, err == nil
}

// Build compiles the pointsman command of this module into the directory bin of dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "bin", Pointsman)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/pointsman/pointsman/cmd/pointsman")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pointsman: %w: %s", err, strings.TrimSpace(string(text)))
	}
	return out, nil
}
