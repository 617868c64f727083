package relay

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// laborious is a key whose signatures take until somebody says so.
type laborious struct {
	crypto.Signer
	done   chan struct{}
	inside atomic.Int32
}

func (l *laborious) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	l.inside.Add(1)
	<-l.done
	l.inside.Add(-1)
	return l.Signer.Sign(rand, digest, opts)
}

// signed is a configuration for servers whose key is l.
func (l *laborious) signed(version uint16) *tls.Config {
	c := serverConfig(version)
	c.Certificates[0].PrivateKey = l
	return c
}

func newLaborious() *laborious {
	return &laborious{Signer: identity().certificate.PrivateKey.(crypto.Signer), done: make(chan struct{})}
}

// trusting is a configuration for clients in a bubble, where the certificate is not
// valid yet.
func trusting(version uint16) *tls.Config {
	c := clientConfig(version)
	c.InsecureSkipVerify = true
	return c
}

// serve does the handshake of a server, and returns the other end and what comes of
// it.
func (p *Places) serve(t *testing.T, config *tls.Config, by time.Time) (net.Conn, <-chan error) {
	near, far := net.Pipe()
	t.Cleanup(func() { far.Close() })
	ended := make(chan error, 1)
	go func() {
		defer near.Close()
		_ = near.SetDeadline(by)
		ended <- p.ServerHandshake(Server(near, config), by)
	}()
	return far, ended
}

// free checks that all places are.
func (p *Places) free(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if len(p.fresh) != 0 || len(p.others) != 0 {
		t.Errorf("%d and %d places are taken", len(p.fresh), len(p.others))
	}
}

// TestPlaces: so many compute and no more, for as long as it takes, and the others
// wait for half of their time.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, all = 3, 10
		p, key := NewPlaces(n, nil), newLaborious()
		var ends [all]<-chan error
		for i := range ends {
			far, ended := p.serve(t, key.signed(tls.VersionTLS13), time.Now().Add(time.Duration(1+i)*time.Hour))
			ends[i] = ended
			go tls.Client(far, trusting(tls.VersionTLS13)).Handshake()
			synctest.Wait() // so they come in this order
		}
		for i := range n {
			if inside := key.inside.Load(); inside != n {
				t.Fatalf("%d compute, %d may", inside, n)
			}
			key.done <- struct{}{}
			if err := <-ends[i]; err != nil {
				t.Fatalf("handshake %d: %v", i, err)
			}
			synctest.Wait()
		}
		began := time.Now()
		for i := 2 * n; i < all; i++ { // those before have a place
			if err := <-ends[i]; !errors.Is(err, ErrNoPlace) || time.Since(began) != time.Duration(1+i)*time.Hour/2 {
				t.Errorf("handshake %d ended after %v: %v", i, time.Since(began), err)
			}
		}
		if inside := key.inside.Load(); inside != n {
			t.Errorf("%d compute, %d may", inside, n)
		}
		close(key.done)
		for i := n; i < 2*n; i++ {
			<-ends[i] // too late for it
		}
		p.free(t)
	})
}

// TestPlacesOfThoseWhoWait: who waits for the other end has no place, wherever that
// is.
func TestPlacesOfThoseWhoWait(t *testing.T) {
	hello := func(version uint16) (p []byte) {
		near, far := net.Pipe()
		defer near.Close()
		go tls.Client(far, trusting(version)).Handshake()
		p = make([]byte, 4096)
		n, _ := near.Read(p)
		return p[:n]
	}
	for _, row := range []struct {
		name string
		stop func(far net.Conn)
	}{
		{"nothing is said", func(far net.Conn) {}},
		{"half a hello", func(far net.Conn) { p := hello(tls.VersionTLS13); far.Write(p[:len(p)/2]) }},
		{"a hello, and nothing is read", func(far net.Conn) { far.Write(hello(tls.VersionTLS13)) }},
		{"a hello, and no more", func(far net.Conn) { far.Write(hello(tls.VersionTLS13)); io.Copy(io.Discard, far) }},
		{"a hello of 1.2, and no more", func(far net.Conn) { far.Write(hello(tls.VersionTLS12)); io.Copy(io.Discard, far) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPlaces(1, nil)
				config := serverConfig(tls.VersionTLS12)
				config.MaxVersion = tls.VersionTLS13
				var slow [3]<-chan error
				for i := range slow {
					far, ended := p.serve(t, config, time.Now().Add(time.Hour))
					slow[i] = ended
					go row.stop(far)
				}
				synctest.Wait()
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					far, ended := p.serve(t, config, time.Now().Add(time.Second))
					if err := tls.Client(far, trusting(version)).Handshake(); err != nil {
						t.Error(err)
					}
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
				p.free(t)
				for _, ended := range slow {
					if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("ended with %v", err)
					}
				}
				p.free(t)
			})
		})
	}
}

