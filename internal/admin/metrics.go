package admin

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/pool"
)

// metrics are what /metrics tells, besides what their library knows about any process in Go: the families, and the openings of the
// upstreams. Nothing is counted for them but what is counted anyway, and it is read when somebody asks. They implement
// [prometheus.Collector].
type metrics struct {
	door     *Door
	descs    []*prometheus.Desc // of families
	openings *prometheus.Desc
}

const prefix = "pointsman_"

// openingsName is the one metric that is no number.
const (
	openingsName = "upstream_handshake_duration_seconds"
	openingsHelp = "How long clients have waited for their 101, from the beginning of the search, with all upstreams that were asked in vain."
)

// newRegistry returns what d is asked for its metrics by.
func newRegistry(d *Door) *prometheus.Registry {
	m := &metrics{door: d, openings: prometheus.NewDesc(prefix+openingsName, openingsHelp, []string{"upstream"}, nil)}
	for i := range families {
		f := &families[i]
		m.descs = append(m.descs, prometheus.NewDesc(prefix+f.name, f.help, f.labels, nil))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range m.descs {
		to <- desc
	}
	to <- m.openings
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	s := m.door.status()
	for i := range families {
		told := make(map[string]bool) // of two certificates that look the same only the first
		families[i].read(&s, func(value float64, labels ...string) {
			for j := range labels {
				labels[j] = strings.ToValidUTF8(labels[j], "\uFFFD") // as the format demands; a file may be called anything
			}
			if key := strings.Join(labels, "\x00"); !told[key] {
				told[key] = true
				to <- prometheus.MustNewConstMetric(m.descs[i], families[i].kind, value, labels...)
			}
		})
	}
	for _, u := range m.door.options.Proxy.Upstreams() {
		to <- m.histogram(u.Name(), u.Openings())
	}
}

func (m *metrics) histogram(upstream string, all pool.Openings) prometheus.Metric {
	below, total := make(map[float64]uint64, len(all.Bounds)), uint64(0)
	for i, n := range all.Counts {
		if total += n; i < len(all.Bounds) {
			below[all.Bounds[i].Seconds()] = total
		}
	}
	return prometheus.MustNewConstHistogram(m.openings, total, all.Sum.Seconds(), below, upstream)
}

// exposition is an answer in the form that whoever scrapes has asked for.
type exposition struct {
	kind string
	text []byte
}

func (d *Door) tellMetrics(v *visit) (int, any, error) {
	all, err := d.registry.Gather()
	if err != nil {
		return 0, nil, err
	}
	accept := http.Header{fasthttp.HeaderAccept: {string(v.ctx.Request.Header.Peek(fasthttp.HeaderAccept))}}
	format := expfmt.NegotiateAccept(accept, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, format)
	for _, one := range all {
		if err := encoder.Encode(one); err != nil {
			return 0, nil, err
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok { // OpenMetrics has an end
		if err := closer.Close(); err != nil {
			return 0, nil, err
		}
	}
	return fasthttp.StatusOK, exposition{string(format), text.Bytes()}, nil
}
