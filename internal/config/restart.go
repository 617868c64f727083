package config

// NeedsRestart returns the keys in which c differs from old and which a running
// process cannot change, in the order of the reference; empty when there is
// none. What such a key says in c has no effect, so old should be the
// configuration that the process was started with, not the one before c.
//
// The keys are listen (the addresses, and which of them speak TLS), admin (its
// address), admin.token, reload.watch, log.format and log.access. Everything else can change while the process runs: log.level
// by a [log/slog.LevelVar], the rest by [Config.Rebuild].
func (c *Config) NeedsRestart(old *Config) []string {
	var out []string
	for _, f := range configKeys() {
		if f.restart != nil && f.restart(old, c) {
			out = append(out, f.name)
		}
	}
	return out
}
