package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// What "pointsman serve" prints first, for people and for whoever starts it.
const (
	serveListeningLine = "pointsman: listening on "
	serveAdminLine     = "pointsman: admin on "
)

func newServeCommand() *cobra.Command {
	var (
		file string
		bare config.Flags
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Route WebSocket clients to a healthy upstream",
		Long: `serve listens for WebSocket clients and joins each to a healthy primary, or,
when none is healthy, to a healthy secondary. It is configured by a file, or,
for a first look, by flags.

It prints where it listens, and what it found out about each upstream. Logs go
to standard error.

SIGHUP, or a change of the file, makes it take on the file anew: sessions of
upstreams that did not change are not touched, and a file with mistakes changes
nothing. Certificates that change are taken on by themselves. SIGTERM or SIGINT ends it in an orderly way: it turns unready, accepts no
more clients, closes every session with code 1001 at the pace of
shutdown.drain_rate, and exits when all have ended, at the latest at the shutdown
deadline. A second signal ends it at once.

Environment variables POINTSMAN_… override single values of the file; see
docs/configuration.md. The connection strings that the Azure SDKs look for in the
environment are upstreams, too; see docs/azure.md.`,
		Example: `  pointsman serve --config /etc/pointsman/pointsman.yaml

  pointsman serve --listen :8080 \
      --primary ws://east.example.org --secondary ws://west.example.org

  pointsman serve --listen :443 --tls-cert tls.crt --tls-key tls.key \
      --primary wss://east.example.org --secondary wss://west.example.org`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := bare.Listen+bare.Admin+bare.TLSCert+bare.TLSKey != "" || len(bare.Primary)+len(bare.Secondary) > 0
			if file != "" && flags {
				return usageErrorf("--config stands alone: put what the other flags say into the file")
			}
			var c *config.Config
			var err error
			switch {
			case file != "":
				c, err = config.Load(file, os.Environ())
			case flags || config.NamesUpstreams(os.Environ()):
				c, err = config.FromFlags(bare, os.Environ())
			default:
				return usageErrorf("where are the upstreams? give --config FILE, or --primary URL and --secondary URL, or the variables of the Azure SDKs")
			}
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration `file`")
	f.StringVar(&bare.Listen, "listen", "", "`address` for clients (default :8080); port 0 takes a free one")
	f.StringVar(&bare.Admin, "admin", "", "`address` for status and health (default 127.0.0.1:9090, off for none)")
	f.StringVar(&bare.TLSCert, "tls-cert", "", "`file` with the certificate for clients (PEM); then they speak TLS")
	f.StringVar(&bare.TLSKey, "tls-key", "", "`file` with the key of that certificate (PEM)")
	f.StringArrayVar(&bare.Primary, "primary", nil, "`URL` of a primary upstream; may be repeated")
	f.StringArrayVar(&bare.Secondary, "secondary", nil, "`URL` of a secondary upstream; may be repeated")
	return cmd
}

// serve runs the router that c describes until ctx is done. The file that c was
// loaded from, if any, is followed.
func serve(ctx context.Context, c *config.Config, file string, stdout, stderr io.Writer) error {
	level := new(slog.LevelVar)
	level.Set(c.Log.Level)
	logger := newLogger(c.Log.Format, level, stderr)
	var access *slog.Logger
	if c.Log.Access {
		access = logger
	}
	for _, warning := range c.Warnings() {
		logger.Warn(warning)
	}
	options, err := c.Build(logger, access)
	if err != nil {
		return err
	}
	// One event loop for each processor that we may use. A loop that waits for
	// a moment keeps its place in the scheduler, so there are as many places
	// again for the goroutines that open sessions.
	options.Relay.Loops = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * options.Relay.Loops)
	router, err := proxy.New(options)
	if err != nil {
		return err
	}
	doors, err := newEntrances(c, logger)
	if err != nil {
		return err
	}
	if err := doors.open(); err != nil {
		return err
	}
	var addresses []string
	for _, e := range doors {
		addresses = append(addresses, e.listener.Addr().String())
		fmt.Fprintln(stdout, serveListeningLine+e.url())
	}
	reloads := &reloader{
		file: file, environ: os.Environ(), router: router, doors: doors, logger: logger, level: level,
		started: c, config: c, options: options,
	}

	// The door outlives the router, so that the end can be watched.
	beside, end := context.WithCancel(context.Background())
	var group sync.WaitGroup
	defer group.Wait()
	defer end()
	if c.Admin.Address != config.AdminOff {
		ln, err := openAdmin(c.Admin)
		if err != nil {
			doors.close()
			return fmt.Errorf("admin: %w", err)
		}
		d, err := admin.New(admin.Options{
			Proxy: router, Listeners: addresses, Version: currentBuild().Version, Host: hostOf(c.Admin.Address), Token: string(c.Admin.Token),
			Certificates: doors.certificates, Reload: reloads.reload, Reloads: reloads.status, Logger: logger,
		})
		if err != nil {
			doors.close()
			ln.Close()
			return err
		}
		fmt.Fprintln(stdout, serveAdminLine+adminURL(ln.Addr()))
		group.Go(func() {
			if err := d.Run(beside, ln); err != nil {
				logger.Error("admin door closed", "error", err)
			}
		})
	}
	group.Go(func() { doors.run(beside) }) // ACME needs the ports to be open
	group.Go(func() { tellUpstreams(beside, stdout, options.Upstreams) })
	group.Go(func() { reloads.run(ctx) })
	return router.Run(ctx, doors.listeners()...)
}

// openAdmin opens the admin listener. A socket in the file system is for its
// owner only; one that a process before has left behind is taken away.
func openAdmin(a config.Admin) (net.Listener, error) {
	network, address := a.Network()
	if network != "unix" {
		return net.Listen(network, address)
	}
	if old, err := os.Stat(address); err == nil && old.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial(network, address); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process answers there", address)
		}
		if err := os.Remove(address); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// hostOf returns the host of an address, "" if it has none.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

// adminURL is what is printed, and what --admin takes.
func adminURL(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return "http://" + a.String()
}

// firstLook is how often tellUpstreams looks for the first probe's result.
const firstLook = 20 * time.Millisecond

// tellUpstreams prints one line about each upstream as soon as it has been
// probed.
func tellUpstreams(ctx context.Context, out io.Writer, upstreams []*pool.Upstream) {
	tick := time.NewTicker(firstLook)
	defer tick.Stop()
	for waiting := append([]*pool.Upstream(nil), upstreams...); len(waiting) > 0; {
		rest := waiting[:0]
		for _, u := range waiting {
			probe := u.Checker().Status().LastProbe
			if probe.At.IsZero() {
				rest = append(rest, u)
				continue
			}
			found := "healthy"
			if probe.Err != "" {
				found = "down: " + probe.Err
			}
			fmt.Fprintf(out, "pointsman: %s %s %s is %s\n", u.Role(), u.Name(), u.URL().Redacted(), found)
		}
		waiting = rest
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func newLogger(format config.Format, level slog.Leveler, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