// TestPlacesOfThoseBegun: a handshake that has answered goes on although others have
// come that want to compute.
func TestPlacesOfThoseBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, key := NewPlaces(1, nil), newLaborious()
		go func() { key.done <- struct{}{} }()
		far, first := p.serve(t, key.signed(tls.VersionTLS12), time.Now().Add(time.Hour))
		answered, goOn := make(chan struct{}), make(chan struct{})
		slow := trusting(tls.VersionTLS12)
		slow.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error {
			close(answered)
			<-goOn
			return nil
		}
		go tls.Client(far, slow).Handshake()
		<-answered
		far, second := p.serve(t, key.signed(tls.VersionTLS12), time.Now().Add(time.Hour))
		go tls.Client(far, trusting(tls.VersionTLS12)).Handshake()
		synctest.Wait()
		if key.inside.Load() != 1 || len(p.fresh) != 1 {
			t.Fatal("the second one does not compute")
		}
		close(goOn)
		if err := <-first; err != nil {
			t.Error(err)
		}
		key.done <- struct{}{}
		if err := <-second; err != nil {
			t.Error(err)
		}
		p.free(t)
	})
}

// TestPlacesOfThoseAskedAgain: a client whose hello is answered with the wish for
// another one has cost next to nothing, and is one of the fresh still.
func TestPlacesOfThoseAskedAgain(t *testing.T) {
	p, key := NewPlaces(1, nil), newLaborious()
	config := key.signed(tls.VersionTLS13)
	config.CurvePreferences = []tls.CurveID{tls.CurveP521}
	clients := trusting(tls.VersionTLS13)
	clients.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP521}
	var ends [2]chan error
	for i := range ends {
		ends[i] = make(chan error, 1)
		near, far := tcpPair(t)
		go func() { ends[i] <- p.ServerHandshake(Server(near, config), time.Now().Add(patience)) }()
		go func() {
			c := tls.Client(far, clients)
			if err := c.Handshake(); err != nil || !c.ConnectionState().HelloRetryRequest {
				t.Errorf("%v, asked again: %t", err, c.ConnectionState().HelloRetryRequest)
			}
		}()
	}
	for key.inside.Load() == 0 {
		runtime.Gosched()
	}
	near, far := tcpPair(t)
	go tls.Server(far, serverConfig(tls.VersionTLS13)).Handshake()
	if err := p.ClientHandshake(Client(near, trusting(tls.VersionTLS13)), time.Now().Add(patience)); err != nil {
		t.Errorf("beside them: %v", err)
	}
	if n := key.inside.Load(); n != 1 || len(p.fresh) != 1 || len(p.others) != 0 {
		t.Errorf("%d compute, %d and %d places are taken", n, len(p.fresh), len(p.others))
	}
	close(key.done)
	for _, ended := range ends {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// tcpPair is for TLS that writes at both ends at once.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestPlacesOfWholeRecords: a hello that comes in pieces is worth a place when it is
// there.
func TestPlacesOfWholeRecords(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p := NewPlaces(1, nil)
	s := &shaking{Conn: near, places: p, by: time.Now().Add(patience), left: patience, fresh: true}
	defer near.Close()
	go io.WriteString(far, "\x16\x03\x01\x00\x05helloX")
	for i := range 11 {
		want := 0
		if i == 9 {
			want = 1
		}
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil || len(p.fresh) != want {
			t.Errorf("byte %d: %d, %v, %d places are taken", i, n, err, len(p.fresh))
		}
	}
}

// TestPlacesStop: nobody waits for a place any more when it is over.
func TestPlacesStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		p, key := NewPlaces(1, stop), newLaborious()
		far, first := p.serve(t, key.signed(tls.VersionTLS13), time.Now().Add(time.Hour))
		go tls.Client(far, trusting(tls.VersionTLS13)).Handshake()
		synctest.Wait()
		far, second := p.serve(t, key.signed(tls.VersionTLS13), time.Now().Add(time.Hour))
		go tls.Client(far, trusting(tls.VersionTLS13)).Handshake()
		synctest.Wait()
		close(stop)
		if err := <-second; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		close(key.done)
		<-first
		p.free(t)
	})
}

