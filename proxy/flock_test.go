package proxy

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// flock is many clients that do what good clients do: asked to leave, they
// answer the Close, come back at once, and stay.
type flock struct {
	r     *rig
	lag   *lag
	group sync.WaitGroup
	all   []*follower

	mu      sync.Mutex // guards what is below, and the state of each follower
	leaving bool
}

// follower is one client of a flock.
type follower struct {
	flock *flock
	path  string

	visitor   *visitor // its present connection
	upstream  string   // the one that it is at, "" while it is on its way
	echoes    int
	lost      int // connections that ended without a Close frame
	farewells []farewell
}

// farewell is a Close frame as a follower got it.
type farewell struct {
	at     time.Time
	code   uint16
	reason string
	asked  int // sessions that drains had asked by then, all together
}

// gather opens n sessions at a path, for clients that stay until the end of the
// test, and has each echo: a client has its answer before the relay knows it.
func (r *rig) gather(n int, path string) *flock {
	r.t.Helper()
	f := &flock{r: r, lag: watchLag(r.t)}
	r.t.Cleanup(f.leave)
	for range n {
		x := &follower{flock: f, path: path}
		f.all = append(f.all, x)
		if err := x.come(); err != nil {
			r.t.Fatal(err)
		}
		f.group.Go(x.stay)
	}
	f.echo()
	return f
}

// come opens a session.
func (x *follower) come() error {
	v, err := x.flock.r.visit(asking(x.path))
	if v == nil {
		return err
	}
	var name string
	if err == nil {
		name, err = v.open()
	}
	if err != nil {
		v.Close()
		return err
	}
	x.flock.mu.Lock()
	defer x.flock.mu.Unlock()
	x.visitor, x.upstream = v, name
	if x.flock.leaving {
		v.Close()
	}
	return nil
}

// open reads a 101, and returns the name of the upstream that has answered it.
func (v *visitor) open() (string, error) {
	a, err := v.head()
	if err == nil && a.StatusCode != 101 {
		err = fmt.Errorf("got %s, %s %q", a.Status, retryAfter, a.Header.Get(retryAfter))
	}
	if err != nil {
		return "", err
	}
	return a.Header.Get(emulator.NameHeader), nil
}

// head reads an answer, and its body unless it is a 101.
func (v *visitor) head() (*http.Response, error) {
	a, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode != 101 {
		_, err = io.Copy(io.Discard, a.Body)
	}
	return a, err
}

// stay reads until the flock leaves, and comes back after each end.
func (x *follower) stay() {
	f := x.flock
	for {
		f.mu.Lock()
		v := x.visitor
		f.mu.Unlock()
		got, err := readFrame(v.in)
		if err == nil && got.first != closeFrame {
			f.mu.Lock()
			x.echoes++
			f.mu.Unlock()
			continue
		}
		now, asked := time.Now(), f.r.asked()
		f.mu.Lock()
		gone := f.leaving
		x.upstream = ""
		switch {
		case gone:
		case err != nil:
			x.lost++
		default:
			bye := farewell{at: now, asked: asked}
			if len(got.payload) >= 2 {
				bye.code, bye.reason = binary.BigEndian.Uint16([]byte(got.payload)), got.payload[2:]
			}
			x.farewells = append(x.farewells, bye)
		}
		f.mu.Unlock()
		if gone {
			return
		}
		if err == nil {
			_, _ = v.Write(masked(closeFrame, got.payload))
		}
		v.Close()
		if err := x.come(); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if !f.leaving {
				f.r.t.Errorf("a client that was asked to leave does not get in: %v", err)
			}
			return
		}
	}
}

// leave ends the flock. It may be called twice.
func (f *flock) leave() {
	f.mu.Lock()
	f.leaving = true
	for _, x := range f.all {
		if x.visitor != nil {
			x.visitor.Close()
		}
	}
	f.mu.Unlock()
	f.group.Wait()
}

// at counts the followers whose session is with an upstream.
func (f *flock) at(upstream string) int {
	return f.count(func(x *follower) bool { return x.upstream == upstream })
}

func (f *flock) count(which func(*follower) bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, x := range f.all {
		if which(x) {
			n++
		}
	}
	return n
}

// wantAt checks where all the followers are.
func (f *flock) wantAt(upstream string) {
	f.r.t.Helper()
	if n := f.at(upstream); n != len(f.all) {
		f.r.t.Fatalf("%d of %d are at %s", n, len(f.all), upstream)
	}
}

