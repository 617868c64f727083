package certs

import (
	"time"
)

// vigil is what is remembered of the files from one look to the next.
//
// A certificate and its key are two files, often more, and whoever renews them
// writes one after the other. So files that change are left alone until two looks
// find the same, and if they do not fit together then, that is no news for some
// seconds. Then what is good of them is taken all the same: a pair that stays bad must
// not keep the others from being renewed.
type vigil struct {
	found sums
	since time.Time // the look that found this first
}

// look looks at the files and returns when to look again.
func (v *vigil) look(k *Keeper) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := survey(k.options.paths())
	moved := !found.equal(v.found)
	if moved {
		v.found, v.since = found, time.Now()
	}
	switch {
	case found.equal(k.files.sums):
		if k.refused.sums != nil {
			k.refused = loaded{}
			k.logger.Info("certificate files are again those in use")
		}
		return k.pace.look
	case moved:
		return k.pace.settle
	case found.equal(k.refused.sums):
		return k.pace.look
	}
	refused := k.refused
	err := k.reload()
	if err == nil {
		return k.pace.look
	}
	if time.Since(v.since) < k.pace.patient {
		k.refused = refused // Not yet: they may still be writing.
		return k.pace.settle
	}
	k.takeGood()
	k.logger.Warn("certificates not reloaded, those in use are kept", "error", err)
	return k.pace.look
}
