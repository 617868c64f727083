package admin

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// family is one metric.
type family struct {
	name, help string // name without the prefix
	kind       prometheus.ValueType
	labels     []string
	read       func(*Status, put)
}

// put takes one value of a family, with its labels.
type put func(value float64, labels ...string)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// families are the metrics that are numbers, in the order of /status. An upstream that is leaving has sessions only: one of the same
// name may have taken its place.
var families = []family{
	{"build_info", "1; the version of the program.", gauge, []string{"version"}, func(s *Status, put put) { put(1, s.Version) }},
	{"ready", "1 while a new client would find an upstream, else 0.", gauge, nil, func(s *Status, put put) { put(flag(s.Ready)) }},

	{"sessions_open", "Sessions that are open or being opened.", gauge, nil, func(s *Status, put put) { put(float64(s.Sessions.Open)) }},
	{"sessions_total", "Sessions joined.", counter, nil, func(s *Status, put put) { put(float64(s.Sessions.Total)) }},
	{"sessions_ended_total", "Sessions that have ended, by cause as the access log names it.", counter, []string{"cause"}, func(s *Status, put put) { each(put, s.Sessions.Ends) }},
	{"sessions_slowed_total", "Sessions whose client was slowed down by its limits, once or more.", counter, nil, func(s *Status, put put) { put(float64(s.Sessions.Slowed)) }},
	{"access_records_dropped_total", "Access records that a slow log lost.", counter, nil, func(s *Status, put put) { put(float64(s.Sessions.AccessDropped)) }},

	{"handshakes_total", "Valid handshakes for which an upstream was sought.", counter, nil, func(s *Status, put put) { put(float64(s.Handshakes.Total)) }},
	{"handshake_failovers_total", "Attempts of handshakes beyond their first.", counter, nil, func(s *Status, put put) { put(float64(s.Handshakes.Failovers)) }},
	{"refusals_total", "Requests answered with anything but 101, by the code of the answer, or upstream_answer.", counter, []string{"code"}, func(s *Status, put put) { each(put, s.Handshakes.Refusals) }},
	{"abandoned_total", "Clients that left before their answer.", counter, nil, func(s *Status, put put) { put(float64(s.Handshakes.Abandoned)) }},
	{"accept_errors_total", "How often the system had no descriptor for a client.", counter, nil, func(s *Status, put put) { put(float64(s.Handshakes.AcceptErrors)) }},

	{"http_requests_served_total", "Plain requests that a route with a service has answered by itself.", counter, nil, func(s *Status, put put) { put(float64(s.Requests.Served)) }},
	{"http_requests_passed_total", "Plain requests for which an upstream was sought.", counter, nil, func(s *Status, put put) { put(float64(s.Requests.Passed)) }},
	{"http_requests_done_total", "Plain requests that were passed, by what came of them: answered, broken, abandoned or ended.", counter, []string{"outcome"}, func(s *Status, put put) {
		put(float64(s.Requests.Answered), "answered")
		put(float64(s.Requests.Broken), "broken")
		put(float64(s.Requests.Abandoned), "abandoned")
		put(float64(s.Requests.Ended), "ended")
	}},

	{"upstream_info", "1; what the configuration says of the upstream.", gauge, []string{"upstream", "role", "url"}, ofEach(func(u *Upstream, put put) { put(1, u.Name, u.Role, u.URL) })},
	{"upstream_healthy", "1 while the upstream is healthy, else 0.", gauge, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(flag(u.Healthy), u.Name) })},
	{"upstream_state", "1 for the state that the upstream is in, 0 for the others.", gauge, []string{"upstream", "state"}, ofEach(func(u *Upstream, put put) {
		for _, state := range presentStates {
			put(flag(u.State == state), u.Name, string(state))
		}
	})},
	{"upstream_share", "The part of its new sessions that the upstream gets beside others, 0 to 1.", gauge, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(u.Share, u.Name) })},
	{"upstream_trips_total", "How often the upstream was taken out.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Trips), u.Name) })},
	{"upstream_sessions", "Sessions of the upstream, and handshakes that may become one.", gauge, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Sessions), u.Name) })},
	{"upstream_sessions_leaving", "Sessions that are left of upstreams of this name that a reload has removed.", gauge, []string{"upstream"}, leaving},
	{"upstream_sessions_total", "Sessions opened with the upstream.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Totals.Sessions), u.Name) })},
	{"upstream_handshake_failures_total", "Handshakes that the upstream has failed, for lack of descriptors or ports here included.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Totals.HandshakeFailures), u.Name) })},
	{"upstream_sessions_lost_total", "Sessions that ended abnormally on the upstream's side.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Totals.Lost), u.Name) })},
	{"upstream_probe_success", "1 if the last probe was good, else 0.", gauge, []string{"upstream"}, ofProbes(func(p *Probe) float64 { return flag(p.Error == "") })},
	{"upstream_probe_duration_seconds", "How long the last probe took.", gauge, []string{"upstream"}, ofProbes(func(p *Probe) float64 { return p.Milliseconds / 1000 })},
	{"upstream_probe_timestamp_seconds", "When the last probe began, as Unix time.", gauge, []string{"upstream"}, ofProbes(func(p *Probe) float64 { return unix(p.At) })},
	{"upstream_spares_ready", "Spare connections that wait.", gauge, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Spares.Ready), u.Name) })},
	{"upstream_spares_used_total", "Spare connections that have carried a handshake.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Spares.Used), u.Name) })},
	{"upstream_spares_wasted_total", "Spare connections that were opened for nothing.", counter, []string{"upstream"}, ofEach(func(u *Upstream, put put) { put(float64(u.Spares.Wasted), u.Name) })},

	{"drains", "Drains that have not ended.", gauge, nil, func(s *Status, put put) { put(float64(len(s.Drains))) }},
	{"drain_sessions_left", "Sessions that these are still to ask to close, as last counted.", gauge, nil, func(s *Status, put put) {
		left := 0
		for i := range s.Drains {
			left += s.Drains[i].Left
		}
		put(float64(left))
	}},

	{"certificate_expiry_timestamp_seconds", "When the certificate ends, as Unix time.", gauge, certificateLabels, func(s *Status, put put) {
		for i := range s.Certificates {
			if c := &s.Certificates[i]; !c.NotAfter.IsZero() {
				put(unix(c.NotAfter), c.labels()...)
			}
		}
	}},
	{"certificate_healthy", "0 if the certificate could not be read, obtained or renewed, else 1.", gauge, certificateLabels, func(s *Status, put put) {
		for i := range s.Certificates {
			c := &s.Certificates[i]
			put(flag(c.Error == ""), c.labels()...)
		}
	}},

	{"config_reloads_total", "Attempts to reload the configuration, by outcome: ok or error.", counter, []string{"outcome"}, func(s *Status, put put) {
		if s.Reload != nil {
			put(float64(s.Reload.Generation), "ok")
			put(float64(s.Reload.Attempts-s.Reload.Generation), "error")
		}
	}},
	{"config_reload_success", "1 if the last attempt to reload the configuration worked, else 0; missing before the first.", gauge, nil, func(s *Status, put put) {
		if s.Reload != nil && s.Reload.Attempts > 0 {
			put(flag(s.Reload.OK))
		}
	}},
	{"config_reload_timestamp_seconds", "When the last attempt to reload the configuration was made, as Unix time; missing before the first.", gauge, nil, func(s *Status, put put) {
		if s.Reload != nil && s.Reload.Attempts > 0 {
			put(unix(s.Reload.At))
		}
	}},
}

