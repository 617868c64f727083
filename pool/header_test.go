package pool

import (
	"bufio"
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pires/go-proxyproto"
)

func TestProxyHeaderWords(t *testing.T) {
	for h, word := range map[ProxyHeader]string{NoProxyHeader: "none", ProxyHeaderV1: "v1", ProxyHeaderV2: "v2"} {
		if h.String() != word {
			t.Errorf("%d is called %q, want %q", h, h, word)
		}
		if got, err := ParseProxyHeader(word); got != h || err != nil {
			t.Errorf("%q: %v, %v", word, got, err)
		}
	}
	if _, err := ParseProxyHeader("v3"); err == nil || !strings.Contains(err.Error(), `"v3" is not one of none, v1, v2`) {
		t.Errorf("v3: %v", err)
	}
	if got := ProxyHeader(7).String(); got != "proxy header 7" {
		t.Errorf("7 is called %q", got)
	}
}

// The bytes are those that the specification shows.
func TestProxyHeaderBytes(t *testing.T) {
	v4, other4 := netip.MustParseAddrPort("192.0.2.7:5001"), netip.MustParseAddrPort("198.51.100.1:443")
	signature := "\r\n\r\n\x00\r\nQUIT\n"
	for _, row := range []struct {
		name            string
		header          ProxyHeader
		client, reached netip.AddrPort
		want            string
	}{
		{"none", NoProxyHeader, v4, other4, ""},
		{"v1", ProxyHeaderV1, v4, other4, "PROXY TCP4 192.0.2.7 198.51.100.1 5001 443\r\n"},
		{"v1 of nobody", ProxyHeaderV1, netip.AddrPort{}, netip.AddrPort{}, "PROXY UNKNOWN\r\n"},
		{"v1, client unknown", ProxyHeaderV1, netip.AddrPort{}, other4, "PROXY UNKNOWN\r\n"},
		{"v1, way unknown", ProxyHeaderV1, v4, netip.AddrPort{}, "PROXY UNKNOWN\r\n"},
		{"v2", ProxyHeaderV2, v4, other4, signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x07\xc6\x33\x64\x01" + "\x13\x89\x01\xbb"},
		{"v2 of nobody", ProxyHeaderV2, netip.AddrPort{}, netip.AddrPort{}, signature + "\x20\x00\x00\x00"},
	} {
		if diff := cmp.Diff(row.want, string(row.header.Format(row.client, row.reached))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// Whoever reads the header finds the addresses in it.
func TestProxyHeaderIsRead(t *testing.T) {
	for _, row := range []struct{ client, reached, wantClient, wantReached string }{
		{"192.0.2.7:5001", "198.51.100.1:443", "192.0.2.7:5001", "198.51.100.1:443"},
		{"[2001:db8::7]:5001", "[2001:db8::1]:443", "[2001:db8::7]:5001", "[2001:db8::1]:443"},
		{"[::ffff:192.0.2.7]:5001", "198.51.100.1:443", "192.0.2.7:5001", "198.51.100.1:443"},
		{"192.0.2.7:0", "198.51.100.1:443", "192.0.2.7:0", "198.51.100.1:443"},
		{"192.0.2.7:1", "[2001:db8::1]:443", "[::ffff:192.0.2.7]:1", "[2001:db8::1]:443"},
		{"[2001:db8::7]:65535", "198.51.100.1:443", "[2001:db8::7]:65535", "[::ffff:198.51.100.1]:443"},
		{"[fe80::1%eth0]:5001", "[fe80::2%eth0]:443", "[fe80::1]:5001", "[fe80::2]:443"},
	} {
		for _, h := range []ProxyHeader{ProxyHeaderV1, ProxyHeaderV2} {
			sent := h.Format(netip.MustParseAddrPort(row.client), netip.MustParseAddrPort(row.reached))
			in := bufio.NewReader(bytes.NewReader(append(sent, "GET /"...)))
			got, err := proxyproto.Read(in)
			if err != nil {
				t.Errorf("%v of %s to %s: %v", h, row.client, row.reached, err)
				continue
			}
			client, reached, ok := got.TCPAddrs()
			if !ok || got.Command != proxyproto.PROXY ||
				unmapped(client.AddrPort()) != unmapped(netip.MustParseAddrPort(row.wantClient)) ||
				unmapped(reached.AddrPort()) != unmapped(netip.MustParseAddrPort(row.wantReached)) {
				t.Errorf("%v of %s to %s: read %v", h, row.client, row.reached, got)
			}
			if rest, _ := in.Peek(5); string(rest) != "GET /" {
				t.Errorf("%v of %s to %s: %q is behind it", h, row.client, row.reached, rest)
			}
		}
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
