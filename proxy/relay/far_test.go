package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// scheme says which connections of a session have TLS: the version for each
// side, 0 for none.
type scheme [2]uint16

// The schemes that tests run over. Without one a session has no TLS.
var (
	plain      = scheme{}
	wssToWS    = scheme{client: tls.VersionTLS13}
	wsToWSS    = scheme{upstream: tls.VersionTLS13}
	wssToWSS   = scheme{client: tls.VersionTLS13, upstream: tls.VersionTLS13}
	oldToNew   = scheme{client: tls.VersionTLS12, upstream: tls.VersionTLS13}
	newToOld   = scheme{client: tls.VersionTLS13, upstream: tls.VersionTLS12}
	everywhere = []scheme{plain, wssToWS, wsToWSS, wssToWSS, oldToNew, newToOld}
	// eitherSide is for tests of what one side means to the other.
	eitherSide = []scheme{plain, wssToWS, wsToWSS, wssToWSS}
	// plainAndTLS is for tests in which more TLS shows no more.
	plainAndTLS = []scheme{plain, wssToWSS}
)

func (s scheme) String() string {
	name := func(version uint16) string {
		return map[uint16]string{0: "ws", tls.VersionTLS13: "wss", tls.VersionTLS12: "wss1.2"}[version]
	}
	return fmt.Sprintf("%s to %s", name(s[client]), name(s[upstream]))
}

// times is how often a test is repeated over a scheme, if it takes n times without
// TLS: handshakes cost much.
func (s scheme) times(n int) int {
	if s == plain {
		return n
	}
	return n / 5
}

// eachScheme runs f over each of the schemes, in parallel.
func eachScheme(t *testing.T, schemes []scheme, f func(t *testing.T, s scheme)) {
	t.Parallel()
	for _, s := range schemes {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

// far is the test's end of a connection: TCP, with TLS on it or without.
type far struct {
	net.Conn              // what is said and heard: TCP itself, *tls.Conn or *records
	tcp      *net.TCPConn // below it
	bed      *bed         // between TLS and TCP; nil without TLS
}

// bare is a far end without TLS.
func bare(tcp *net.TCPConn) *far { return &far{Conn: tcp, tcp: tcp} }

// CloseWrite ends our stream, after the good-bye of TLS.
func (f *far) CloseWrite() error {
	if f.bed != nil {
		if err := f.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			return err
		}
	}
	return f.tcp.CloseWrite()
}

// Close closes the connection, after the good-bye of TLS if there is room for
// it.
func (f *far) Close() error {
	if f.bed != nil {
		_ = f.tcp.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	}
	return f.Conn.Close()
}

// abort ends the connection with an RST.
func (f *far) abort() error {
	if err := f.tcp.SetLinger(0); err != nil {
		return err
	}
	return f.tcp.Close()
}

// offer writes b until nothing has been taken for the given time, and returns
// how much TCP or TLS has taken of it.
func (f *far) offer(b []byte, patient time.Duration) (int, error) {
	defer func() { _ = f.tcp.SetWriteDeadline(time.Now().Add(patience)) }()
	write := func(p []byte) (int, error) {
		_ = f.tcp.SetWriteDeadline(time.Now().Add(patient))
		n, err := f.Write(p)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		return n, err
	}
	if f.bed == nil {
		return write(b)
	}
	f.bed.keeps = true
	defer func() { f.bed.keeps = false }()
	for left := len(f.bed.rest); left > 0; left = len(f.bed.rest) {
		_ = f.tcp.SetWriteDeadline(time.Now().Add(patient))
		if _, err := f.bed.Write(nil); err != nil || len(f.bed.rest) == left {
			return 0, err
		}
	}
	return write(b)
}

// ended checks what has ended the stream that was read to its end: the good-bye
// of TLS, if there is TLS, and then that of TCP.
func (f *far) ended() error {
	if f.bed == nil {
		return nil
	}
	if f.bed.ended {
		return errors.New("the end of TCP came without the good-bye of TLS")
	}
	var below io.Reader = f.tcp
	if r, ok := f.Conn.(*records); ok {
		below = r.source
	}
	if n, err := below.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("behind the good-bye of TLS: %d bytes, %w", n, err)
	}
	return nil
}

