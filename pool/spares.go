package pool

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// DefaultSpareAge is how long a spare connection waits at most, unless [Options] say otherwise. Servers close a connection on which no
// request comes, most of them later than this: Apache after 20 s, Node and nginx after 60 s, as the load balancers of the clouds
// do, Kestrel after 130 s. HAProxy goes by timeout http-request, which is often 10 s, and else by timeout client. That an upstream ends
// them sooner does no harm: it is noticed, and they are opened anew.
const DefaultSpareAge = 15 * time.Second

// spareSpread is the part of its time by which a spare may be thrown away sooner, drawn for each: those that were opened together
// shall not be opened anew together.
const spareSpread = 0.2

// Spares are the idle connections to one upstream that wait for its next handshakes. Make one with [Upstream.NewSpares]. All methods may
// be called concurrently.
//
// A connection that was added is either taken, and then belongs to the one who took it, or dropped. There are never more than
// [Upstream.Spares], none is taken that is older than [Upstream.SpareAge], and after [Spares.Close] there are none.
type Spares struct {
	up   *Upstream
	drop func(net.Conn)

	mu     sync.Mutex // guards what follows; not held while calling out
	list   []spare    // about in the order of their age, the oldest first
	closed bool
}

// spare is one connection.
type spare struct {
	conn         net.Conn
	since, until time.Time
}

// Judge says whether a spare connection that has waited for age is as good as new. It must not wait.
type Judge func(conn net.Conn, age time.Duration) bool

// NewSpares returns an empty store of spare connections to u. It calls drop with each connection that it throws away, which has to
// close it, from the goroutine that is at work in the store.
func (u *Upstream) NewSpares(drop func(net.Conn)) *Spares { return &Spares{up: u, drop: drop} }

// Ready returns how many connections wait.
func (s *Spares) Ready() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// Add stores a connection. If there is no room for it, or the store is closed, it is dropped at once.
func (s *Spares) Add(conn net.Conn) {
	early := time.Duration(rand.Float64() * spareSpread * float64(s.up.age))
	now := time.Now()
	s.put(spare{conn, now, now.Add(s.up.age - early)})
}

// Take returns a connection that is as good as new, nil if there is none. Those that are not are dropped. The caller owns the connection
// and says what became of it: [Upstream.CountSpare].
func (s *Spares) Take(good Judge) net.Conn {
	for {
		x, ok := s.pop()
		if !ok {
			return nil
		}
		if now := time.Now(); now.Before(x.until) && good(x.conn, now.Sub(x.since)) {
			return x.conn
		}
		s.waste(x)
	}
}

// Tidy drops the connections that are too old, and returns how many these were, and those that are not as good as new any more. While it
// looks at one, [Spares.Take] does not find it.
func (s *Spares) Tidy(good Judge) (aged int) {
	for n := s.Ready(); n > 0; n-- {
		x, ok := s.pop()
		switch now := time.Now(); {
		case !ok: // taken by others meanwhile
			return aged
		case !now.Before(x.until):
			aged++
			s.waste(x)
		case !good(x.conn, now.Sub(x.since)):
			s.waste(x)
		default:
			s.put(x)
		}
	}
	return aged
}

// Clear drops all connections and returns how many there were.
func (s *Spares) Clear() int { return s.empty(false) }

// Close drops all connections, and from then on those that are added. It may be called twice.
func (s *Spares) Close() { s.empty(true) }

func (s *Spares) empty(forGood bool) int {
	s.mu.Lock()
	s.closed = s.closed || forGood
	list := s.list
	s.list = nil
	s.up.sparesReady.Add(-int64(len(list)))
	s.mu.Unlock()
	for _, x := range list {
		s.waste(x)
	}
	return len(list)
}

func (s *Spares) put(x spare) {
	s.mu.Lock()
	stored := !s.closed && len(s.list) < s.up.spares
	if stored {
		s.list = append(s.list, x)
		s.up.sparesReady.Add(1)
	}
	s.mu.Unlock()
	if !stored {
		s.waste(x)
	}
}

func (s *Spares) pop() (x spare, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return spare{}, false
	}
	x = s.list[0]
	s.list = slices.Delete(s.list, 0, 1)
	s.up.sparesReady.Add(-1)
	return x, true
}

func (s *Spares) waste(x spare) {
	s.up.CountSpare(false)
	s.drop(x.conn)
}
