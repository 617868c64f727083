package admin

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// scrape reads the metrics as Prometheus does: names with labels, and their values. The library's own are left out.
func (r *rig) scrape() map[string]float64 {
	r.t.Helper()
	a, body := r.do("GET", "/metrics")
	if kind := a.Header.Get("Content-Type"); a.StatusCode != 200 || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		r.t.Fatalf("got %s, %q: %s", a.Status, kind, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("%v in %s", err, body)
	}
	got := make(map[string]float64)
	for name, one := range all {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		for _, m := range one.Metric {
			series := strings.TrimPrefix(name, prefix)
			for _, label := range m.Label {
				series += " " + label.GetName() + "=" + label.GetValue()
			}
			switch {
			case m.Histogram != nil:
				got[series] = float64(m.Histogram.GetSampleCount())
			case m.Counter != nil:
				got[series] = m.Counter.GetValue()
			default:
				got[series] = m.Gauge.GetValue()
			}
		}
	}
	return got
}

// TestMetrics tells a story at the router and reads it off the metrics.
func TestMetrics(t *testing.T) {
	t.Parallel()
	ends := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := start(t, func(s *setup) {
		s.door.Reloads = func() Reload { return Reload{Attempts: 5, Generation: 3, At: ends, OK: true} }
		s.door.Certificates = func() []Certificate {
			return []Certificate{
				{Listener: ":443", Names: []string{"a.test", "b.test"}, NotAfter: ends, Source: FromFile, File: "a\xff.crt"},
				{Listener: ":443", Names: []string{"a.test", "b.test"}, NotAfter: ends, Source: FromFile, File: "a\xff.crt", Error: "listed twice"},
				{Listener: ":443", Names: []string{"c.test"}, Source: FromACME, Error: "not yet"},
			}
		}
	})
	r.believe(true, true)
	until(t, "the probes to be noted", func() bool {
		s := r.look()
		return s.Upstreams[0].LastProbe != nil && s.Upstreams[1].LastProbe != nil
	})
	r.echo(r.join())
	if err := r.join().Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	if a, err := r.client.Get("http://" + r.data); err != nil || a.StatusCode != 426 {
		t.Fatal(a, err)
	} else {
		a.Body.Close()
	}
	if err := r.east.FailHandshakes(503, 1); err != nil {
		t.Fatal(err)
	}
	r.echo(r.join())
	if err := r.west.SetHealth(500); err != nil {
		t.Fatal(err)
	}
	r.believe(true, false)
	until(t, "the session to be counted out", func() bool { s := r.look().Sessions; return s.Ended == 1 && s.Open == 2 })

	got := r.scrape()
	for _, moment := range []string{"upstream_probe_duration_seconds", "upstream_probe_timestamp_seconds"} {
		for _, name := range []string{"east", "west"} {
			series := moment + " upstream=" + name
			if got[series] <= 0 {
				t.Errorf("%s is %v", series, got[series])
			}
			delete(got, series)
		}
	}
	want := map[string]float64{
		"build_info version=v1.2.3": 1, "ready": 1,
		"sessions_open": 2, "sessions_total": 3, "sessions_ended_total cause=client closed": 1, "sessions_slowed_total": 0, "access_records_dropped_total": 0,
		"handshakes_total": 3, "handshake_failovers_total": 1, "refusals_total code=no_upgrade": 1, "abandoned_total": 0, "accept_errors_total": 0,
		"http_requests_served_total": 0, "http_requests_passed_total": 0, "http_requests_done_total outcome=answered": 0,
		"http_requests_done_total outcome=broken": 0, "http_requests_done_total outcome=abandoned": 0, "http_requests_done_total outcome=ended": 0,
		"upstream_info role=primary upstream=east url=ws://operator:xxxxx@" + r.east.Addr() + "/hub":   1,
		"upstream_info role=secondary upstream=west url=ws://operator:xxxxx@" + r.west.Addr() + "/hub": 1,
		"drains": 0, "drain_sessions_left": 0,
		"certificate_expiry_timestamp_seconds file=a\uFFFD.crt listener=:443 names=a.test,b.test source=file": float64(ends.Unix()),
		"certificate_healthy file=a\uFFFD.crt listener=:443 names=a.test,b.test source=file":                  1,
		"certificate_healthy file= listener=:443 names=c.test source=acme":                                    0,
		"config_reloads_total outcome=ok":                                                                     3, "config_reloads_total outcome=error": 2,
		"config_reload_success": 1, "config_reload_timestamp_seconds": float64(ends.Unix()),
	}
	for series, values := range map[string][2]float64{
		"upstream_healthy": {1, 0}, "upstream_share": {1, 0}, "upstream_trips_total": {0, 1}, "upstream_sessions": {1, 1},
		"upstream_sessions_total": {2, 1}, "upstream_handshake_duration_seconds": {2, 1}, "upstream_handshake_failures_total": {1, 0},
		"upstream_sessions_lost_total": {0, 0}, "upstream_probe_success": {1, 0},
		"upstream_spares_ready": {0, 0}, "upstream_spares_used_total": {0, 0}, "upstream_spares_wasted_total": {0, 0},
	} {
		want[series+" upstream=east"], want[series+" upstream=west"] = values[0], values[1]
	}
	for _, state := range presentStates {
		want["upstream_state state="+string(state)+" upstream=east"] = flag(state == Healthy)
		want["upstream_state state="+string(state)+" upstream=west"] = flag(state == Down)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// TestMetricsForms checks that who scrapes gets the form that it asks for, whole, and names as Prometheus wants them.
func TestMetricsForms(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	for accept, want := range map[string]string{
		"":          "text/plain; version=0.0.4",
		"text/html": "text/plain; version=0.0.4",
		"application/openmetrics-text; version=1.0.0,text/plain;q=0.5": "application/openmetrics-text; version=1.0.0",
	} {
		a, body := r.ask("GET", "/metrics", "", func(request *http.Request) { request.Header.Set("Accept", accept) })
		if kind := a.Header.Get("Content-Type"); a.StatusCode != 200 || !strings.HasPrefix(kind, want) {
			t.Errorf("%q: got %s, %q", accept, a.Status, kind)
		}
		if ended := strings.HasSuffix(body, "\n# EOF\n"); ended != strings.Contains(want, "openmetrics") {
			t.Errorf("%q: the text ends with %q", accept, body[len(body)-20:])
		}
		for _, name := range []string{"pointsman_ready ", "go_goroutines ", "pointsman_upstream_handshake_duration_seconds_bucket{"} {
			if !strings.Contains(body, "\n"+name) {
				t.Errorf("%q: no %s", accept, name)
			}
		}
	}
	_, body := r.do("GET", "/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, prefix) {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

// TestMetricsOfANamesake: an upstream that was removed is told of beside the one that has its name now. Many scrape at once.
func TestMetricsOfANamesake(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(2)
	for _, u := range r.upstreams {
		u.Disable("so that nobody can be moved")
	}
	east := build(t, pool.Options{Name: "east"}, r.west, health.Options{})
	set, err := pool.NewSet(pool.Priority, []*pool.Upstream{east})
	if err != nil {
		t.Fatal(err)
	}
	east.Disable("so that nobody can be moved there")
	if err := r.proxy.Apply(proxy.Options{Upstreams: []*pool.Upstream{east}, Routes: []proxy.Route{{Set: set}}}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got := r.scrape()
			if n := got["upstream_sessions upstream=east"]; n != 0 {
				t.Errorf("the new one has %v sessions", n)
			}
			if n := got["upstream_sessions_leaving upstream=east"]; n != 2 {
				t.Errorf("the old one has %v sessions", n)
			}
		})
	}
	group.Wait()
}

// TestMetricsAreDocumented checks that operations.md names all of them, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### Metrics\n")
	if !found {
		t.Fatal("there is no section")
	}
	section, _, _ = strings.Cut(section, "\n### ")
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `("+prefix+`[a-z_]+(\{[a-z,]+\})?)`+"` \\|").FindAllStringSubmatch(section, -1) {
		got = append(got, row[1])
	}
	want := []string{prefix + openingsName + "{upstream}"}
	for _, f := range families {
		name := prefix + f.name
		if len(f.labels) > 0 {
			name += "{" + strings.Join(f.labels, ",") + "}"
		}
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented (-want +got):\n%s", diff)
	}
}
