//go:build linux && !portable

package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// standing is a loop that does not run, with a session one side of which has
// TLS. The test is the loop.
type standing struct {
	loop    *loop
	session *session
	side    side // with TLS
	odd     *far // its far end, by hand
	records *records
	other   *net.TCPConn // the far end of the other side
}

func stand(t testing.TB, r *rig, d side, version uint16) *standing {
	t.Helper()
	relay, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	tcp, near := r.pair(t)
	nearTLS, odd := byHand(t, d, version, near, tcp)
	other, nearOther := r.pair(t)
	_ = other.SetDeadline(time.Now().Add(patience))
	st := &standing{loop: relay.loops[0], session: newSession(relay, Pair{}), side: d, odd: odd,
		records: odd.Conn.(*records), other: other}
	socket, w := unwrap(nearTLS)
	st.session.loop = st.loop
	st.loop.buffer = make([]byte, headroom+readSize)
	for d, conn := range map[side]net.Conn{d: socket, d.other(): nearOther} {
		fd, err := takeDescriptor(conn)
		if err != nil {
			t.Fatal(err)
		}
		st.session.legs[d].fd = int32(fd)
		t.Cleanup(func() { unix.Close(fd) })
		if err := rawWatch(st.loop.epoll, unix.EPOLL_CTL_ADD, int32(fd), interest); err != nil {
			t.Fatal(err)
		}
	}
	st.loop.byFD = make([]*session, st.session.legs[0].fd+st.session.legs[1].fd+1)
	st.loop.secure(&st.session.legs[d], w)
	t.Cleanup(func() {
		st.loop.closeFiles()
		tcp.Close()
		other.Close()
	})
	return st
}

// feed gives the loop what it would have read.
func (st *standing) feed(p []byte) {
	for len(p) > 0 {
		n := copy(st.loop.cipher, p)
		st.loop.unseal(st.session, st.side, n)
		p = p[n:]
	}
}

// delivered reads what must be these bytes at the far end of the other side.
func (st *standing) delivered(t *testing.T, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		if d := st.side.other(); st.session.legs[d].blocked() {
			st.session.flush(d)
		}
		k, err := st.other.Read(got[n:])
		if err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(want), err)
		}
		n += k
	}
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes than were sent")
	}
}

// Wherever a read ends, inside a header, a record or a message of TLS: nothing
// is lost, and nothing stays behind.
func TestReadsCutRecordsAnywhere(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, version := range bothVersions {
		for _, d := range []side{client, upstream} {
			readsCutRecordsAnywhere(t, stand(t, r, d, version))
		}
	}
}

func readsCutRecordsAnywhere(t *testing.T, st *standing) {
	random := randomness(t)
	frameFrom := (&peer{masks: st.side == upstream}).frameFrom
	build := func() (frame, records []byte) {
		frame = frameFrom(binaryFrame, payload(random, 40))
		records = st.records.record(dataRecord, frame[:11])
		if st.records.version == tls.VersionTLS13 {
			records = append(records, st.records.update(true)...)
		}
		return frame, append(records, st.records.record(dataRecord, frame[11:])...)
	}
	frame, records := build()
	for cut := range len(records) {
		st.feed(records[:cut])
		st.feed(records[cut:])
		st.delivered(t, frame)
		frame, records = build()
	}
	for i := range records {
		st.feed(records[i : i+1])
	}
	st.delivered(t, frame)
	var frames, all []byte
	for len(all) < 2*cipherSize {
		frame, records := build()
		frames, all = append(frames, frame...), append(all, records...)
	}
	st.feed(all)
	st.delivered(t, frames)
}

// Whoever sends much that means little gets a small part of each turn. Small
// messages mean enough.
func TestMuchThatMeansLittle(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, d := range []side{client, upstream} {
		st := stand(t, r, d, tls.VersionTLS13)
		frameFrom := (&peer{masks: d == upstream}).frameFrom
		leg := &st.session.legs[d]
		turn := func() {
			leg.set(readable)
			st.loop.pump(st.session, d)
			st.loop.again = nil
		}
		var frames, small []byte
		for len(small) < 3*cipherSize {
			frame := frameFrom(textFrame, "")
			small = append(small, st.records.record(dataRecord, frame)...)
			frames = append(frames, frame...)
		}
		go func() { _, _ = st.odd.bed.Write(small) }()
		for leg.bytes < uint64(len(frames)) {
			turn()
		}
		st.delivered(t, frames)
		if leg.is(thin) {
			t.Error("small messages are taken for nothing")
		}
		frame := frameFrom(binaryFrame, payload(randomness(t), 400))
		var much []byte
		for i := range frame {
			for range 14 {
				much = append(much, st.records.update(false)...)
			}
			much = append(much, st.records.record(dataRecord, frame[i:i+1])...)
		}
		go func() { _, _ = st.odd.bed.Write(much) }()
		for before := uint64(len(frames)); leg.bytes < uint64(len(frames)+len(frame)); before = leg.bytes {
			was := leg.is(thin)
			turn()
			if got := leg.bytes - before; was && got > thinRead/(15*23) {
				t.Fatalf("%d bytes of data in one turn", got)
			}
		}
		if !leg.is(thin) {
			t.Error("keys without end are taken for messages")
		}
		st.delivered(t, frame)
	}
}

