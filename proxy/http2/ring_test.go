package http2

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestRing compares the ring with a plain buffer.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var want bytes.Buffer
		next := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(0, Window-want.Len()).Draw(t, "write")
			p := make([]byte, n)
			for i := range p {
				p[i] = next
				next++
			}
			r.write(p)
			want.Write(p)
			if r.length != want.Len() {
				t.Fatalf("it holds %d bytes, want %d", r.length, want.Len())
			}
			got := r.first()
			if n := rapid.IntRange(0, len(got)).Draw(t, "take"); n > 0 {
				if !bytes.Equal(got[:n], want.Next(n)) {
					t.Fatal("other bytes came out than went in")
				}
				r.take(n)
			}
			if (r.buffer == nil) != (want.Len() == 0) {
				t.Fatalf("with %d bytes it has memory: %v", want.Len(), r.buffer != nil)
			}
		}
		r.free()
		if r.buffer != nil || r.first() != nil {
			t.Fatal("it was not freed")
		}
	})
}

// TestRingLent frees a ring while somebody reads it.
func TestRingLent(t *testing.T) {
	var r ring
	r.write([]byte("read me"))
	p := r.first()
	r.lent = true
	r.free()
	if r.buffer == nil || string(p) != "read me" {
		t.Fatal("it was taken away from who reads it")
	}
	r.lent = false
	r.free()
	if r.buffer != nil {
		t.Fatal("it was not freed")
	}
}
