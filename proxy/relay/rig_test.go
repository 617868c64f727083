package relay

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// patience bounds every wait of a test. No test waits for it to pass.
const patience = 60 * time.Second

// rig is a running relay and the far ends of its sessions.
type rig struct {
	t        testing.TB
	relay    *Relay
	listener *net.TCPListener
	door     net.Listener  // of the relay
	scheme   scheme        // of its sessions
	secure   [2]secureFunc // how TLS comes to each side; nil: as usual
	cancel   context.CancelFunc
	done     chan error // Run's result

	mu     sync.Mutex // held while a connection is made
	joined int
	links  []*link
}

// start runs a relay until the end of the test, which then checks that every
// session ended once and left nothing behind. A time-out that o does not set
// is out of the way. Its sessions have no TLS unless a scheme says so.
func start(t testing.TB, o Options, s ...scheme) *rig {
	t.Helper()
	r := prepare(t, o, listen(t), listen(t), s...)
	r.run()
	return r
}

// startSecured is start with TLS on one side, in a certain way.
func startSecured(t testing.TB, o Options, d side, version uint16, how secureFunc) *rig {
	t.Helper()
	var s scheme
	s[d] = version
	r := prepare(t, o, listen(t), listen(t), s)
	r.secure[d] = how
	r.run()
	return r
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// prepare is start, but with a listener for the test and one for the relay, and
// without run.
func prepare(t testing.TB, o Options, own, door *net.TCPListener, s ...scheme) *rig {
	t.Helper()
	if o.Loops == 0 {
		o.Loops = 2
	}
	if o.PingInterval == 0 {
		o.PingInterval = -1
	}
	if o.PingTimeout == 0 {
		o.PingTimeout = 2 * patience
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = -1
	}
	if o.CloseWait == 0 {
		o.CloseWait = 2 * patience
	}
	relay, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, relay: relay, listener: own, done: make(chan error, 1)}
	if len(s) > 0 {
		r.scheme = s[0]
	}
	if r.door, err = relay.Listen(door); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs the relay until the end of the test.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.relay.Run(ctx) }()
	r.t.Cleanup(r.finish)
}

// stop ends the relay. It may be called twice.
func (r *rig) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("run: %v", err)
		}
	case <-time.After(patience):
		r.t.Fatal("run did not return")
	}
}

// finish ends the relay and checks what it has left.
func (r *rig) finish() {
	r.stop()
	r.listener.Close()
	r.door.Close()
	for _, l := range r.links {
		l.client.conn.Close()
		l.upstream.conn.Close()
		if n := l.calls.Load(); n != 1 {
			r.t.Errorf("Ended was called %d times", n)
		}
	}
	checkEmpty(r.t, r.relay)
}

// pair returns the two ends of a new TCP connection.
func (r *rig) pair(t testing.TB) (dialed, accepted *net.TCPConn) {
	t.Helper()
	dialed, near := r.connect(t, r.listener)
	return dialed, near.(*net.TCPConn)
}

// connect returns the two ends of a new connection to a listener.
func (r *rig) connect(t testing.TB, to net.Listener) (dialed *net.TCPConn, accepted net.Conn) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	dialed, err := net.DialTCP("tcp4", nil, to.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	return dialed, r.accept(t, to, dialed)
}

// accept accepts the connection whose other end was just dialed.
func (r *rig) accept(t testing.TB, at net.Listener, dialed net.Conn) net.Conn {
	t.Helper()
	accepted, err := at.Accept()
	if err != nil {
		dialed.Close()
		t.Fatal(err)
	}
	if accepted.RemoteAddr().String() != dialed.LocalAddr().String() {
		t.Fatal("accepted a stranger")
	}
	return accepted
}

// dial connects from the relay to the test.
func (r *rig) dial(t testing.TB, beside net.Conn) (near net.Conn, far *net.TCPConn) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	near, err := r.relay.Dial(beside, r.listener.Addr().(*net.TCPAddr).AddrPort(), time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	return near, r.accept(t, r.listener, near).(*net.TCPConn)
}

