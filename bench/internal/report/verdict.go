package report

import (
	"fmt"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

// Verdict says whether a claim holds.
type Verdict struct {
	// Claim is the promise in words.
	Claim string `json:"claim"`
	// Finding is what was measured.
	Finding string `json:"finding"`
	// Judged is false if something that the claim needs was not measured; Holds is then false.
	Judged bool `json:"judged"`
	Holds  bool `json:"holds"`
}

// String is one line, the outcome first.
func (v Verdict) String() string {
	word := "FAILS"
	switch {
	case !v.Judged:
		word = "not judged"
	case v.Holds:
		word = "holds"
	}
	return fmt.Sprintf("%-10s  %s: %s", word, v.Claim, v.Finding)
}

// Limits of the claims.
const (
	maxRelayCPU     = 1.05 // of the better peer
	maxRelayP99     = 1.05 // of the better peer: "no worse" within the noise that the same program shows between runs
	maxTrickleCPU   = 2    // of the better peer: each event wakes a scheduler; before the loops waited with its poller, it was 10
	minBulkRate     = 1.8  // of HAProxy
	maxIdleRSS      = 2048 // bytes
	minHandshakeNgx = 0.7  // of nginx
	maxSecureCPU    = 1.05 // of the better peer, with TLS: level within the same noise
	minSecureNgx    = 0.95 // of nginx, with TLS: level within the same noise
	maxSecureRSS    = 0.5  // of HAProxy, with TLS
	goalSecureRSS   = 8192 // bytes, with TLS on the clients' side
)

const (
	pointsman = "pointsman"
	nginx     = "nginx"
	haproxy   = "haproxy"
)

func perSecond(s contest.Sample) float64 { return s.PerSecond }
func cpu(s contest.Sample) float64       { return s.CPU }
func p50(s contest.Sample) float64       { return s.P50 }
func p99(s contest.Sample) float64       { return s.P99 }
func rss(s contest.Sample) float64       { return s.RSS }
func pss(s contest.Sample) float64       { return s.PSS }

// Judge returns the verdicts on the claims that the outcome is about.
func Judge(o contest.Outcome) []Verdict {
	switch o.Experiment {
	case "relay":
		return []Verdict{
			atMostEach(o, fmt.Sprintf("relay: CPU per round trip at most %.2f times the better of nginx and HAProxy", maxRelayCPU), maxRelayCPU, cpu),
			atMostEach(o, fmt.Sprintf("relay: p99 no worse than the better of nginx and HAProxy (at most %.2f times)", maxRelayP99), maxRelayP99, p99),
		}
	case "trickle":
		return []Verdict{atMostEach(o, fmt.Sprintf("trickle: CPU per round trip at most %d times the better of nginx and HAProxy", maxTrickleCPU), maxTrickleCPU, cpu)}
	case "bulk":
		return []Verdict{atLeast(o, fmt.Sprintf("bulk: at least %.1f times HAProxy's round trips", minBulkRate), haproxy, minBulkRate)}
	case "tls idle", "tls both idle":
		return []Verdict{secureMemory(o)}
	case "tls relay":
		return []Verdict{atMostEach(o, fmt.Sprintf("tls relay: CPU per round trip at most nginx's and HAProxy's (%.2f times, for noise)", maxSecureCPU), maxSecureCPU, cpu)}
	case "tls handshakes", "tls resumed handshakes":
		return []Verdict{atLeast(o, fmt.Sprintf("%s: at least nginx's rate (%.2f times, for noise)", o.Experiment, minSecureNgx), nginx, minSecureNgx)}
	case "idle":
		return []Verdict{idleMemory(o)}
	case "fanout":
		return []Verdict{judgeFanout(o)}
	case "handshakes":
		return []Verdict{atLeast(o, fmt.Sprintf("handshakes: at least %.1f times nginx's rate", minHandshakeNgx), nginx, minHandshakeNgx)}
	}
	return nil
}

// atMostEach holds if pointsman's figure is at most limit times that of each peer, and so of the better one.
func atMostEach(o contest.Outcome, claim string, limit float64, figure func(contest.Sample) float64) Verdict {
	v := Verdict{Claim: claim}
	entries, missing := needed(o, pointsman, nginx, haproxy)
	if missing != "" {
		v.Finding = missing
		return v
	}
	toNginx := contest.Ratio(entries[0], entries[1], figure)
	toHAProxy := contest.Ratio(entries[0], entries[2], figure)
	v.Finding = fmt.Sprintf("%.2f times nginx, %.2f times HAProxy", toNginx, toHAProxy)
	v.Judged = true
	v.Holds = toNginx > 0 && toHAProxy > 0 && max(toNginx, toHAProxy) <= limit
	return unlessErrors(v, entries[0])
}

// atLeast holds if pointsman's rate is at least limit times that of the peer.
func atLeast(o contest.Outcome, claim, peer string, limit float64) Verdict {
	v := Verdict{Claim: claim}
	entries, missing := needed(o, pointsman, peer)
	if missing != "" {
		v.Finding = missing
		return v
	}
	ratio := contest.Ratio(entries[0], entries[1], perSecond)
	v.Finding = fmt.Sprintf("%.2f times", ratio)
	v.Judged = true
	v.Holds = ratio >= limit
	return unlessErrors(v, entries[0])
}

func idleMemory(o contest.Outcome) Verdict {
	v := Verdict{Claim: fmt.Sprintf("idle: at most %d bytes of resident memory per session", maxIdleRSS)}
	entries, missing := needed(o, pointsman)
	if missing != "" {
		v.Finding = missing
		return v
	}
	bytes := entries[0].Median(rss)
	v.Finding = fmt.Sprintf("%.0f bytes", bytes)
	v.Judged = true
	v.Holds = bytes <= maxIdleRSS
	return unlessErrors(v, entries[0])
}

// secureMemory holds if pointsman's memory for a session with TLS is at most a part of HAProxy's.
func secureMemory(o contest.Outcome) Verdict {
	v := Verdict{Claim: fmt.Sprintf("%s: at most %.1f times HAProxy's resident memory per session", o.Experiment, maxSecureRSS)}
	entries, missing := needed(o, pointsman, haproxy)
	if missing != "" {
		v.Finding = missing
		return v
	}
	ratio := contest.Ratio(entries[0], entries[1], rss)
	v.Finding = fmt.Sprintf("%.2f times", ratio)
	if o.Experiment == "tls idle" {
		word := "above"
		if entries[0].Median(rss) <= goalSecureRSS {
			word = "within"
		}
		v.Finding += fmt.Sprintf(", %.0f bytes, %s the goal of %d", entries[0].Median(rss), word, goalSecureRSS)
	}
	v.Judged = true
	v.Holds = ratio > 0 && ratio <= maxSecureRSS
	return unlessErrors(v, entries[0])
}

// needed returns the entries of the named candidates, or which of them is missing.
func needed(o contest.Outcome, names ...string) ([]contest.Entry, string) {
	var entries []contest.Entry
	for _, name := range names {
		e, ok := o.Entry(name)
		if !ok {
			return nil, name + " was not measured"
		}
		entries = append(entries, e)
	}
	return entries, ""
}

// unlessErrors makes a claim fail if sessions of pointsman failed while it was measured.
func unlessErrors(v Verdict, e contest.Entry) Verdict {
	if n := e.Errors(); n > 0 {
		v.Holds = false
		v.Finding += fmt.Sprintf("; %d errors", n)
	}
	return v
}
