package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"
)

// outcome is how a handshake ended for both sides.
type outcome struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
}

// leaf returns the serial number of the certificate that the client was shown.
func (o outcome) leaf(t *testing.T) string {
	t.Helper()
	if o.clientErr != nil {
		t.Fatalf("handshake: %v", o.clientErr)
	}
	return o.client.PeerCertificates[0].SerialNumber.String()
}

// shake does a handshake over a pipe, and one byte, so that tickets and late
// refusals have come, too. The pipe has a buffer: both sides may write at once.
func shake(server, client *tls.Config) outcome {
	pipe := fasthttputil.NewPipeConns()
	return shakeOver(pipe.Conn1(), pipe.Conn2(), server, client)
}

func shakeOver(far, near net.Conn, server, client *tls.Config) (o outcome) {
	var running sync.WaitGroup
	running.Go(func() {
		defer far.Close()
		conn := tls.Server(far, server)
		if o.serverErr = conn.Handshake(); o.serverErr != nil {
			return
		}
		o.server = conn.ConnectionState()
		if _, err := conn.Write([]byte{'!'}); err == nil {
			_, _ = io.Copy(io.Discard, conn) // until the client has left
		}
	})
	conn := tls.Client(near, client)
	if o.clientErr = conn.Handshake(); o.clientErr == nil {
		_, o.clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	o.client = conn.ConnectionState()
	_ = conn.Close()
	_ = near.Close()
	running.Wait()
	return o
}

// shakeTCP is shake over sockets of this machine, which have addresses.
func shakeTCP(t *testing.T, server, client *tls.Config) outcome {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return shakeOver(far, near, server, client)
}

// keeper returns a Keeper that works.
func keeper(t *testing.T, o Options) *Keeper {
	t.Helper()
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// running lets a Keeper run until the test ends, or stop is called.
func running(t *testing.T, k *Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { k.Run(ctx) })
	stop = func() {
		cancel()
		runs.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// journal is a log that can be read while it is written, and waited for.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed by the next write; nil if nobody waits
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wrote != nil {
		close(j.wrote)
		j.wrote = nil
	}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) count(text string) int { return strings.Count(j.String(), text) }

// await waits until the text has been written so many times.
func (j *journal) await(t *testing.T, text string, times int) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		j.mu.Lock()
		found := strings.Count(j.text.String(), text)
		if j.wrote == nil {
			j.wrote = make(chan struct{})
		}
		wrote := j.wrote
		j.mu.Unlock()
		if found >= times {
			return
		}
		select {
		case <-wrote:
		case <-limit:
			t.Fatalf("%q is there %d times; want %d\n%s", text, found, times, j.String())
		}
	}
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
