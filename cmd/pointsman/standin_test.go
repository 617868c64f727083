package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/emulator"
)

// The stand-in is the smallest router that the demo can be told about: it takes
// the primary while that runs and is not held, else the secondary, and leads
// sessions home. It lets the demo be tested by itself, and fail on purpose.
const standInVerb = "stand-in-router"

// What a stand-in may do wrong, as its first argument.
const (
	standInGood       = "good"
	standInNoFailover = "no-failover" // the secondary is never tried
	standInDies       = "dies"        // ends at the first handshake
	standInStays      = "stays"       // nobody is led home
	standInCuts       = "cuts"        // leads home without a Close frame
	standInAstray     = "astray"      // takes every other client that is led home to the secondary again
)

// standInLook is how often the stand-in looks whether the primary runs.
const standInLook = 20 * time.Millisecond

type standIn struct {
	manner string
	urls   map[string]string // of the upstreams, by name
	hold   time.Duration
	gap    time.Duration // between two closes

	mu       sync.Mutex
	sessions map[*standInSession]struct{} // from the moment it has a place
	up       bool                         // the primary
	until    time.Time                    // end of its hold
	drain    *standInDrain
	arrivals int // since the drain began
}

// standInSession is one session, or one that is being opened.
type standInSession struct {
	upstream string
	client   *websocket.Conn // nil until it is open
}

// standInDrain is in the words of the router's own status.
type standInDrain struct {
	Cause    string    `json:"cause"`
	Upstream string    `json:"upstream"`
	Found    int       `json:"found"`
	Ended    time.Time `json:"ended,omitzero"`
}

func runStandIn(ctx context.Context, args []string) int {
	s := &standIn{
		manner:   args[0],
		urls:     map[string]string{demoPrimary: args[1], demoSecondary: args[2]},
		sessions: make(map[*standInSession]struct{}),
		up:       true,
	}
	var err error
	if s.hold, err = time.ParseDuration(os.Getenv("POINTSMAN_FAILBACK_HOLD")); err != nil {
		log.Fatal(err)
	}
	rate, err := strconv.Atoi(os.Getenv("POINTSMAN_FAILBACK_DRAIN_RATE"))
	if err != nil {
		log.Fatal(err)
	}
	s.gap = time.Second * 21 / 20 / time.Duration(rate) // a little slower, as the real one
	clients, admin := listenAnywhere(), listenAnywhere()
	fmt.Printf("%sws://%s\n%shttp://%s\n", serveListeningLine, clients.Addr(), serveAdminLine, admin.Addr())
	go func() { log.Fatal(http.Serve(clients, http.HandlerFunc(s.serve))) }()
	go func() { log.Fatal(http.Serve(admin, http.HandlerFunc(s.status))) }()
	go s.watchPrimary()
	<-ctx.Done()
	return 0
}

func listenAnywhere() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return ln
}

func (s *standIn) serve(w http.ResponseWriter, r *http.Request) {
	if s.manner == standInDies {
		log.Fatal("the stand-in was told to die")
	}
	first := s.pick()
	for _, name := range []string{first, demoSecondary} {
		if s.manner == standInNoFailover {
			name = demoPrimary
		}
		one := &standInSession{upstream: name}
		s.change(func() { s.sessions[one] = struct{}{} })
		served := s.join(w, r, one)
		s.change(func() { delete(s.sessions, one) })
		if served {
			return
		}
	}
	http.Error(w, "no upstream", http.StatusBadGateway)
}

func (s *standIn) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// held must be called with the lock.
func (s *standIn) held() bool { return time.Now().Before(s.until) }

func (s *standIn) pick() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.held() {
		return demoSecondary
	}
	if d := s.drain; s.manner == standInAstray && d != nil && d.Ended.IsZero() {
		if s.arrivals++; s.arrivals%2 == 1 {
			return demoSecondary
		}
	}
	return demoPrimary
}

// join carries a session to its end. It returns false, and has answered nothing,
// if the upstream does not take it.
func (s *standIn) join(w http.ResponseWriter, r *http.Request, one *standInSession) bool {
	upstream, resp, err := websocket.Dial(r.Context(), s.urls[one.upstream], nil)
	if err != nil {
		return false
	}
	defer upstream.CloseNow()
	w.Header().Set(emulator.NameHeader, resp.Header.Get(emulator.NameHeader))
	client, err := websocket.Accept(w, r, nil)
	if err != nil {
		return true
	}
	defer client.CloseNow()
	s.change(func() { one.client = client })
	go func() {
		pump(upstream, client)
		client.CloseNow()
	}()
	pump(client, upstream)
	return true
}

func pump(from, to *websocket.Conn) {
	for {
		kind, message, err := from.Read(context.Background())
		if err != nil || to.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}

// watchPrimary notes whether the primary runs, holds it when it is back, and
// leads sessions home after that.
func (s *standIn) watchPrimary() {
	for ; ; time.Sleep(standInLook) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.urls[demoPrimary], "ws://"))
		if err == nil {
			conn.Close()
		}
		back := false
		s.change(func() {
			if err == nil && !s.up {
				s.until = time.Now().Add(s.hold)
			}
			s.up = err == nil
			back = s.up && !s.until.IsZero() && !s.held()
		})
		if back && s.manner != standInStays {
			s.leadHome()
		}
	}
}

// leadHome closes the sessions on the secondary until none is left; once.
func (s *standIn) leadHome() {
	s.mu.Lock()
	if s.drain != nil {
		s.mu.Unlock()
		return
	}
	s.drain = &standInDrain{Cause: "failback", Upstream: demoSecondary, Found: len(s.sessions)}
	s.mu.Unlock()
	for left := true; left; time.Sleep(s.gap) {
		var client *websocket.Conn
		s.change(func() {
			left = false
			for one := range s.sessions {
				if one.upstream == demoSecondary {
					left, client = true, cmp.Or(client, one.client)
				}
			}
			if !left {
				s.drain.Ended = time.Now()
			}
		})
		switch {
		case client == nil:
		case s.manner == standInCuts:
			client.CloseNow()
		default:
			// It ends in any case.
			_ = client.Close(websocket.StatusServiceRestart, demoMoveReason)
		}
	}
}

func (s *standIn) status(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer any
	switch r.URL.Path {
	case "/status":
		open := make(map[string]int)
		for one := range s.sessions {
			open[one.upstream]++
		}
		primary := map[string]any{"name": demoPrimary, "healthy": s.up, "sessions": open[demoPrimary]}
		if s.up && s.held() {
			primary["held_until"] = s.until
		}
		secondary := map[string]any{"name": demoSecondary, "healthy": true, "sessions": open[demoSecondary]}
		answer = map[string]any{"upstreams": []any{primary, secondary}}
	case "/drains":
		list := []*standInDrain{}
		if s.drain != nil {
			list = append(list, s.drain)
		}
		answer = map[string]any{"drains": list}
	default:
		http.NotFound(w, r)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
