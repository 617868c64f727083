package trial

import "github.com/pointsman/pointsman/bench/internal/crowd"

// Scarcity is a router that gets more clients than it has descriptors for.
type Scarcity struct {
	Limit  int `json:"limit"`  // descriptors that the router may have
	Before int `json:"before"` // sessions that were open and sent messages before the rush
	// Rushed is how many more tried then; Accepted and Refused (503) are what became of them, and Other is neither.
	Rushed   int `json:"rushed"`
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"`
	Other    int `json:"other"`
	// Tried, Turned and Odd are the same for those who came one by one while it was full: tried, refused with 503, and anything else.
	Tried  int `json:"tried_when_full"`
	Turned int `json:"refused_when_full"`
	Odd    int `json:"other_when_full"`
	// First is the first of the others in words.
	First string `json:"first_other,omitempty"`
	// Silent is how many connected after that and said nothing.
	Silent int `json:"silent"`
	// MostFiles is the largest number of descriptors that the router had, of all Looks.
	MostFiles int `json:"most_descriptors"`
	Looks     int `json:"looks"`
	// Slowest is the longest time that the admin address took to answer, and Failed how often it did not.
	Slowest float64 `json:"admin_slowest_ms"`
	Failed  int     `json:"admin_failed"`
	// Doubts is how often the status said that the upstream is not healthy, and Trips how often its breaker opened.
	Doubts int `json:"doubts"`
	Trips  int `json:"trips"`
	// Recovered is from the end of the rush's sessions to the next one that was accepted, negative if none was.
	Recovered float64 `json:"recovered_ms"`
	// Damage is that of the sessions that were open before.
	Damage Damage `json:"damage"`
}

// count takes what became of the rush.
func (r *Scarcity) count(all history) {
	for _, e := range all {
		switch {
		case e.Kind == crowd.Opened:
			r.Accepted++
		case e.Kind == crowd.Refused && e.Code == 503:
			r.Refused++
		default:
			r.Other++
			if r.First == "" {
				r.First = describe(e)
			}
		}
	}
}
