package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// proxy2 is a header of version 2 of the PROXY protocol.
func proxy2(command, family byte, block ...byte) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return string(append(binary.BigEndian.AppendUint16(b, uint16(len(block))), block...))
}

// The addresses in a header: of IPv4, of IPv6, and of IPv4 within that.
var (
	proxyBlock4      = []byte{203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x34, 0x01, 0xbb}
	proxyBlock6      = append(append(addressBytes("2001:db8::7"), addressBytes("2001:db8::1")...), 0x12, 0x34, 0x01, 0xbb)
	proxyBlockMapped = append(append(addressBytes("::ffff:203.0.113.7"), addressBytes("::ffff:192.0.2.1")...), 0x12, 0x34, 0x01, 0xbb)
)

func addressBytes(s string) []byte { b := netip.MustParseAddr(s).As16(); return b[:] }

// extra is an extension of n bytes, its own head included.
func extra(n int) []byte {
	return append([]byte{4, byte((n - 3) >> 8), byte(n - 3)}, make([]byte, n-3)...)
}

// reading is a connection from which only is read.
type reading struct {
	net.Conn
	io.Reader
}

func (r reading) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// TestProxyHeader: what headers say, and which are none. Nothing behind one is
// taken, however it comes.
func TestProxyHeader(t *testing.T) {
	const none, bad = "", "bad"
	const four, six = "203.0.113.7:4660 to 192.0.2.1:443", "[2001:db8::7]:4660 to [2001:db8::1]:443"
	with := func(b []byte, more ...byte) []byte { return append(b[:len(b):len(b)], more...) }
	for _, row := range []struct{ name, header, want string }{
		{"v1", "PROXY TCP4 203.0.113.7 192.0.2.1 4660 443\r\n", four},
		{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4660 443\r\n", six},
		{"v1, IPv4 within IPv6", "PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 4660 443\r\n", four},
		{"v1, unknown", "PROXY UNKNOWN\r\n", none},
		{"v1, unknown with addresses", "PROXY UNKNOWN 203.0.113.7 192.0.2.1 4660 443\r\n", none},
		{"v1, the longest", "PROXY UNKNOWN " + strings.Repeat("f", proxyLongest1-16) + "\r\n", none},
		{"v1, longer", "PROXY UNKNOWN " + strings.Repeat("f", proxyLongest1-15) + "\r\n", bad},
		{"v1, without end", "PROXY UNKNOWN " + strings.Repeat("f", 1000), bad},
		{"v1, a zone", "PROXY TCP6 fe80::1%lo 2001:db8::1 4660 443\r\n", bad},
		{"v1, IPv6 as IPv4", "PROXY TCP4 2001:db8::7 2001:db8::1 4660 443\r\n", bad},
		{"v1, a line feed alone", "PROXY TCP4 203.0.113.7 192.0.2.1 4660 443\n", bad},
		{"v1, a leading zero", "PROXY TCP4 203.0.113.007 192.0.2.1 4660 443\r\n", bad},
		{"v1, port 65536", "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", bad},
		{"v1, a signed port", "PROXY TCP4 203.0.113.7 192.0.2.1 +4660 443\r\n", bad},
		{"v1, two spaces", "PROXY  TCP4 203.0.113.7 192.0.2.1 4660 443\r\n", bad},
		{"v1, more behind", "PROXY TCP4 203.0.113.7 192.0.2.1 4660 443 1\r\n", bad},
		{"v1, less", "PROXY TCP4 203.0.113.7 192.0.2.1 4660\r\n", bad},
		{"v1, lower case", "proxy tcp4 203.0.113.7 192.0.2.1 4660 443\r\n", bad},
		{"v2", proxy2(0x21, 0x11, proxyBlock4...), four},
		{"v2, IPv6", proxy2(0x21, 0x21, proxyBlock6...), six},
		{"v2, IPv4 within IPv6", proxy2(0x21, 0x21, proxyBlockMapped...), four},
		{"v2, extensions", proxy2(0x21, 0x11, with(with(proxyBlock4, extra(90)...), extra(700)...)...), four},
		{"v2, the longest", proxy2(0x21, 0x11, with(proxyBlock4, extra(proxyLongest2-proxyFixed-12)...)...), four},
		{"v2, longer", proxy2(0x21, 0x11, with(proxyBlock4, extra(proxyLongest2-proxyFixed-11)...)...), bad},
		{"v2, the proxy's own", proxy2(0x20, 0), none},
		{"v2, the proxy's own, with addresses", proxy2(0x20, 0x11, with(proxyBlock4, extra(30)...)...), none},
		{"v2, unknown", proxy2(0x21, 0), none},
		{"v2, unknown with something", proxy2(0x21, 0, with(proxyBlock4, 1, 2, 3)...), none},
		{"v2, UDP", proxy2(0x21, 0x12, proxyBlock4...), none},
		{"v2, a socket in the file system", proxy2(0x21, 0x31, make([]byte, 216)...), none},
		{"v2, another family", proxy2(0x21, 0x41, proxyBlock4...), bad},
		{"v2, another transport", proxy2(0x21, 0x13, proxyBlock4...), bad},
		{"v2, another command", proxy2(0x22, 0x11, proxyBlock4...), bad},
		{"v2, another command, unknown", proxy2(0x22, 0), bad},
		{"v2, another version", proxy2(0x31, 0x11, proxyBlock4...), bad},
		{"v2, too short", proxy2(0x21, 0x11, proxyBlock4[:11]...), bad},
		{"v2, nothing", proxy2(0x21, 0x11), bad},
		{"none", goodHead, bad},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 40), bad},
	} {
		t.Run(row.name, func(t *testing.T) {
			for how, in := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			} {
				rest := strings.NewReader(row.header + "rest")
				says, err := readProxyHeader(reading{Reader: in(rest)})
				switch {
				case row.want == bad:
					if err == nil || says.client.IsValid() {
						t.Errorf("%s: %v, %v", how, says, err)
					}
					continue
				case err != nil:
					t.Errorf("%s: %v", how, err)
				case rest.Len() != len("rest"):
					t.Errorf("%s: %d bytes left, want %d", how, rest.Len(), len("rest"))
				}
				got := none
				if says.client.IsValid() || says.reached.IsValid() {
					got = says.client.String() + " to " + says.reached.String()
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
			// Cut short it is none, and the error says why.
			for n := range len(row.header) {
				if row.want == bad {
					break
				}
				says, err := readProxyHeader(reading{Reader: strings.NewReader(row.header[:n])})
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || says.client.IsValid() {
					t.Errorf("%d bytes of it: %v, %v", n, says, err)
				}
			}
		})
	}
}

