package trial

import "github.com/pointsman/pointsman/bench/internal/latency"

// Spares is how long handshakes take whose upstream is far away, with spare connections to it and without.
type Spares struct {
	RoundTrip float64      `json:"round_trip_ms"` // to the far upstream
	PerSecond int          `json:"per_second"`    // new clients
	Cases     []SparesCase `json:"cases"`
}

// SparesCase is one of the cases.
type SparesCase struct {
	// Failover is whether the far upstream is a secondary whose primary was killed just before; else it is the only one.
	Failover bool `json:"failover"`
	TLS      bool `json:"tls"` // with the far upstream
	// Spares is how many connections the router keeps for each upstream, 0 for none.
	Spares int `json:"spares"`
	// Took is from the client's connect to its 101.
	Took   latency.Summary `json:"took"`
	Tried  int             `json:"tried"`
	Failed int             `json:"failed"`
	First  string          `json:"first_failure,omitempty"`
}
