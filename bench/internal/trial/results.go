package trial

import "github.com/pointsman/pointsman/bench/internal/latency"

// Results are those of the trials that were made.
type Results struct {
	Homecoming *Homecoming `json:"homecoming,omitempty"`
	Relapse    *Relapse    `json:"relapse,omitempty"`
	Beside     *Beside     `json:"beside,omitempty"`
	BesideBack *Beside     `json:"beside_back,omitempty"` // with clients that come back
	Flap       *Flap       `json:"flap,omitempty"`
	Reload     *Reload     `json:"reload,omitempty"`
	Shutdown   *Shutdown   `json:"shutdown,omitempty"`
	Sudden     *Sudden     `json:"sudden,omitempty"`
	Storm      *Storm      `json:"storm,omitempty"`
	Spares     *Spares     `json:"spares,omitempty"`
	Slow       *Slow       `json:"slow,omitempty"`
	Hellos     *Hellos     `json:"hellos,omitempty"`
	Scarcity   []Scarcity  `json:"descriptors,omitempty"`
}

// Damage counts what must not happen to a client.
type Damage struct {
	Lost    int `json:"lost"`    // TCP ended without a Close frame
	Partial int `json:"partial"` // of these inside of a frame
	Broken  int `json:"broken"`  // a wrong echo, an invalid frame, or one after the Close frame
	Stalled int `json:"stalled"` // an echo did not come, and no Close frame either
	// First is the first of them in words.
	First string `json:"first,omitempty"`
}

// Total is the number of clients' sessions that were damaged.
func (d Damage) Total() int { return d.Lost + d.Broken + d.Stalled }

// Pace is how closes came to the clients.
type Pace struct {
	Closes int `json:"closes"`
	// PerSecond counts those in each second of the clock.
	PerSecond []int `json:"per_second"`
	// Worst is the largest number in any second, wherever it begins.
	Worst int `json:"worst_second"`
	// Seconds is from the first to the last.
	Seconds float64 `json:"seconds"`
}

// Homecoming is a failback: all sessions are on the secondary, and the primary comes up.
type Homecoming struct {
	Sessions int     `json:"sessions"`
	Active   int     `json:"active"` // of these
	Rate     int     `json:"rate"`   // of the drain
	Hold     float64 `json:"hold_ms"`
	Pace     Pace    `json:"pace"`
	Damage   Damage  `json:"damage"`
	// Home and Astray are sessions opened after a close of the drain, on the primary and elsewhere.
	Home   int `json:"home"`
	Astray int `json:"astray"`
	// Away is from a close to the 101 of the next session, Waited from the start of the primary's process to the first close.
	Away   latency.Summary `json:"away"`
	Waited float64         `json:"waited_ms"`
	// ActiveLate is how many of the active ones are among the last tenth of the closes, ActiveMedian their median place
	// in the order, 0 for the first and 1 for the last.
	ActiveLate   int     `json:"active_late"`
	ActiveMedian float64 `json:"active_median"`
	// Pending is how many closes came while a message had not come back; Echoes is how many messages did.
	Pending int   `json:"pending"`
	Echoes  int64 `json:"echoes"`
}

// Relapse is a homecoming in the midst of which the primary is killed; later it comes back for good.
type Relapse struct {
	Sessions int `json:"sessions"`
	Rate     int `json:"rate"`
	// Home is how many were home when the primary was killed.
	Home int `json:"home"`
	// Late is how many closes of the drain came after that, and LastClose when the last of them did.
	Late      int     `json:"late"`
	LastClose float64 `json:"last_close_ms"`
	// Timeout is that of a probe.
	Timeout float64 `json:"probe_timeout_ms"`
	// Ends counts what ended the sessions that were on the primary, by code and reason.
	Ends map[string]int `json:"ends"`
	// Twice is how many clients the drain closed twice on one way home: before the primary's return, or after it.
	Twice int `json:"twice"`
	// Return is the pace of the second way home, InTheEnd how many are home at its end.
	Return   Pace   `json:"return"`
	InTheEnd int    `json:"in_the_end"`
	Worst    int    `json:"worst_second"` // of all closes of the drain
	Damage   Damage `json:"damage"`
}

