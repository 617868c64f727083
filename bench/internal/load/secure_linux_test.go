package load

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/echo"
)

// serveTLS is serve with TLS.
func serveTLS(t *testing.T) (string, *authority.Authority) {
	t.Helper()
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Server(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := echo.Listen("127.0.0.1:0", 2, "", config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("echo: %v", err)
		}
	})
	return s.Addr(), a
}

// All modes do with TLS what they do without.
func TestSecure(t *testing.T) {
	addr, a := serveTLS(t)
	for _, o := range []Options{
		{Connections: 20, Size: 125, Loops: 2},
		{Connections: 3, Size: 1 << 20, Patience: time.Minute},
		{Connections: 10, Size: 125, Every: 5 * time.Millisecond},
	} {
		clients := a.Clients(authority.Full)
		o.Target, o.TLS = addr, clients.Config()
		var got Result
		var err error
		runs := 0
		untilEnough(150*time.Millisecond, func(interval time.Duration) bool {
			o.Duration = interval
			runs++
			got, err = Relay(t.Context(), o)
			return err != nil || got.Errors.Total() != 0 || got.Done > 0
		})
		if err != nil || got.Errors.Total() != 0 || got.Done == 0 {
			t.Errorf("size %d: %+v, %v", o.Size, got, err)
		}
		if all, resumed := clients.Done(); all != int64(runs*o.Connections) || resumed != 0 {
			t.Errorf("size %d: %d handshakes of TLS, %d resumed", o.Size, all, resumed)
		}
	}
	clients := a.Clients(authority.Resumed)
	o := Options{Target: addr, TLS: clients.Config(), Connections: 1}
	if got, err := Idle(t.Context(), o, func(context.Context) error { return nil }); err != nil || got.Errors.Total() != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	o.Opening, o.Loops, o.Duration, o.Count = 8, 2, time.Minute, 50
	got, err := Handshakes(t.Context(), o)
	if err != nil || got.Errors.Total() != 0 || got.Done < 50 {
		t.Errorf("%+v, %v", got, err)
	}
	if all, resumed := clients.Done(); resumed != all-1 || all < 51 {
		t.Errorf("%d of %d resumed", resumed, all)
	}
}

// What is wrong with TLS is counted, and said.
func TestSecureErrors(t *testing.T) {
	addr, _ := serveTLS(t)
	plain := serve(t)
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config := func() *tls.Config { return a.Clients(authority.Full).Config() }
	_, err = Relay(t.Context(), Options{Target: addr, TLS: config()})
	if err == nil || !strings.Contains(err.Error(), "not the certificate") {
		t.Errorf("another's certificate: %v", err)
	}
	got, err := Handshakes(t.Context(), Options{Target: addr, TLS: config(), Opening: 2, Duration: 100 * time.Millisecond})
	if err != nil || got.Errors.Handshake == 0 && got.Errors.Connect == 0 || got.Done != 0 {
		t.Errorf("another's certificate: %+v, %v", got, err)
	}
	// The echo takes the client's hello for a request that is still to come.
	_, err = Relay(t.Context(), Options{Target: plain, TLS: config(), Patience: 300 * time.Millisecond})
	if err == nil {
		t.Error("TLS with a server that does not speak it")
	}
	refused := httptest.NewUnstartedServer(http.NotFoundHandler())
	refused.Listener.Close()
	_, err = Relay(t.Context(), Options{Target: refused.Listener.Addr().String(), TLS: config()})
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}