// FuzzProxyHeader: no bytes are taken for more than they are, and an address that
// comes out of them can be told to an upstream.
func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 203.0.113.7 192.0.2.1 4660 443\r\nx", "PROXY TCP6 2001:db8::7 2001:db8::1 4660 443\r\n", "PROXY UNKNOWN\r\n\r\n",
		proxy2(0x21, 0x11, proxyBlock4...) + "x", proxy2(0x21, 0x21, proxyBlock6...), proxy2(0x21, 0x21, proxyBlockMapped...), proxy2(0x20, 0),
		proxy2(0x21, 0, 1, 2, 3), proxy2(0x21, 0x11, append(proxyBlock4[:12:12], extra(9)...)...), goodHead,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		says, err := readProxyHeader(reading{Reader: in})
		taken := len(b) - in.Len()
		if taken > proxyLongest2 {
			t.Fatalf("%d bytes taken", taken)
		}
		if says.client.IsValid() != says.reached.IsValid() || err != nil && says.client.IsValid() {
			t.Fatalf("%v, %v", says, err)
		}
		for _, a := range []netip.AddrPort{says.client, says.reached} {
			if a.Addr().Is4In6() || a.Addr().Zone() != "" {
				t.Errorf("%v", a)
			}
		}
		if err != nil {
			return
		}
		again, err := readProxyHeader(reading{Reader: bytes.NewReader(b[:taken])})
		if err != nil || again != says {
			t.Errorf("without what follows: %v, %v; want %v", again, err, says)
		}
	})
}

// addressed is a connection with an address at its other end.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

// TestPeerOf: an address is known in one form only.
func TestPeerOf(t *testing.T) {
	for _, row := range []struct {
		remote net.Addr
		want   string
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, "2001:db8::1"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1}, "fe80::1"},
		{&net.UnixAddr{Name: "/tmp/x", Net: "unix"}, "invalid IP"},
	} {
		if got := peerOf(addressed{remote: row.remote}).String(); got != row.want {
			t.Errorf("%v: got %s, want %s", row.remote, got, row.want)
		}
	}
}

// TestAnnouncedOnce: whether a header comes first is settled when a client comes, and
// not when somebody gets to read it: part of its head may have been read before.
func TestAnnouncedOnce(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.9")
	var trusted []netip.Prefix
	g := &gate{proxies: func() []netip.Prefix { return trusted }}
	before := g.meet(peer)
	trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	announced := g.meet(peer)
	trusted = append(trusted[:0:0], netip.MustParsePrefix("10.0.0.0/8"))

	before.Conn = reading{nil, iotest.ErrReader(errors.New("it was read"))}
	if err := before.readProxied(); err != nil || before.peer != peer {
		t.Errorf("%v, now %v", err, before.peer)
	}
	announced.Conn = reading{nil, strings.NewReader("PROXY TCP4 203.0.113.7 192.0.2.1 4660 443\r\n")}
	if err := announced.readProxied(); err != nil || announced.peer != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("%v, now %v", err, announced.peer)
	}
}
