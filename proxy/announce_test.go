package proxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"

	"github.com/pointsman/pointsman/pool"
)

// announced is an upstream that demands a header of the PROXY protocol and tells
// for whom each connection stands, "client to address".
func announced(t testing.TB, secured bool) (m member, seen <-chan string) {
	t.Helper()
	told := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		told <- fmt.Sprint(r.RemoteAddr, " to ", r.Context().Value(http.LocalAddrContextKey))
		_, _, _ = c.Read(r.Context())
	}))
	server.Listener = &proxyproto.Listener{Listener: server.Listener, ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		return proxyproto.REQUIRE, nil
	}}
	if secured {
		certificate, roots := testCertificate(t)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.StartTLS()
		m.tls = &tls.Config{RootCAs: roots}
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	m.address = server.Listener.Addr().String()
	return m, told
}

// TestAnnounce: an upstream that wants it learns who the client is before anything
// else is said, TLS included.
func TestAnnounce(t *testing.T) {
	for _, header := range []pool.ProxyHeader{pool.ProxyHeaderV1, pool.ProxyHeaderV2} {
		for _, row := range []struct {
			name    string
			secured bool
			before  string // what a proxy before us says first
			field   string
			want    string // if empty, the client itself
		}{
			{name: "ws"},
			{name: "wss", secured: true},
			{name: "behind a PROXY header", before: "PROXY TCP4 192.0.2.9 198.51.100.1 5001 443\r\n", want: "192.0.2.9:5001 to 198.51.100.1:443"},
			{name: "behind one, IPv6", before: "PROXY TCP6 2001:db8::9 2001:db8::1 5001 443\r\n", want: "[2001:db8::9]:5001 to [2001:db8::1]:443"},
			{name: "behind the proxy's own", before: "PROXY UNKNOWN\r\n"},
			{name: "behind a trusted proxy", field: "X-Forwarded-For: 203.0.113.7", want: "203.0.113.7:0 to {router}"},
			{name: "behind both", before: "PROXY TCP4 127.0.0.1 198.51.100.1 5001 443\r\n", field: "X-Forwarded-For: 203.0.113.7",
				want: "203.0.113.7:0 to 198.51.100.1:443"},
		} {
			t.Run(fmt.Sprint(header, " ", row.name), func(t *testing.T) {
				balanced(t)
				m, seen := announced(t, row.secured)
				m.header = header
				r := prepare(t, Options{Relay: quickClose, Forwarded: Forwarded{Trusted: loopback}}, m)
				if row.before != "" {
					r.proxies = loopback
				}
				r.begin()
				head := goodHead
				if row.field != "" {
					head = add(row.field)
				}
				c := r.ask(row.before + head)
				c.upgraded()
				want := strings.ReplaceAll(row.want, "{router}", r.address)
				if want == "" {
					want = fmt.Sprint(c.LocalAddr(), " to ", r.address)
				}
				if got := <-seen; got != want {
					t.Errorf("the upstream was told of %q, want %q", got, want)
				}
				c.Close()
			})
		}
	}
}

// TestAnnounceNothing: without a header an upstream that demands one refuses, and
// who does not want one does not get it.
func TestAnnounceNothing(t *testing.T) {
	m, _ := announced(t, false)
	if a := start(t, Options{}, m).ask(goodHead).answer(); a.StatusCode != 502 && a.StatusCode != 503 { // it may reset
		t.Errorf("got %s", a.Status)
	}
	c := &clientConn{}
	if b := c.announcement(pool.NoProxyHeader); b != nil {
		t.Errorf("%q for nobody who wants it", b)
	}
}

// Of a client that has not come over TCP nothing can be said.
func TestAnnounceUnknown(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := &clientConn{Conn: near}
	for h, want := range map[pool.ProxyHeader]string{
		pool.ProxyHeaderV1: "PROXY UNKNOWN\r\n",
		pool.ProxyHeaderV2: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		if got := string(c.announcement(h)); got != want {
			t.Errorf("%v: %q, want %q", h, got, want)
		}
	}
	c.client = netip.MustParseAddr("203.0.113.7") // nor where it came to
	if got := string(c.announcement(pool.ProxyHeaderV1)); got != "PROXY UNKNOWN\r\n" {
		t.Errorf("%q", got)
	}
}

// TestAnnounceToNginx: nginx understands both versions, where there is one.
func TestAnnounceToNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("no nginx here")
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %s/pid; error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen %s proxy_protocol;
		return 403 "$proxy_protocol_addr:$proxy_protocol_port to $proxy_protocol_server_addr:$proxy_protocol_server_port";
	}
}
`, dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(nginx, "-p", dir, "-c", config, "-e", "stderr")
	process.Stderr = t.Output()
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	until(t, "nginx to listen", func() bool {
		conn, err := net.Dial("tcp4", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	for _, header := range []pool.ProxyHeader{pool.ProxyHeaderV1, pool.ProxyHeaderV2} {
		r := start(t, Options{}, member{address: address, header: header})
		c := r.ask(goodHead)
		a := c.answer()
		if want := fmt.Sprint(c.LocalAddr(), " to ", r.address); a.StatusCode != 403 || a.body != want {
			t.Errorf("%v: nginx answers %s, %q, want %q", header, a.Status, a.body, want)
		}
		c.Close()
		r.stop()
	}
}
