package contest

import (
	"slices"
	"strings"
)

// HybridName is that of pointsman's entry with the hybrid key exchange.
const HybridName = "pointsman, X25519MLKEM768"

// Sample is one candidate in one round. "Operation" is a round trip, a handshake, or a broadcast.
type Sample struct {
	Round     int     `json:"round"`
	PerSecond float64 `json:"per_second,omitempty"`
	// CPU is the candidate's processor time per operation, all its processes, in microseconds; User is the part outside
	// the kernel.
	CPU  float64 `json:"cpu_us_per_operation,omitempty"`
	User float64 `json:"user_us_per_operation,omitempty"`
	// LoadCPU is the same of the load, which should be the same for all candidates.
	LoadCPU float64 `json:"load_us_per_operation,omitempty"`
	P50     float64 `json:"p50_us,omitempty"`
	P99     float64 `json:"p99_us,omitempty"`
	// Busy, LoadBusy and EchoBusy are processors in use on average: by the candidate, the load and the echo, or all upstreams of a
	// fan-out together.
	Busy     float64 `json:"candidate_busy,omitempty"`
	LoadBusy float64 `json:"load_busy,omitempty"`
	EchoBusy float64 `json:"echo_busy,omitempty"`
	// RSS and PSS are bytes of resident memory per idle session; Empty is the RSS before the first one.
	RSS    float64 `json:"rss_per_session,omitempty"`
	PSS    float64 `json:"pss_per_session,omitempty"`
	Empty  float64 `json:"rss_empty,omitempty"`
	Errors int64   `json:"errors"`
	// Calls is how many broadcasts a fan-out sent, those beside the measured interval included: errors are looked for in all of them.
	// First is the first error in words.
	Calls int64  `json:"calls,omitempty"`
	First string `json:"first_error,omitempty"`
}

// Entry is what one candidate did in all rounds.
type Entry struct {
	Name    string   `json:"name"`
	Samples []Sample `json:"samples"`
}

// Median is the median over the rounds of one figure.
func (e Entry) Median(figure func(Sample) float64) float64 {
	values := make([]float64, len(e.Samples))
	for i, s := range e.Samples {
		values[i] = figure(s)
	}
	return median(values)
}

// Errors is the number of errors in all rounds.
func (e Entry) Errors() int64 {
	var n int64
	for _, s := range e.Samples {
		n += s.Errors
	}
	return n
}

// Outcome is what a contest has measured.
type Outcome struct {
	// Experiment is relay, trickle, bulk, handshakes, idle or fanout; with TLS that is its last word, after tls, and both or resumed.
	Experiment string `json:"experiment"`
	// Setting says in words what each candidate had to do.
	Setting string `json:"setting"`
	// Callers is how many broadcasts of a fan-out were under way at a time.
	Callers int     `json:"callers,omitempty"`
	Entries []Entry `json:"entries"`
}

// Kind is the experiment, with or without TLS: relay, trickle, bulk, handshakes, idle or fanout.
func (o Outcome) Kind() string { return o.Experiment[strings.LastIndexByte(o.Experiment, ' ')+1:] }

// Secure reports whether it was with TLS.
func (o Outcome) Secure() bool { return o.Kind() != o.Experiment }

// Entry returns the entry of the named candidate.
func (o Outcome) Entry(name string) (Entry, bool) {
	for _, e := range o.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// add appends a sample to the candidate's entry.
func (o *Outcome) add(name string, s Sample) {
	for i := range o.Entries {
		if o.Entries[i].Name == name {
			o.Entries[i].Samples = append(o.Entries[i].Samples, s)
			return
		}
	}
	o.Entries = append(o.Entries, Entry{Name: name, Samples: []Sample{s}})
}

// Ratio is the median over the rounds of a's figure divided by b's figure in the same round. It is zero if they have no
// round in common.
func Ratio(a, b Entry, figure func(Sample) float64) float64 {
	var ratios []float64
	for _, x := range a.Samples {
		for _, y := range b.Samples {
			if x.Round == y.Round && figure(y) != 0 {
				ratios = append(ratios, figure(x)/figure(y))
			}
		}
	}
	return median(ratios)
}

// median is the middle value, or the mean of the two middle ones; zero if there is none. It does not change values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// rotate is the order of the candidates in a round, counted from zero: A B C, B C A, C A B, A B C.
func rotate(names []string, round int) []string {
	at := round % max(len(names), 1)
	return slices.Concat(names[at:], names[:at])
}
