//go:build unix

package proxy

import (
	"math"

	"golang.org/x/sys/unix"
)

// fileLimit is how many descriptors the process may have, 0 if nobody says. The
// runtime has raised the soft limit to the hard one.
func fileLimit() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int64(limit.Cur)
}
