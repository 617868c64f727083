package flood

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

// Result is what came of a flood.
type Result struct {
	// Answered is how many hellos were answered, Failed how many clients got no
	// answer, in so many Seconds. Those who were there at the end are in neither.
	Answered int64   `json:"answered"`
	Failed   int64   `json:"failed"`
	Seconds  float64 `json:"seconds"`
}

// patience is how long an answer may take.
const patience = 10 * time.Second

// Run sends hellos to addr, a TCP address, until ctx is done, with so many clients
// at a time, at least one.
func Run(ctx context.Context, addr string, clients int) (Result, error) {
	hello, err := hello()
	if err != nil {
		return Result{}, err
	}
	var answered, failed atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range max(clients, 1) {
		all.Go(func() {
			for ctx.Err() == nil {
				switch err := visit(ctx, addr, hello); {
				case err == nil:
					answered.Add(1)
				case ctx.Err() == nil:
					failed.Add(1)
					select { // who is refused does not ask again at once
					case <-time.After(10 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	all.Wait()
	return Result{answered.Load(), failed.Load(), time.Since(began).Seconds()}, nil
}

// visit sends a hello, takes the beginning of the answer, and resets the connection.
func visit(ctx context.Context, addr string, hello []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0) // no port waits for its time to pass
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var record [1]byte
	if _, err := conn.Read(record[:]); err != nil {
		return err
	}
	if record[0] != handshakeRecord {
		return fmt.Errorf("a record of type %d came in answer to a hello", record[0])
	}
	return nil
}

// handshakeRecord is the type of the record with a server's hello (RFC 8446 §5.1).
const handshakeRecord = 22

// hello is what a client of TLS 1.3 with X25519 says first.
func hello() ([]byte, error) {
	near, far := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tls.Client(far, &tls.Config{
			ServerName: authority.Name, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		}).Handshake() // ends with the pipe
	}()
	record := make([]byte, 16<<10)
	n, err := near.Read(record)
	near.Close()
	<-ended
	far.Close()
	if err != nil {
		return nil, fmt.Errorf("make a hello: %w", err)
	}
	return record[:n], nil
}
