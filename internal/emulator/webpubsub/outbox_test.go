package webpubsub

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"
)

// TestReliableModel: whatever happens to its sockets, a client that drops what it has seen already ends up with all
// messages, once, in order.
func TestReliableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 8
		o := newOutbox(protocolReliable, most, 1<<20)
		connected := textFrame(systemFrame{Type: "system"})
		socket := o.attach(&connected)
		attached := true
		sent, seen, acked := 0, 0, 0 // messages; seen is what a client would have kept
		before := 0                  // what was acknowledged when the socket was attached
		over := false
		take := func() bool {
			f, end, state := o.poll(socket)
			if state != pollReady || end != nil {
				return false
			}
			if f.seq == 0 {
				return true
			}
			var m struct {
				Data       int
				SequenceID int
			}
			if err := json.Unmarshal(f.data, &m); err != nil {
				t.Fatal(err)
			}
			if m.SequenceID != int(f.seq) || m.Data != m.SequenceID {
				t.Fatalf("message %d has the sequence id %d", m.Data, m.SequenceID)
			}
			if m.SequenceID > seen+1 || m.SequenceID <= before {
				t.Fatalf("message %d after %d, %d acknowledged", m.SequenceID, seen, before)
			}
			seen = max(seen, m.SequenceID)
			return true
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				ok := o.deliver(&message{payload: payload{dataJSON, []byte(itoa(sent + 1))}})
				if ok != (sent-acked < most) {
					t.Fatalf("deliver: %v with %d not acknowledged", ok, sent-acked)
				}
				if !ok {
					over = true
					break
				}
				sent++
			case 2:
				if attached {
					take()
				}
			case 3:
				if !o.detach(socket) && attached {
					t.Fatal("detach of the present socket")
				}
				attached = false
			case 4:
				late := socket
				before = acked
				socket, attached = o.attach(&connected), true
				if o.detach(late) {
					t.Fatal("detach of a replaced socket")
				}
				if _, _, state := o.poll(late); state != pollLate {
					t.Fatal("a replaced socket takes frames")
				}
			case 5:
				acked = max(acked, rapid.IntRange(acked, seen).Draw(t, "ack"))
				o.acknowledge(uint64(acked))
			}
			if over {
				return
			}
		}
		socket = o.attach(&connected)
		for take() {
		}
		if seen != sent {
			t.Fatalf("%d of %d arrived", seen, sent)
		}
		o.acknowledge(uint64(sent))
		if o.held != 0 || o.queued != 0 || len(o.unacked) != 0 {
			t.Fatalf("%d and %d bytes are booked for nothing", o.held, o.queued)
		}
	})
}

func TestOutboxBytes(t *testing.T) {
	for _, p := range []protocol{protocolRaw, protocolJSON, protocolReliable} {
		o := newOutbox(p, 1000, 300)
		o.attach(nil)
		m := func(n int) *message { return &message{payload: payload{dataText, make([]byte, n)}} }
		if p != protocolReliable && o.deliver(m(301)) {
			t.Errorf("protocol %d: a message above the limit was taken", p)
		}
		n := 0
		for o.deliver(&message{payload: payload{dataText, []byte("0123456789")}}) {
			n++
		}
		if n == 0 || n > 30 {
			t.Errorf("protocol %d: %d messages fit", p, n)
		}
	}
}

// TestOutboxEnd: the ending comes last, or at once if what waits is dropped.
func TestOutboxEnd(t *testing.T) {
	for _, abrupt := range []bool{false, true} {
		o := newOutbox(protocolJSON, 10, 1000)
		socket := o.attach(nil)
		o.answer(pongFrame)
		o.finish(ending{code: websocket.StatusNormalClosure, reason: "R", told: true, abrupt: abrupt})
		if !o.deliver(&message{payload: payload{dataJSON, []byte("1")}}) || !o.answer(pongFrame) {
			t.Error("what comes after the ending is no reason to complain")
		}
		var got []string
		for {
			f, end, ok := o.take(context.Background(), socket)
			if !ok {
				t.Fatal("late")
			}
			if end != nil {
				if end.code != websocket.StatusNormalClosure {
					t.Errorf("code %d", end.code)
				}
				break
			}
			got = append(got, string(f.data))
		}
		want := 2
		if abrupt {
			want = 1
		}
		if len(got) != want || got[want-1] != `{"type":"system","event":"disconnected","message":"R"}` {
			t.Errorf("abrupt %v: %q", abrupt, got)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := newOutbox(protocolRaw, 1, 1)
	if _, _, ok := o.take(ctx, o.attach(nil)); ok {
		t.Error("take returned something of nothing")
	}
}

func TestOutboxExpiry(t *testing.T) {
	o := newOutbox(protocolJSON, 10, 1000)
	socket := o.attach(nil)
	o.deliver(&message{payload: payload{dataJSON, []byte("1")}, expires: time.Now().Add(-time.Second)})
	o.deliver(&message{payload: payload{dataJSON, []byte("2")}, expires: time.Now().Add(time.Hour)})
	f, _, _ := o.take(t.Context(), socket)
	if want := `{"type":"message","from":"server","dataType":"json","data":2}`; string(f.data) != want {
		t.Errorf("%s, want %s", f.data, want)
	}
}

func TestAckWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w ackWindow
		var latest []uint64
		offset := rapid.Uint64().Draw(t, "offset")
		for range rapid.IntRange(1, 3000).Draw(t, "acks") {
			id := offset + rapid.Uint64Range(0, 2*rememberedAcks).Draw(t, "id")
			again := false
			for _, old := range latest {
				again = again || old == id
			}
			if w.first(id) == again {
				t.Fatalf("id %d: first is %v", id, !again)
			}
			if !again {
				latest = append(latest, id)
				latest = latest[max(0, len(latest)-rememberedAcks):]
			}
		}
		if len(w.seen) != len(latest) || len(w.ring) != len(latest) {
			t.Fatalf("%d and %d are remembered, want %d", len(w.seen), len(w.ring), len(latest))
		}
	})
}
