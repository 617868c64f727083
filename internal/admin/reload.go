package admin

import "time"

// Reload tells about the reloads of the configuration since the start. Options
// give it to the door as a func, and a func that makes one.
type Reload struct {
	// Attempts is how often it was tried, Generation how often it worked.
	Attempts   int `json:"attempts"`
	Generation int `json:"generation"`
	// At is when it was tried last, zero if never; OK and Error say how that went.
	At    time.Time `json:"at,omitzero"`
	OK    bool      `json:"ok"`
	Error string    `json:"error,omitempty"`
	// NeedsRestart are the keys that have changed and that only a restart brings.
	NeedsRestart []string `json:"needs_restart,omitempty"`
}