// Flap is a primary that goes down and comes up again and again.
type Flap struct {
	Sessions int     `json:"sessions"`
	Hold     float64 `json:"hold_ms"`
	Up       float64 `json:"up_ms"`
	Down     float64 `json:"down_ms"`
	Seconds  float64 `json:"seconds"`
	// Kills is how often the primary was killed, Trips how often the router found out.
	Kills int `json:"kills"`
	Trips int `json:"trips"`
	// Moves is how often sessions were opened anew, MostMoves the same of the client that moved most.
	Moves     int `json:"moves"`
	MostMoves int `json:"most_moves"`
	// DrainCloses is how many sessions were closed to lead them home.
	DrainCloses int `json:"drain_closes"`
	// Refused counts answers other than 101.
	Refused int    `json:"refused"`
	Damage  Damage `json:"damage"`
	// Unheld is the same for a shorter time without a hold, for comparison.
	Unheld *Flap `json:"unheld,omitempty"`
}

// Reload is many reloads under load, with an upstream that is added and removed again.
type Reload struct {
	Sessions int     `json:"sessions"` // on upstreams that stay
	Added    int     `json:"added"`    // sessions opened after an upstream was added
	Reloads  int     `json:"reloads"`
	Seconds  float64 `json:"seconds"`
	Echoes   int64   `json:"echoes"`
	// Ended is how many sessions of upstreams that stay have ended, FirstEnd how the first of them did.
	Ended    int    `json:"ended"`
	FirstEnd string `json:"first_end,omitempty"`
	// Refusal is what the router said of the bad file; Unmoved is whether its generation and its upstreams were the same
	// afterwards.
	Refusal string `json:"refusal"`
	Unmoved bool   `json:"unmoved"`
	// OnAdded is how many sessions the added upstream got. When it was removed, Closed of them got a Close frame, and
	// Returned have found a place elsewhere.
	OnAdded  int    `json:"on_added"`
	Closed   int    `json:"closed"`
	Returned int    `json:"returned"`
	Removal  Pace   `json:"removal"`
	Rate     int    `json:"rate"` // of the removal
	Damage   Damage `json:"damage"`
}

// Shutdown is SIGTERM with open sessions.
type Shutdown struct {
	Sessions  int     `json:"sessions"`
	Rate      int     `json:"rate"`      // as configured
	Announced int     `json:"announced"` // the rate that the router chose for the deadline
	Deadline  float64 `json:"deadline_seconds"`
	Pace      Pace    `json:"pace"`
	// Other counts closes with another code than 1001.
	Other  int    `json:"other"`
	Damage Damage `json:"damage"`
	// First is from the signal to the first close, Gone to the end of the process.
	First float64 `json:"first_ms"`
	Gone  float64 `json:"gone_seconds"`
	Exit  string  `json:"exit"` // empty for code 0
}

// Sudden is SIGKILL of the router with open sessions.
type Sudden struct {
	Sessions int `json:"sessions"`
	// Upstream is when no session was open any more at the upstream, Clients when the last client had seen the end;
	// negative if that did not come in time.
	Upstream float64 `json:"upstream_ms"`
	Clients  float64 `json:"clients_ms"`
}

// Storm is the loss of an upstream with all its sessions, whose clients all come back at once.
type Storm struct {
	Sessions int `json:"sessions"`
	Limit    int `json:"handshakes_per_second"`
	// Most and All are when 99 % and all had a session again, in seconds from the kill; negative if that did not come.
	Most float64 `json:"most_seconds"`
	All  float64 `json:"all_seconds"`
	// Refused counts 503 answers, Told those with a Retry-After, MostRefusals the refusals of the client that had most.
	Refused      int `json:"refused"`
	Told         int `json:"told"`
	MostRefusals int `json:"most_refusals"`
	Other        int `json:"other"` // refusals with another status, and connections that broke
	// Seconds are the handshakes that were accepted in each second after the kill, and how long they took, their turn in the
	// queue included.
	Seconds []StormSecond `json:"seconds"`
	// Before and During are handshakes on another listener, whose queue is empty: what a handshake costs without its turn.
	Before latency.Summary `json:"service_before"`
	During latency.Summary `json:"service_during"`
	Failed int             `json:"service_failed"`
	// RSS and Peak are the router's resident memory before the kill, and at most, in bytes.
	RSS    int64  `json:"rss"`
	Peak   int64  `json:"peak_rss"`
	Damage Damage `json:"damage"`
}

// StormSecond is one second of a storm. Times are in milliseconds.
type StormSecond struct {
	Accepted int     `json:"accepted"`
	Refused  int     `json:"refused"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}
