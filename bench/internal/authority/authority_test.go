package authority

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// shake does a handshake of both ends, and lets the server speak first, so that its tickets come.
func shake(t *testing.T, client, server *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("hello")) // an error is the client's, too
		_ = c.Close()
	}()
	defer func() {
		_ = ln.Close()
		<-ended
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

func TestManners(t *testing.T) {
	a, err := New(t.TempDir() + "/new")
	if err != nil {
		t.Fatal(err)
	}
	server, err := Server(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for manner, curve := range map[Manner]tls.CurveID{Full: tls.X25519, Resumed: tls.X25519, Hybrid: tls.X25519MLKEM768} {
		c := a.Clients(manner)
		for range 3 {
			s, err := shake(t, c.Config(), server)
			if err != nil {
				t.Fatal(err)
			}
			if s.CurveID != curve || !strings.Contains(manner.Setting(), curve.String()) {
				t.Errorf("%v for %q", s.CurveID, manner.Setting())
			}
		}
		all, resumed := c.Done()
		// One that is given up takes the ticket from nobody.
		x, y := net.Pipe()
		_ = y.Close()
		if err := tls.Client(x, c.Config()).Handshake(); err == nil {
			t.Error("a handshake with nobody")
		}
		_ = x.Close()
		if s, err := shake(t, c.Config(), server); err != nil || s.DidResume != (manner == Resumed) {
			t.Errorf("%q, after one that was given up: resumed %t, %v", manner.Setting(), s.DidResume, err)
		}
		if want := map[Manner]int64{Resumed: 2}[manner]; all != 3 || resumed != want {
			t.Errorf("%q: %d of %d resumed, want %d", manner.Setting(), resumed, all, want)
		}
	}
	if _, err := shake(t, a.Trust(), server); err != nil {
		t.Errorf("the authority is not trusted: %v", err)
	}
}

func TestOthersAreRefused(t *testing.T) {
	a, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, want string, client *tls.Config, change func(*tls.Config)) {
		t.Helper()
		server, err := Server(b.CertFile, b.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		change(server)
		if _, err := shake(t, client, server); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	clients := b.Clients(Full)
	f("another authority's", "not the certificate", a.Clients(Full).Config(), func(*tls.Config) {})
	f("no trust", "unknown authority", a.Trust(), func(*tls.Config) {})
	f("another curve", "", clients.Config(), func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} })
	f("an older version", "", clients.Config(), func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 })
	if all, _ := clients.Done(); all != 0 {
		t.Errorf("%d handshakes count", all)
	}
}

func TestFiles(t *testing.T) {
	a, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(a.BothFile, a.BothFile); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(a.CAFile); err != nil || strings.Contains(string(text), "KEY") {
		t.Errorf("authority's file: %v", err)
	}
	if _, err := Server(a.CAFile, a.KeyFile); err == nil {
		t.Error("a key of another certificate is taken")
	}
	if _, err := New(a.CAFile); err == nil {
		t.Error("a file is taken for a directory")
	}
}