// ends makes the connections of a session. By turns they are opened by the
// relay, as a proxy does it, and by somebody else.
func (r *rig) ends(t testing.TB) (farClient *far, near Pair, farUpstream *far) {
	t.Helper()
	r.mu.Lock()
	r.joined++
	own := r.joined%2 == 1
	r.mu.Unlock()
	var tcp *net.TCPConn
	if own {
		tcp, near.Client = r.connect(t, r.door)
	} else {
		tcp, near.Client = r.connect(t, r.listener)
	}
	near.Client, farClient = r.dress(t, client, near.Client, tcp)
	if own {
		near.Upstream, tcp = r.dial(t, near.Client)
	} else {
		near.Upstream, tcp = r.pair(t)
	}
	near.Upstream, farUpstream = r.dress(t, upstream, near.Upstream, tcp)
	return farClient, near, farUpstream
}

// dress puts TLS on the ends of a connection if the scheme says so.
func (r *rig) dress(t testing.TB, d side, near net.Conn, tcp *net.TCPConn) (net.Conn, *far) {
	t.Helper()
	if r.scheme[d] == 0 {
		return near, bare(tcp)
	}
	how := r.secure[d]
	if how == nil {
		how = secure
	}
	return how(t, d, r.scheme[d], near, tcp)
}

// link is one session seen from outside.
type link struct {
	t                testing.TB
	client, upstream *peer
	session          *Session
	ended            chan End
	calls            atomic.Int32 // of Ended
	began            time.Time
	barriers         Traffic // sent by barrier
}

// join makes a session. Each of setup may change the pair before it is joined.
func (r *rig) join(t testing.TB, setup ...func(*Pair)) *link {
	t.Helper()
	l, p := r.meet(t)
	for _, f := range setup {
		f(&p)
	}
	r.carry(l, p)
	return l
}

// meet makes the connections of a session that is not joined yet.
func (r *rig) meet(t testing.TB) (*link, Pair) {
	t.Helper()
	farClient, p, farUpstream := r.ends(t)
	l := &link{
		t:        t,
		client:   newPeer(t, "client", false, farClient),
		upstream: newPeer(t, "upstream", true, farUpstream),
		ended:    make(chan End, 1),
		began:    time.Now(),
	}
	p.Ended = l.note
	return l, p
}

// carry joins the connections of a session.
func (r *rig) carry(l *link, p Pair) {
	l.t.Helper()
	session, err := r.relay.Join(p)
	if err != nil {
		l.t.Fatalf("join: %v", err)
	}
	l.session = session
	r.mu.Lock()
	r.links = append(r.links, l)
	r.mu.Unlock()
}

func (l *link) note(e End) {
	if l.calls.Add(1) == 1 {
		l.ended <- e
	}
}

// end waits for the end of the session, in which everything but the duration
// must be as wanted.
func (l *link) end(want End) {
	l.t.Helper()
	got := l.anyEnd()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(End{}, "Duration")); diff != "" {
		l.t.Errorf("end of the session (-want +got):\n%s", diff)
	}
}

// anyEnd waits for the end of the session.
func (l *link) anyEnd() End {
	l.t.Helper()
	select {
	case e := <-l.ended:
		if lived := time.Since(l.began); e.Duration < 0 || e.Duration > lived+time.Millisecond {
			l.t.Errorf("duration %v, lived %v", e.Duration, lived)
		}
		return e
	case <-time.After(patience):
		l.t.Fatal("session did not end")
		return End{}
	}
}

// hangUp ends both far ends.
func (l *link) hangUp() {
	l.client.conn.Close()
	l.upstream.conn.Close()
}

// sent is the traffic of a side that sent the given bytes.
func sent(messages uint64, frames ...[]byte) Traffic {
	return Traffic{Bytes: uint64(len(bytes.Join(frames, nil))), Messages: messages}
}