// TestPlacesPanic: a callback that panics takes no place with it.
func TestPlacesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPlaces(1, nil)
		near, far := net.Pipe()
		defer near.Close()
		go tls.Client(far, trusting(tls.VersionTLS13)).Handshake()
		config := serverConfig(tls.VersionTLS13)
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("for the test") }
		conn := Server(near, config)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = p.ServerHandshake(conn, time.Now().Add(time.Second))
		}()
		if below := belowTLS(conn); below != near {
			t.Errorf("below is %T", below)
		}
		p.free(t)
	})
}

// TestPlacesOfClients: they compute before they say anything, and when they judge the
// certificate.
func TestPlacesOfClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, all = 2, 5
		p := NewPlaces(n, nil)
		var inside atomic.Int32
		done := make(chan struct{})
		config := trusting(tls.VersionTLS13)
		config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error {
			inside.Add(1)
			<-done
			inside.Add(-1)
			return nil
		}
		shake := func(by time.Time) <-chan error {
			near, far := net.Pipe()
			t.Cleanup(func() { far.Close() })
			go tls.Server(far, serverConfig(tls.VersionTLS13)).Handshake()
			ended := make(chan error, 1)
			go func() {
				defer near.Close()
				ended <- p.ClientHandshake(Client(near, config), by)
			}()
			return ended
		}
		var ends [all]<-chan error
		for i := range ends {
			ends[i] = shake(time.Now().Add(time.Hour))
		}
		synctest.Wait()
		if inside.Load() != n {
			t.Errorf("%d compute, %d may", inside.Load(), n)
		}
		began := time.Now()
		if err := <-shake(began.Add(time.Minute)); !errors.Is(err, ErrNoPlace) || time.Since(began) != time.Minute/4 {
			t.Errorf("one more: %v after %v", err, time.Since(began))
		}
		near, far := net.Pipe()
		go func() {
			defer near.Close()
			_ = p.ClientHandshake(Client(near, config), time.Now().Add(time.Minute))
		}()
		if n, err := far.Read(make([]byte, 1)); n != 0 {
			t.Errorf("one without a place said something: %v", err)
		}
		close(done)
		for _, ended := range ends {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		p.free(t)
	})
}

// TestPlacesOfThoseWhoFail: a handshake that fails gives its place back, and leaves the
// connection as it was.
func TestPlacesOfThoseWhoFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPlaces(1, nil)
		near, far := net.Pipe()
		go func() {
			io.WriteString(far, "GET / HTTP/1.1\r\n\r\n")
			io.Copy(io.Discard, far)
		}()
		conn := Server(near, serverConfig(tls.VersionTLS13))
		if err := p.ServerHandshake(conn, time.Now().Add(time.Second)); err == nil {
			t.Error("no error")
		}
		if below := belowTLS(conn); below != near {
			t.Errorf("below is %T", below)
		}
		p.free(t)
		near.Close()
	})
}
