package health

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// demanding is a listener whose connections have to begin with certain bytes, which come in one piece.
type demanding struct {
	net.Listener
	preamble []byte
}

func (d demanding) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &demandingConn{Conn: conn, preamble: d.preamble}, nil
}

type demandingConn struct {
	net.Conn
	preamble []byte
	first    sync.Once
	err      error
}

func (c *demandingConn) Read(p []byte) (int, error) {
	c.first.Do(func() {
		got := make([]byte, len(c.preamble))
		if _, c.err = io.ReadFull(c.Conn, got); c.err == nil && !bytes.Equal(got, c.preamble) {
			c.err = errors.New("no preamble")
		}
	})
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// A target that demands a header before everything else gets it from probes that have one, and refuses others.
func TestProbePreamble(t *testing.T) {
	preamble := []byte("PROXY UNKNOWN\r\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // the client has been told
		}
		defer func() { _ = conn.CloseNow() }()
		_, _, _ = conn.Read(r.Context())
	})
	for _, secured := range []bool{false, true} {
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = discardLog()
		s.Listener = demanding{s.Listener, preamble}
		scheme := "ws://"
		trust := (*tls.Config)(nil)
		if secured {
			s.StartTLS()
			scheme, trust = "wss://", s.Client().Transport.(*http.Transport).TLSClientConfig
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		target := mustParse(t, scheme+s.Listener.Addr().String()+"/ws")
		for name, probe := range map[string]func(first []byte) Probe{
			"http": func(first []byte) Probe { return HTTPProbe(target, HTTPOptions{TLS: trust, Preamble: first}) },
			"websocket": func(first []byte) Probe {
				return WebSocketProbe(target, WebSocketOptions{TLS: trust, Preamble: first})
			},
		} {
			own := bytes.Clone(preamble)
			good := probe(own)
			clear(own) // it was copied
			if err := run(t, good, longEnough); err != nil {
				t.Errorf("%s, TLS %v: %v", name, secured, err)
			}
			if err := run(t, probe(nil), longEnough); err == nil {
				t.Errorf("%s, TLS %v: the target took a probe without preamble", name, secured)
			}
		}
	}
}