// What waits for a side that does not read is what one read has brought, and what
// TLS adds, whichever side has TLS.
func TestPendingBytesAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, d := range []side{client, upstream} {
		st := stand(t, r, client, tls.VersionTLS13)
		frame, from, most := masked(binaryFrame, payload(randomness(t), 1_500_000)), io.Writer(st.odd), cipherSize+maxRecord
		if d == upstream {
			frame, from, most = unmasked(binaryFrame, payload(randomness(t), 1_500_000)), st.other, readSize+readSize/16
		}
		go func() { // more than the sockets take
			for range 20 {
				if _, err := from.Write(frame); err != nil {
					return
				}
			}
		}()
		to := &st.session.legs[d.other()]
		for turns := 0; turns < 100; {
			st.session.legs[d].set(readable)
			st.loop.pump(st.session, d)
			st.loop.again = nil
			if to.blocked() {
				turns++
			}
			if n := len(to.out) - to.sent; n > most {
				t.Fatalf("from side %d: %d bytes wait, want %d at most", d, n, most)
			}
		}
		if st.session.phase != open {
			t.Errorf("from side %d: ended with %v", d, st.session.cause)
		}
	}
}

// Behind our good-bye nothing is said, also if it waits for room itself.
func TestNoAnswerBehindGoodBye(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	st := stand(t, r, client, tls.VersionTLS13)
	leg := &st.session.legs[client]
	for !leg.blocked() {
		st.session.send(client, []byte(payload(randomness(t), 500_000)))
	}
	st.feed(st.records.update(true))
	answered := len(leg.out)
	st.session.finish(client)
	waiting := len(leg.out)
	if leg.answers == 0 || waiting <= answered || leg.is(finSent) {
		t.Fatalf("%d bytes of answers; good-bye of %d bytes; end of TCP %v", leg.answers, waiting-answered, leg.is(finSent))
	}
	st.feed(st.records.update(true))
	if len(leg.out) != waiting {
		t.Errorf("%d bytes behind the good-bye", len(leg.out)-waiting)
	}
	if leg.is(broken) || leg.is(ended) {
		t.Error("the side has ended")
	}
}

// What TLS refuses to write is the end of its side, though the socket is well.
func TestTLSWritesNoMore(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	st := stand(t, r, client, tls.VersionTLS13)
	leg := &st.session.legs[client]
	if err := st.loop.wires[leg.fd].tls.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	st.session.send(client, []byte("not any more"))
	if !leg.is(broken) || leg.blocked() || len(st.loop.again) != 1 {
		t.Fatalf("broken %v, blocked %v, %d sockets to read again", leg.is(broken), leg.blocked(), len(st.loop.again))
	}
	for _, again := range st.loop.take(&st.loop.again) {
		st.loop.pump(again.session, again.side)
	}
	if !leg.is(ended) || st.session.cause != ClientLost {
		t.Errorf("ended %v, %v", leg.is(ended), st.session.cause)
	}
}

// TLS needs a goroutine for its handshake, a session with TLS needs none.
func TestTLSNeedsNoGoroutine(t *testing.T) {
	r := start(t, Options{}, wssToWSS)
	r.join(t).hangUp() // what begins with the first session has begun
	before := runtime.NumGoroutine()
	var links []*link
	for range 20 {
		l := r.join(t)
		hello := masked(textFrame, "hello")
		l.client.send(hello)
		l.upstream.bytes(hello)
		links = append(links, l)
	}
	if !within(patience, func() bool { return runtime.NumGoroutine() <= before }) {
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
	for _, l := range links {
		l.hangUp()
	}
}

// TLS that was not made for a loop is refused, and both connections are closed.
func TestJoinOfStrangeTLS(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, d := range []side{client, upstream} {
		client, upstream, p := r.pairUp(t)
		p.Ended = func(e End) { t.Errorf("a session that never began ended: %+v", e) }
		conn, far := &p.Client, client
		if d == 1 {
			conn, far = &p.Upstream, upstream
		}
		strange, inside := tls.Server(*conn, serverConfig(tls.VersionTLS13)), tls.Client(far.conn, clientConfig(tls.VersionTLS13))
		done := make(chan error, 1)
		go func() { done <- strange.Handshake() }()
		if err := errors.Join(inside.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		*conn = strange
		if s, err := r.relay.Join(p); s != nil || err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("join: %v, %v", s, err)
		}
		for _, far := range []io.Reader{client.in, upstream.in} {
			if _, err := io.Copy(io.Discard, far); err != nil { // good-byes, perhaps
				t.Error(err)
			}
		}
	}
}
