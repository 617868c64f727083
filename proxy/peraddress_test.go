package proxy

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// held is how many places are taken in all, and room for how many addresses is
// kept.
func (a *perAddress) held() (places, addresses, room int) {
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		for _, n := range s.sessions {
			places += int(n)
		}
		addresses += len(s.sessions)
		room += s.most
		s.mu.Unlock()
	}
	return places, addresses, room
}

// TestPerAddress: who counts as one, and who does not.
func TestPerAddress(t *testing.T) {
	same := [][]string{
		{"192.0.2.7", "::ffff:192.0.2.7"},
		{"192.0.2.8"},
		{"192.0.3.7"},
		{"0.0.0.0"},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::192.0.2.7"},
		{"2001:db8:0:2::1"},
		{"::1", "::"},
		{"0:0:c000:207::1"}, // the number of the first one, as a network
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::3"},
		{"", ""}, // not known
	}
	seen := make(map[addressKey]string)
	for _, group := range same {
		var a perAddress
		for i, text := range group {
			client, _ := netip.ParseAddr(text)
			if !a.enter(client, len(group)) {
				t.Errorf("%v: %q has no place", group, text)
			}
			if k := keyOf(client); i == 0 && seen[k] != "" {
				t.Errorf("%q and %q are one", text, seen[k])
			} else {
				seen[k] = "of " + group[0]
			}
		}
		for _, text := range group {
			client, _ := netip.ParseAddr(text)
			if a.enter(client, len(group)) {
				t.Errorf("%v: %q has one place too many", group, text)
			}
		}
		if _, addresses, _ := a.held(); addresses != 1 {
			t.Errorf("%v are %d", group, addresses)
		}
	}
	var a perAddress
	if a.enter(netip.Addr{}, 0) {
		t.Error("there is a place where there is none")
	}
}

// TestPerAddressModel plays any order of comings and goings against a plain
// count, under limits that change.
func TestPerAddressModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a perAddress
		model := make(map[netip.Addr]int)
		var inside []netip.Addr
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			if len(inside) > 0 && rapid.Bool().Draw(t, "leave") {
				i := rapid.IntRange(0, len(inside)-1).Draw(t, "who")
				a.leave(inside[i])
				model[inside[i]]--
				inside = append(inside[:i], inside[i+1:]...)
				continue
			}
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], rapid.Uint32Range(0, 9).Draw(t, "address"))
			client, most := netip.AddrFrom4(b), rapid.IntRange(1, 4).Draw(t, "most")
			want := model[client] < most
			if got := a.enter(client, most); got != want {
				t.Fatalf("%v with %d of %d: %v, want %v", client, model[client], most, got, want)
			}
			if want {
				model[client]++
				inside = append(inside, client)
			}
		}
		if places, _, _ := a.held(); places != len(inside) {
			t.Fatalf("%d places are taken, want %d", places, len(inside))
		}
		for _, client := range inside {
			a.leave(client)
		}
		if places, addresses, _ := a.held(); places+addresses != 0 {
			t.Fatalf("%d places of %d addresses are left", places, addresses)
		}
	})
}

// TestPerAddressShrinks: after a rush nothing of it is kept, although some stay.
func TestPerAddressShrinks(t *testing.T) {
	var a perAddress
	client := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	const rush, stay = 100_000, 100
	for i := range rush {
		a.enter(client(i), 1)
	}
	for i := stay; i < rush; i++ {
		a.leave(client(i))
	}
	places, addresses, room := a.held()
	if most := len(a.shards) * leastShrunk; places != stay || addresses != stay || room > most {
		t.Errorf("%d places, %d addresses, room for %d, want at most %d", places, addresses, room, most)
	}
	for i := range stay {
		a.leave(client(i))
	}
	if places, addresses, _ := a.held(); places+addresses != 0 {
		t.Errorf("%d places of %d addresses are left", places, addresses)
	}
	// And the addresses of a rush are spread over the locks.
	for i := range rush {
		a.enter(client(i), 1)
	}
	for i := range a.shards {
		if n := len(a.shards[i].sessions); n > 2*rush/len(a.shards) {
			t.Errorf("one lock is for %d of %d addresses", n, rush)
		}
	}
}

// TestPerAddressTogether: many at once get exactly the places that there are.
func TestPerAddressTogether(t *testing.T) {
	var a perAddress
	client := netip.MustParseAddr("192.0.2.7")
	const limit = 50
	var mu sync.Mutex
	in := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				if !a.enter(client, limit) {
					continue
				}
				mu.Lock()
				in++
				if in > limit {
					t.Errorf("%d are inside", in)
				}
				in--
				mu.Unlock()
				a.leave(client)
			}
		})
	}
	group.Wait()
	if places, _, _ := a.held(); places != 0 {
		t.Errorf("%d places are left", places)
	}
}

// TestSessionSize pins what the proxy keeps for each idle session.
func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 64 {
		t.Errorf("%d bytes", n)
	}
}

// BenchmarkPerAddress measures what a session costs at its two ends.
func BenchmarkPerAddress(b *testing.B) {
	var a perAddress
	client := netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		a.enter(client, 1)
		a.leave(client)
	}
}
