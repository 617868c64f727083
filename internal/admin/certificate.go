package admin

import "time"

// Certificate tells about one certificate that clients are shown. Options give
// all of them to the door as a func.
type Certificate struct {
	// Listener is the address, as it is configured, whose clients it is shown to.
	Listener string `json:"listener"`
	// Names are the host names and addresses that it is for.
	Names []string `json:"names"`
	// NotAfter is when it ends; missing while ACME has not obtained it yet.
	NotAfter time.Time `json:"not_after,omitzero"`
	Source   Source    `json:"source"`
	// File is where it was read from; missing with FromACME.
	File string `json:"file,omitempty"`
	// Error is why the files as they are now are not in use, or why it was not
	// obtained or renewed; missing if all is well.
	Error string `json:"error,omitempty"`
}

// Source is where a certificate comes from.
type Source string

// The sources.
const (
	FromFile Source = "file"
	FromACME Source = "acme"
)
