package config

import (
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/proxy/drain"
)

// rate is a number of closes in a second.
func rate(name, doc string, at func(*Config) *int) field[Config] {
	return integer(name, 1, drain.MaxRate, "", doc, at)
}

func shutdownKeys() []field[Config] {
	return []field[Config]{
		duration("shutdown.lead", shortest, day, "none",
			"Time after a stop signal in which `/readyz` says no and clients are still taken, so that a load balancer in front stops sending them first. A little more than its check takes to notice; below the deadline.",
			func(c *Config) *time.Duration { return &c.Shutdown.Lead }),
		rate("shutdown.drain_rate",
			"Most sessions closed in a second after a stop signal; more if the deadline demands it. As many as the other routers can take in.",
			func(c *Config) *int { return &c.Shutdown.DrainRate }),
		duration("shutdown.deadline", shortest, day, "",
			"Time that open sessions have to end after a stop signal, `lead` included; then they are cut. Keep it below the kill delay of the service manager.",
			func(c *Config) *time.Duration { return &c.Shutdown.Deadline }),
	}
}

func reloadKeys() []field[Config] {
	watch := toggle("reload.watch",
		"Reloads when the file has changed. SIGHUP reloads in any case; turn this off to decide the moment yourself.",
		func(c *Config) *bool { return &c.Reload.Watch })
	watch.restart = func(a, b *Config) bool { return a.Reload.Watch != b.Reload.Watch }
	return []field[Config]{
		watch,
		duration("reload.scale_timeout", shortest, day, "",
			"How long an added upstream may take to become healthy before an error is logged, and how long the sessions of a removed one may take to find another place before they are closed.",
			func(c *Config) *time.Duration { return &c.Reload.ScaleTimeout }),
		rate("reload.drain_rate",
			"Most sessions of a removed upstream closed in a second. As many as the remaining ones can take in.",
			func(c *Config) *int { return &c.Reload.DrainRate }),
	}
}

func logKeys() []field[Config] {
	levels := []option[slog.Level]{
		{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError},
	}
	format := choice("log.format", words(FormatText, FormatJSON),
		"Form of a log line. `json` suits log collectors.",
		func(c *Config) *Format { return &c.Log.Format })
	format.restart = func(a, b *Config) bool { return a.Log.Format != b.Log.Format }
	access := toggle("log.access",
		"Logs one line for each session that ends.",
		func(c *Config) *bool { return &c.Log.Access })
	access.restart = func(a, b *Config) bool { return a.Log.Access != b.Log.Access }
	return []field[Config]{
		choice("log.level", levels,
			"Lowest level that is logged. `debug` adds a line for each failed attempt and each refused client.",
			func(c *Config) *slog.Level { return &c.Log.Level }),
		format,
		access,
	}
}