// bed lies between TLS and TCP at a far end. TLS has sent what it has written;
// whether TCP has taken it is another matter.
type bed struct {
	*net.TCPConn
	rest       []byte                    // what TCP has not taken yet
	keeps      bool                      // a write that comes to its deadline leaves the rest for the next one
	corkBehind int                       // so many writes go out, then all is kept; 0: none is
	corked     bool                      // all is kept
	piece      func() int                // if not nil, the size of the next write
	ended      bool                      // TCP has ended
	hellos     *hellos                   // if not nil, notes what passes
	speak      func(far *tls.Conn) error // if not nil, comes right behind the handshake
}

// Read implements [net.Conn].
func (b *bed) Read(p []byte) (int, error) {
	n, err := b.TCPConn.Read(p)
	if err == io.EOF {
		b.ended = true
	}
	if b.hellos != nil {
		b.hellos.in = append(b.hellos.in, p[:n]...)
	}
	return n, err
}

// Write implements [net.Conn].
func (b *bed) Write(p []byte) (int, error) {
	if b.hellos != nil {
		b.hellos.out = append(b.hellos.out, p...)
	}
	if b.corkBehind > 0 {
		b.corkBehind--
		b.corked = b.corkBehind == 0
		return b.TCPConn.Write(p)
	}
	if len(b.rest) == 0 && !b.corked && !b.keeps && b.piece == nil {
		return b.TCPConn.Write(p)
	}
	b.rest = append(b.rest, p...)
	for len(b.rest) > 0 && !b.corked {
		size := len(b.rest)
		if b.piece != nil {
			size = min(size, b.piece())
		}
		n, err := b.TCPConn.Write(b.rest[:size])
		b.rest = b.rest[n:]
		if b.keeps && errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// SetWriteDeadline implements [net.Conn]. TLS sets one for its good-bye; here the
// test does.
func (b *bed) SetWriteDeadline(time.Time) error { return nil }

// release lets go what was kept, in one write.
func (b *bed) release() error {
	b.corked = false
	_, err := b.Write(nil)
	return err
}

// identity is the certificate of all servers in the tests.
var identity = sync.OnceValue(func() (id struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: serverName},
		DNSNames:     []string{serverName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	id.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	id.roots = x509.NewCertPool()
	id.roots.AddCert(leaf)
	return id
})

const serverName = "upstream.test"

func serverConfig(version uint16) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{identity().certificate},
		MinVersion:   version, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519}, // the cheapest
	}
}

func clientConfig(version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: identity().roots, ServerName: serverName,
		MinVersion: version, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
}

// secureFunc puts TLS on the two ends of a connection of the given side, and does
// the handshake.
type secureFunc func(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far)

// secure is how TLS usually comes to a connection.
func secure(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
	t.Helper()
	return secureOver(t, d, version, near, &bed{TCPConn: tcp})
}

// tuning changes the configurations of a handshake.
type tuning func(near, far *tls.Config)

// secureOver puts TLS on a connection whose far end has a bed.
func secureOver(t testing.TB, d side, version uint16, near net.Conn, b *bed, tune ...tuning) (*tls.Conn, *far) {
	t.Helper()
	theirs, ours := clientConfig(version), serverConfig(version)
	if d == upstream {
		theirs, ours = ours, theirs
	}
	for _, f := range tune {
		f(ours, theirs)
	}
	var nearTLS, farTLS *tls.Conn
	if d == client {
		nearTLS, farTLS = Server(near, ours), tls.Client(b, theirs)
	} else {
		nearTLS, farTLS = Client(near, ours), tls.Server(b, theirs)
	}
	_ = near.SetDeadline(time.Now().Add(patience))
	_ = b.TCPConn.SetDeadline(time.Now().Add(patience))
	done := make(chan error, 1)
	go func() { done <- nearTLS.Handshake() }()
	err := farTLS.Handshake()
	if err == nil && b.speak != nil {
		err = b.speak(farTLS)
	}
	if err := errors.Join(err, <-done); err != nil {
		near.Close()
		b.TCPConn.Close()
		t.Fatalf("TLS handshake: %v", err)
	}
	_ = near.SetDeadline(time.Time{})
	return nearTLS, &far{farTLS, b.TCPConn, b}
}
