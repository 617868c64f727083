package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/admin"
)

// served is "pointsman serve" in a process of its own.
type served struct {
	t      *testing.T
	file   string // the configuration, empty with flags
	quick  string // a part of it
	env    []string
	cmd    *exec.Cmd
	exited chan struct{}
	log    lockedBuffer // its standard error
	url    string       // where it listens
	admin  string       // for --admin
	client *http.Client // for its door
}

// quick are keys that make a test wait less, with more keys of the section health.
func quick(health []string) string {
	keys := append([]string{"interval: 10s, recheck: 20ms, timeout: 10s, jitter: 0, rise: 1"}, health...)
	return "health: {" + strings.Join(keys, ", ") + "}\nfailback: {hold: 0s}\nadmin: \"127.0.0.1:0\"\n"
}

// serveFile serves a configuration, to which quick is added.
func serveFile(t *testing.T, text string, health ...string) *served {
	t.Helper()
	s := newServed(t)
	s.quick = quick(health)
	s.file = filepath.Join(t.TempDir(), "pointsman.yaml")
	s.write(text)
	s.start("serve", "--config", s.file)
	return s
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, exited: make(chan struct{}), client: &http.Client{Transport: new(http.Transport), Timeout: verbPatience}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// write puts a configuration into the file.
func (s *served) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(s.quick+text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the command until the test ends.
func (s *served) start(args ...string) {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(exe, args...)
	s.cmd.Env = append(append(withoutSettings(os.Environ()), s.env...), actAs+"="+actAsPointsman)
	s.cmd.Stderr = &s.log
	dieWithParent(s.cmd)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(s.exited)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if at, ok := strings.CutPrefix(lines.Text(), serveListeningLine); ok && s.url == "" {
				s.url = at
			}
			if at, ok := strings.CutPrefix(lines.Text(), serveAdminLine); ok {
				s.admin = at
				close(ready)
			}
		}
		_ = s.cmd.Wait() // how it ended is told by what it has logged
	}()
	s.t.Cleanup(s.stop)
	select {
	case <-ready:
	case <-s.exited:
		s.t.Fatalf("%q ended: %s", args, s.log.String())
	}
}

// stop ends the process, in good order where that can be asked for.
func (s *served) stop() {
	ask := s.cmd.Process.Kill
	if runtime.GOOS != "windows" {
		ask = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	}
	_ = ask() // it may have ended
	select {
	case <-s.exited:
	case <-time.After(verbPatience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.t.Error("the router did not end")
	}
	if s.t.Failed() {
		s.t.Logf("the router's log:\n%s", s.log.String())
	}
}

// status asks the door.
func (s *served) status() admin.Status {
	s.t.Helper()
	resp, err := s.client.Get(s.admin + "/status")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var status admin.Status
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		s.t.Fatal(err)
	}
	return status
}

// awaitStatus waits until the door tells what is wanted.
func (s *served) awaitStatus(what string, met func(*admin.Status) bool) admin.Status {
	s.t.Helper()
	var last admin.Status
	s.await(what, func() bool {
		last = s.status()
		return met(&last)
	})
	return last
}

// awaitHealthy waits until all upstreams are.
func (s *served) awaitHealthy() {
	s.t.Helper()
	s.awaitStatus("the upstreams to be healthy", func(a *admin.Status) bool {
		for _, u := range a.Upstreams {
			if !u.Healthy {
				return false
			}
		}
		return true
	})
}

// await waits for a condition that nobody announces.
func (s *served) await(what string, met func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for bound := time.Now().Add(verbPatience); !met(); <-tick.C {
		if time.Now().After(bound) {
			s.t.Fatalf("waited in vain for %s\nstatus: %+v", what, s.status())
		}
	}
}

// reload takes on the file as it is now, and returns the answer if it is refused.
func (s *served) reload() (refusal string) {
	s.t.Helper()
	code, _, stderr := tryLive(s.t, "reload", "--admin", s.admin, "--timeout", verbPatience.String())
	if code == exitOK {
		return ""
	}
	return stderr
}

// address is where it listens, without the scheme.
func (s *served) address() string {
	_, address, _ := strings.Cut(s.url, "://")
	return address
}

// dial opens a session with these settings of TLS, which ends with the test.
func (s *served) dial(config *tls.Config) (*websocket.Conn, error) {
	return dialTo(s.t, s.url, config)
}

func dialTo(t *testing.T, url string, config *tls.Config) (*websocket.Conn, error) {
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	c, _, err := websocket.Dial(t.Context(), url+"/chat", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c, nil
}

// open is dial for a session that must be opened.
func (s *served) open(config *tls.Config) *websocket.Conn {
	s.t.Helper()
	c, err := s.dial(config)
	if err != nil {
		s.t.Fatalf("session: %v", err)
	}
	return c
}

// echo sends a message of this size through a session and wants it back.
func echo(c *websocket.Conn, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), verbPatience)
	defer cancel()
	c.SetReadLimit(-1)
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	if err := c.Write(ctx, websocket.MessageBinary, sent); err != nil {
		return err
	}
	_, got, err := c.Read(ctx)
	if err == nil && string(got) != string(sent) {
		err = fmt.Errorf("%d bytes came back otherwise", size)
	}
	return err
}

// echoServer is an upstream of the test's own.
type echoServer struct {
	*httptest.Server
	mu       sync.Mutex
	sessions map[*websocket.Conn]struct{}
}

// newEchoServer serves with these settings of TLS, nil for none.
func newEchoServer(t *testing.T, config *tls.Config) *echoServer {
	t.Helper()
	e := &echoServer{sessions: make(map[*websocket.Conn]struct{})}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.Config.ErrorLog = quietLog
	if config == nil {
		e.Start()
	} else {
		e.TLS = config
		e.StartTLS()
	}
	t.Cleanup(func() {
		e.mu.Lock()
		for c := range e.sessions {
			_ = c.CloseNow()
		}
		e.mu.Unlock()
		e.Close()
	})
	return e
}

func (e *echoServer) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/health" {
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	c.SetReadLimit(-1)
	e.mu.Lock()
	e.sessions[c] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.sessions, c)
		e.mu.Unlock()
		_ = c.CloseNow()
	}()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// url is where its WebSockets are.
func (e *echoServer) url() string { return "ws" + strings.TrimPrefix(e.URL, "http") }

// leafOf does a handshake with a listener and returns the number of the
// certificate that it shows.
func leafOf(address string, config *tls.Config) (string, error) {
	d := net.Dialer{Timeout: verbPatience}
	conn, err := tls.DialWithDialer(&d, "tcp", address, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// refused reports whether the other side of a handshake, or of what follows it,
// has said no: TLS 1.3 tells a client only after it has finished.
func refused(address string, config *tls.Config) error {
	d := net.Dialer{Timeout: verbPatience}
	conn, err := tls.DialWithDialer(&d, "tcp", address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(verbPatience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
