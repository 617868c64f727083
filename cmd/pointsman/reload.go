package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/internal/watch"
	"github.com/pointsman/pointsman/proxy"
)

// reloader takes on the configuration file when it has changed, or when it is
// told to. A file with mistakes changes nothing.
type reloader struct {
	file    string // "" = the configuration came from flags
	environ []string
	router  *proxy.Proxy
	doors   entrances
	logger  *slog.Logger
	level   *slog.LevelVar
	started *config.Config // what cannot change is as it says

	mu      sync.Mutex // one reload at a time; guards what follows
	config  *config.Config
	options proxy.Options // that config was built into
	last    admin.Reload
}

// run reloads at SIGHUP, and when the file changes if it is to be watched,
// until ctx is done.
func (r *reloader) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1) // many signals while one is obeyed are one more
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	var watching sync.WaitGroup
	defer watching.Wait()
	if r.file != "" && r.started.Reload.Watch {
		file, err := watch.New(r.file, r.logger)
		if err != nil {
			// A pipe, for example: it can be read once, and that has been done.
			r.logger.Warn("the configuration file is not watched", "error", err)
		} else {
			r.catchUp()
			watching.Go(func() { file.Run(ctx, func() { _ = r.reload("file changed") }) }) // what went wrong is logged
		}
	}
	for {
		select {
		case <-hangup:
			_ = r.reload("SIGHUP") // as above
		case <-ctx.Done():
			return
		}
	}
}

// catchUp takes on what was changed between the start and the watch.
func (r *reloader) catchUp() {
	if now, err := config.Load(r.file, r.environ); err != nil || !reflect.DeepEqual(now, r.started) {
		_ = r.reload("file changed") // what went wrong is logged
	}
}

// reload takes on the file as it is now. The error is logged and kept for
// status, too: whoever asked may be a signal.
func (r *reloader) reload(why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Attempts++
	r.last.At = time.Now()
	err := r.takeOn()
	r.last.OK = err == nil
	if err != nil {
		r.last.Error = err.Error()
		r.logger.Error("reload refused: everything stays as it was", "why", why, "file", r.file, "error", err)
		return err
	}
	r.last.Error = ""
	r.last.Generation++
	r.last.NeedsRestart = r.config.NeedsRestart(r.started)
	r.logger.Info("reloaded", "why", why, "file", r.file, "generation", r.last.Generation)
	if len(r.last.NeedsRestart) > 0 {
		r.logger.Warn("reloaded, but some changes need a restart", "keys", strings.Join(r.last.NeedsRestart, ", "))
	}
	return nil
}

func (r *reloader) takeOn() error {
	if r.file == "" {
		return fmt.Errorf("there is no file to reload: the router was started with flags")
	}
	c, err := config.Load(r.file, r.environ)
	if err != nil {
		return err
	}
	options, err := c.Rebuild(r.config, r.options)
	if err != nil {
		return err
	}
	enter, err := r.doors.prepare(c, r.logger)
	if err != nil {
		return err
	}
	if err := r.router.Apply(options); err != nil {
		return err
	}
	enter()
	for _, warning := range c.Warnings() {
		r.logger.Warn(warning)
	}
	r.level.Set(c.Log.Level)
	r.config, r.options = c, options
	return nil
}

// status tells about the last reload.
func (r *reloader) status() admin.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