// moved waits until all followers are at an upstream, and checks that each was
// sent there by one Close frame with this reason, and no other.
func (f *flock) moved(upstream, reason string) {
	f.r.t.Helper()
	until(f.r.t, "all clients to be at "+upstream, func() bool { return f.at(upstream) == len(f.all) })
	f.echo()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, x := range f.all {
		if x.lost != 0 || len(x.farewells) != 1 || x.farewells[0].code != 1012 || x.farewells[0].reason != reason {
			f.r.t.Errorf("client %d: %d times lost, farewells %v; want one, 1012 %q", i, x.lost, x.farewells, reason)
		}
	}
}

// untouched checks that no follower was asked to leave or has lost its session,
// and that all sessions work.
func (f *flock) untouched() {
	f.r.t.Helper()
	f.echo()
	if n := f.count(func(x *follower) bool { return len(x.farewells)+x.lost > 0 }); n != 0 {
		f.r.t.Errorf("%d of %d clients were asked to leave or cut: %v", n, len(f.all), f.farewells())
	}
}

// echo has one message of each follower echoed.
func (f *flock) echo() {
	f.r.t.Helper()
	until(f.r.t, "all clients to be there", func() bool { return f.at("") == 0 })
	want := make(map[*follower]int)
	for _, x := range f.all {
		f.mu.Lock()
		want[x] = x.echoes + 1
		v := x.visitor
		f.mu.Unlock()
		if _, err := v.Write(masked(textFrame, "are you there?")); err != nil {
			f.r.t.Fatalf("echo at %s: %v", x.at(), err)
		}
	}
	for x := range want {
		if !within(patience, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return x.echoes >= want[x]
		}) {
			f.r.t.Fatal("a session does not echo")
		}
	}
}

// at is the upstream that a follower is at.
func (x *follower) at() string {
	x.flock.mu.Lock()
	defer x.flock.mu.Unlock()
	return x.upstream
}

// farewells returns those of all followers, in the order of their arrival.
func (f *flock) farewells() []farewell {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []farewell
	for _, x := range f.all {
		all = append(all, x.farewells...)
	}
	slices.SortFunc(all, func(a, b farewell) int { return a.at.Compare(b.at) })
	return all
}

// checkRate checks that no second, wherever it begins, saw more than rate
// farewells. What the clients see late, because the machine is busy, may come
// together with what they see in time.
func (f *flock) checkRate(rate int) {
	f.r.t.Helper()
	times := make([]time.Time, 0, len(f.all))
	for _, x := range f.farewells() {
		times = append(times, x.at)
	}
	checkRate(f.r.t, times, rate, f.lag)
}

// asked is how many sessions the drains have asked to leave.
func (r *rig) asked() int {
	n := 0
	for _, s := range r.Drains().List() {
		n += s.Asked
	}
	return n
}

// drainOf waits for the last drain with this cause, which must be another one than
// those given.
func (r *rig) drainOf(cause drain.Cause, not ...*drain.Drain) *drain.Drain {
	r.t.Helper()
	var found *drain.Drain
	until(r.t, "a drain because of "+cause.String(), func() bool {
		for _, s := range r.Drains().List() {
			d, err := r.Drains().Get(s.ID)
			if err == nil && s.Cause == cause && !slices.Contains(not, d) {
				found = d
			}
		}
		return found != nil
	})
	return found
}

// endsAs waits for the end of a drain, and returns what it has come to.
func endsAs(t testing.TB, d *drain.Drain, want drain.State) drain.Status {
	t.Helper()
	select {
	case <-d.Done():
	case <-time.After(patience):
		t.Fatalf("the drain does not end: %+v", d.Status())
	}
	s := d.Status()
	if s.State != want {
		t.Fatalf("the drain ended as %v, want %v: %+v", s.State, want, s)
	}
	return s
}

// comesTo waits until a drain is in a state.
func comesTo(t testing.TB, d *drain.Drain, want drain.State) {
	t.Helper()
	if !within(patience, func() bool { return d.Status().State == want }) {
		t.Fatalf("the drain does not come to be %v: %+v", want, d.Status())
	}
}

// newEchoer starts an upstream that tells its name and echoes.
func newEchoer(t testing.TB, name string) *stub {
	t.Helper()
	return newStub(t, func(c *stubConn) {
		if c.reply(named101(name)) {
			c.echo("/")
		}
	})
}

// named101 is the answer of an upstream that tells its name.
func named101(name string) string {
	return strings.TrimSuffix(good101, "\r\n") + emulator.NameHeader + ": " + name + "\r\n\r\n"
}

// names returns the sorted names of upstreams.
func names(list []*pool.Upstream) []string {
	all := make([]string, len(list))
	for i, u := range list {
		all[i] = u.Name()
	}
	slices.Sort(all)
	return all
}
