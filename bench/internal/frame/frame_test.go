package frame

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeaderRoundTrip(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000, 1 << 20, 1<<31 - 1} {
		for _, masked := range []bool{false, true} {
			want := Header{Fin: true, Opcode: Binary, Masked: masked, Length: length}
			if masked {
				want.Key = [4]byte{1, 2, 3, 4}
			}
			var b [MaxHeader]byte
			n := Put(b[:], want)
			if n != want.Size() {
				t.Errorf("length %d: Put wrote %d bytes, Size says %d", length, n, want.Size())
			}
			got, size, err := Parse(b[:n])
			if err != nil || size != n {
				t.Errorf("length %d: Parse = size %d, %v; want size %d", length, size, err, n)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("length %d (-want +got):\n%s", length, diff)
			}
			for cut := range n {
				if _, size, err := Parse(b[:cut]); size != 0 || err != nil {
					t.Errorf("length %d cut at %d: Parse = size %d, %v; want 0, nil", length, cut, size, err)
				}
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	f := func(name string, b ...byte) {
		t.Helper()
		if _, _, err := Parse(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	f("reserved bit", 0xC2, 0)
	f("reserved opcode", 0x83, 0)
	f("reserved control opcode", 0x8B, 0)
	f("long ping", 0x89, 126, 0, 126)
	f("fragmented close", 0x08, 0)
	f("long form of a short length", 0x82, 126, 0, 125)
	f("longer form of a medium length", 0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF)
	f("top bit of the length", 0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0)
}

// The echo moves each payload four or more bytes towards the front while it removes the mask.
func TestMaskMovesForward(t *testing.T) {
	key := [4]byte{0xDE, 0xAD, 0xBE, 0xEF}
	for _, size := range []int{0, 1, 7, 31, 32, 33, 125, 1000, 60000} {
		for _, shift := range []int{0, 1, 4, 12} {
			plain := make([]byte, size)
			for i := range plain {
				plain[i] = byte(i*7 + i>>8)
			}
			buf := make([]byte, shift+size)
			Mask(buf[shift:], plain, key)
			if size > 3 && bytes.Equal(buf[shift:], plain) {
				t.Fatalf("size %d: mask changed nothing", size)
			}
			Mask(buf, buf[shift:], key)
			if !bytes.Equal(buf[:size], plain) {
				t.Errorf("size %d shift %d: payload changed", size, shift)
			}
		}
	}
}

// The example of RFC 6455 section 1.3.
func TestAccept(t *testing.T) {
	got := Accept([]byte("dGhlIHNhbXBsZSBub25jZQ=="))
	if string(got[:]) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("Accept = %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x82, 0xFE, 1, 0, 1, 2, 3, 4})
	f.Add([]byte{0x89, 0x80, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if err != nil || n == 0 {
			return
		}
		var again [MaxHeader]byte
		if size := Put(again[:], h); size != n || !bytes.Equal(again[:size], b[:n]) {
			t.Errorf("% x parsed to %+v, which encodes to % x", b[:n], h, again[:size])
		}
	})
}
