package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const healthPath = "/api/health"

// dataHandler serves the clients' listener, including the controls when they
// have no listener of their own.
func (e *Emulator) dataHandler() http.Handler {
	var controls http.Handler
	if e.opts.Control == "" {
		controls = e.controlHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.enter() {
			http.Error(w, errClosing.Error(), http.StatusServiceUnavailable)
			return
		}
		defer e.handlers.Done()
		if controls != nil && strings.HasPrefix(r.URL.Path, "/control/") {
			controls.ServeHTTP(w, r)
			return
		}
		e.serveClient(w, r)
	})
}

// serveClient answers health checks and handshakes, or nothing while the
// emulator hangs.
func (e *Emulator) serveClient(w http.ResponseWriter, r *http.Request) {
	upgrade := r.Header.Get("Upgrade") != ""
	if upgrade {
		e.asked.Add(1)
	}
	if err := e.awaitAnswer(r.Context()); err != nil {
		// Nobody is left to answer: end the connection without an answer.
		panic(http.ErrAbortHandler)
	}
	w.Header().Set(NameHeader, e.opts.Name)
	if !upgrade && slices.Contains(e.opts.HealthPaths, r.URL.Path) {
		status := e.switches.snapshot().health
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, http.StatusText(status)) // a client that left needs no answer
		return
	}
	if e.opts.Service != nil {
		e.serveService(w, r)
		return
	}
	e.serveSession(w, r)
}

// controlHandler serves /control/.
func (e *Emulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control/state", func(w http.ResponseWriter, _ *http.Request) { e.writeState(w) })
	for _, s := range e.controlSwitches() {
		mux.HandleFunc("POST /control/"+s.name, func(w http.ResponseWriter, r *http.Request) { e.serveSwitch(w, r, s) })
	}
	return mux
}

// controlSwitch is one POST below /control/.
type controlSwitch struct {
	name   string
	params []string // query parameters besides for
	undoes string   // switches with the same value replace each other's pending restore
	set    func(url.Values) error
	undo   func() error // what for=… calls; nil when for makes no sense
}

func (e *Emulator) controlSwitches() []controlSwitch {
	return []controlSwitch{
		{name: "ok", set: func(url.Values) error { return e.Restore() }},
		{
			name: "health", params: []string{"status"}, undoes: "health",
			set: func(q url.Values) error {
				status, err := intParam(q, "status")
				if err != nil {
					return err
				}
				return e.SetHealth(status)
			},
			undo: func() error { return e.SetHealth(http.StatusOK) },
		},
		{
			name: "handshake", params: []string{"status", "share"}, undoes: "handshake",
			set: func(q url.Values) error {
				status, err := intParam(q, "status")
				if err != nil {
					return err
				}
				share := 1.0
				if q.Has("share") {
					if share, err = strconv.ParseFloat(q.Get("share"), 64); err != nil {
						return fmt.Errorf("share=%q: not a number", q.Get("share"))
					}
				}
				return e.FailHandshakes(status, share)
			},
			undo: func() error { return e.FailHandshakes(http.StatusServiceUnavailable, 0) },
		},
		{
			name: "slow", params: []string{"delay"}, undoes: "slow",
			set: func(q url.Values) error {
				d, err := time.ParseDuration(q.Get("delay"))
				if err != nil {
					return fmt.Errorf("delay=%q: not a duration such as 200ms", q.Get("delay"))
				}
				return e.Slow(d)
			},
			undo: func() error { return e.Slow(0) },
		},
		{name: "hang", undoes: "mode", set: func(url.Values) error { return e.Hang() }, undo: e.Serve},
		{name: "reset", undoes: "mode", set: func(url.Values) error { return e.Reset() }, undo: e.Serve},
		{
			name: "refuse", params: []string{"sessions"}, undoes: "mode",
			set: func(q url.Values) error {
				switch s := q.Get("sessions"); s {
				case "", "stay":
					return e.Refuse(false)
				case "cut":
					return e.Refuse(true)
				default:
					return fmt.Errorf("sessions=%q: want stay or cut", s)
				}
			},
			undo: e.Serve,
		},
	}
}

func intParam(q url.Values, name string) (int, error) {
	n, err := strconv.Atoi(q.Get(name))
	if err != nil {
		return 0, fmt.Errorf("%s=%q: not a whole number", name, q.Get(name))
	}
	return n, nil
}

// serveSwitch sets one switch and answers with the state that follows.
func (e *Emulator) serveSwitch(w http.ResponseWriter, r *http.Request, s controlSwitch) {
	if dc := doorConnOf(r.Context()); dc != nil {
		// The switch may end all connections: this one must carry the answer
		// first, and then go as well.
		e.door.mark(dc, controlConn)
		w.Header().Set("Connection", "close")
	}
	q, hold, err := s.parse(r.URL.RawQuery)
	if err == nil {
		if s.undoes != "" {
			e.restores.stop(s.undoes)
		}
		err = s.set(q)
	}
	switch {
	case errors.Is(err, ErrClosed):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case err != nil:
		http.Error(w, s.name+": "+err.Error(), http.StatusBadRequest)
		return
	}
	if hold > 0 {
		e.restores.after(s.undoes, hold, func() {
			if err := s.undo(); err != nil {
				e.log.Error("switch not restored", "switch", s.name, "error", err)
			}
		})
	}
	e.writeState(w)
}

// parse reads the query strictly: a misspelt parameter would silently be a
// different experiment.
func (s controlSwitch) parse(query string) (q url.Values, hold time.Duration, err error) {
	q, err = url.ParseQuery(query)
	if err != nil {
		return nil, 0, fmt.Errorf("query: %w", err)
	}
	for name := range q {
		if !slices.Contains(s.params, name) && (name != "for" || s.undo == nil) {
			return nil, 0, fmt.Errorf("unknown parameter %q", name)
		}
	}
	if !q.Has("for") {
		return q, 0, nil
	}
	hold, err = time.ParseDuration(q.Get("for"))
	if err != nil || hold <= 0 {
		return nil, 0, fmt.Errorf("for=%q: not a duration above zero such as 10s", q.Get("for"))
	}
	return q, hold, nil
}

func (e *Emulator) writeState(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(e.State()) // a client that left needs no answer
}
