package flood

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each answer cost the server a handshake up to its own part, and nobody finishes one.
func TestRun(t *testing.T) {
	a, err := authority.New(filepath.Join(t.TempDir(), "authority"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Server(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var begun, finished atomic.Int64
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if begun.Add(1) == 100 {
			stop()
		}
		return nil, nil
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := door.Accept()
			if err != nil {
				return
			}
			if tls.Server(conn, config).Handshake() == nil {
				finished.Add(1)
			}
			conn.Close()
		}
	}()
	res, err := Run(ctx, door.Addr().String(), 4)
	door.Close()
	<-served
	if err != nil || res.Answered < 90 || res.Answered > begun.Load() || res.Failed != 0 || res.Seconds <= 0 || finished.Load() != 0 {
		t.Errorf("%+v, %v; %d begun, %d finished", res, err, begun.Load(), finished.Load())
	}
}

// Who does not speak TLS has not answered.
func TestRefused(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for n := 0; ; n++ {
			conn, err := door.Accept()
			if err != nil {
				return
			}
			switch n {
			case 0:
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_, _ = conn.Read(make([]byte, 4096))
			case 2:
				stop()
			}
			conn.Close()
		}
	}()
	res, err := Run(ctx, door.Addr().String(), 1)
	door.Close()
	<-served
	if err != nil || res.Answered != 0 || res.Failed != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}