// presentStates are those of upstreams that are not leaving.
var presentStates = []State{Suspended, Disabled, Unknown, Down, Held, Ramping, Healthy}

var certificateLabels = []string{"listener", "names", "source", "file"}

func (c *Certificate) labels() []string {
	return []string{c.Listener, strings.Join(c.Names, ","), string(c.Source), c.File}
}

func flag(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func each(put put, counts map[string]uint64) {
	for label, n := range counts {
		put(float64(n), label)
	}
}

// ofEach reads every upstream that is not leaving.
func ofEach(read func(*Upstream, put)) func(*Status, put) {
	return func(s *Status, put put) {
		for i := range s.Upstreams {
			if u := &s.Upstreams[i]; !u.Leaving {
				read(u, put)
			}
		}
	}
}

// ofProbes reads the last probe of every upstream that has had one.
func ofProbes(value func(*Probe) float64) func(*Status, put) {
	return ofEach(func(u *Upstream, put put) {
		if u.LastProbe != nil {
			put(value(u.LastProbe), u.Name)
		}
	})
}

// leaving has one value for each name: several upstreams may have had it.
func leaving(s *Status, put put) {
	left := make(map[string]uint64)
	for i := range s.Upstreams {
		if u := &s.Upstreams[i]; u.Leaving {
			left[u.Name] += uint64(u.Sessions)
		}
	}
	each(put, left)
}
