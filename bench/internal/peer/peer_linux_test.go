package peer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient runs the tests and gives the goroutines that are about to end the time for it. Those that stay are for goleak to
// report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	// Each look takes a while when it finds some.
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

func TestMissingPeer(t *testing.T) {
	_, err := Installed("no-such-proxy")
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), `Debian package "no-such-proxy"`) {
		t.Errorf("error %v, want ErrMissing and the package", err)
	}
	if _, err := StartTool("no-such-tool"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), `Debian package "no-such-tool"`) {
		t.Errorf("error %v, want ErrMissing and the package", err)
	}
	if _, err := Start(t.Context(), "no-such-proxy", Stand{Dir: t.TempDir()}); err == nil {
		t.Error("an unknown candidate was started")
	}
}

// The process at the root leaves politely; what it leaves behind in its group is killed.
func TestStopEndsTheGroup(t *testing.T) {
	p, said, err := announced(t.Context(), "shell", "/bin/sh", []string{"-c", "PATH=/bin:/usr/bin; sleep 1000 & echo child: $!; wait"}, nil, "child: ")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Alive(); err != nil {
		t.Errorf("Alive: %v", err)
	}
	if len(said) != 1 || said[0] == "" {
		t.Fatalf("announced %q", said)
	}
	p.Stop()
	p.Stop()
	if err := p.Alive(); err == nil {
		t.Error("alive after Stop")
	}
	// The signal has been sent, but dying takes a moment, and then init has to reap the child.
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		stat, err := os.ReadFile("/proc/" + said[0] + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a child of the stopped process still runs: %s", stat)
		}
	}
}

func TestTool(t *testing.T) {
	// Tests find no programs of others in the PATH.
	dir := t.TempDir()
	for name, does := range map[string]string{"lasting": "sleep 1000", "brief": "true"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nPATH=/bin:/usr/bin\n"+does+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	tool, err := StartTool("lasting")
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Stop()
	pid := tool.process.PID()
	if attr, err := unix.SchedGetAttr(pid, 0); err != nil || attr.Policy != unix.SCHED_IDLE {
		t.Errorf("scheduled as %+v, %v", attr, err)
	}
	// It is stopped and continued, again and again.
	seen := map[bool]int{}
	for deadline := time.Now().Add(time.Minute); seen[true] < 3 || seen[false] < 3; runtime.Gosched() {
		seen[stopped(t, pid)]++
		if time.Now().After(deadline) {
			t.Fatalf("stopped in %d looks, and not in %d", seen[true], seen[false])
		}
	}
	tool.Freeze()
	for deadline := time.Now().Add(time.Minute); !stopped(t, pid); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not stopped by Freeze")
		}
	}
	tool.Stop()
	if tool.process.Alive() == nil {
		t.Error("alive after Stop")
	}
	if p, err := StartTool("brief"); err == nil { // it may be gone before anybody can say anything to it
		p.Stop()
	} else {
		t.Error(err)
	}
}

// stopped reports whether a process is.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(stat), ") T ")
}

func TestStopOfAStoppedProcess(t *testing.T) {
	p, _, err := announced(t.Context(), "shell", "/bin/sh", []string{"-c", "PATH=/bin:/usr/bin; sleep 1000 & echo ready:; wait"}, nil, "ready:")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if err := p.Alive(); err == nil {
		t.Error("alive after Stop")
	}
}

// A process that ends by itself leaves none of its group: nobody could end them later, when the group's number may be somebody else's.
func TestEndLeavesNobody(t *testing.T) {
	var said bytes.Buffer
	p, err := launch("shell", "/bin/sh", []string{"-c", "PATH=/bin:/usr/bin; sleep 1000 & echo ready"}, nil, &said)
	if err != nil {
		t.Fatal(err)
	}
	if how := p.Exit(); how != "" || said.String() != "ready\n" { // its output would still be open
		t.Errorf("it has said %q and ended with %q", said.String(), how)
	}
	p.Stop()
}

func TestEarlyEnd(t *testing.T) {
	_, _, err := announced(t.Context(), "shell", "/bin/sh", []string{"-c", "echo broken pipe dream >&2; exit 3"}, nil, "ready: ")
	if err == nil || !strings.Contains(err.Error(), "broken pipe dream") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want the exit status and the last line", err)
	}
	p, err := launch("shell", "/bin/sh", []string{"-c", "exit 4"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.answers(t.Context(), "http://127.0.0.1:1/", nil); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("error %v, want the exit status", err)
	}
	c := Candidate{Name: "shell", Process: p}
	if err := c.Blame(errors.New("no figure")); !strings.Contains(err.Error(), "no figure") || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("blame %v, want the error and the exit status", err)
	}
	p.Stop()
}

func TestTail(t *testing.T) {
	var l tail
	if l.String() != "(none)" {
		t.Errorf("empty tail is %q", l.String())
	}
	for range 1000 {
		_, _ = l.Write([]byte("0123456789"))
	}
	_, _ = l.Write([]byte("end\n"))
	if s := l.String(); len(s) > tailSize || !strings.HasSuffix(s, "789end") {
		t.Errorf("tail has %d bytes and ends with %q", len(s), s[len(s)-10:])
	}
}

func TestConfigs(t *testing.T) {
	s := settings{Stand: Stand{Upstream: "127.0.0.1:2222", Dir: "/some/where"}, listen: "127.0.0.1:1111", files: 20_000}
	f := func(name, text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s has no %q:\n%s", name, w, text)
			}
		}
		if strings.Contains(text, "%!") {
			t.Errorf("%s is badly formatted:\n%s", name, text)
		}
	}
	f("nginx", nginxConfig(s), "listen 127.0.0.1:1111;", "server 127.0.0.1:2222;", "worker_processes 2;", "worker_connections 20000;", "pid /some/where/nginx.pid;")
	// Two descriptors per session must fit into the limit.
	f("haproxy", haproxyConfig(s), "bind 127.0.0.1:1111", "server echo 127.0.0.1:2222", "nbthread 2", "maxconn 9950")
	for name, text := range map[string]string{"nginx": nginxConfig(s), "haproxy": haproxyConfig(s), "pointsman": pointsmanConfig(s.Stand)} {
		if strings.Contains(text, "ssl") || strings.Contains(text, "tls") || strings.Contains(text, "https") {
			t.Errorf("%s speaks TLS though nobody asked for it:\n%s", name, text)
		}
	}

	s.TLS = TLS{Authority: &authority.Authority{CAFile: "/ca", CertFile: "/cert", KeyFile: "/key", BothFile: "/both"}, Clients: true}
	f("nginx", nginxConfig(s), "listen 127.0.0.1:1111 ssl;", "ssl_certificate /cert;", "ssl_certificate_key /key;", "ssl_ecdh_curve X25519;", "proxy_pass http://echo;")
	f("haproxy", haproxyConfig(s), "bind 127.0.0.1:1111 ssl crt /both ciphersuites TLS_AES_128_GCM_SHA256 curves X25519\n", "server echo 127.0.0.1:2222\n")
	f("pointsman", pointsmanConfig(s.Stand), `certificates: [{cert: "/cert", key: "/key"}]`, `"ws://127.0.0.1:2222"}`)
	s.TLS.Upstream = true
	f("nginx", nginxConfig(s), "proxy_pass https://echo;", "proxy_ssl_verify on;", "proxy_ssl_trusted_certificate /ca;", "proxy_ssl_name bench.test;")
	f("haproxy", haproxyConfig(s), "server echo 127.0.0.1:2222 ssl verify required ca-file /ca verifyhost bench.test sni str(bench.test)")
	f("pointsman", pointsmanConfig(s.Stand), `"wss://127.0.0.1:2222", tls: {ca: "/ca", server_name: "bench.test"}}`)

	f("haproxy", haproxyConfig(s), "timeout http-request 10s\n", "timeout client 60s\n")
	s.Deadline = 3 * time.Second
	f("nginx", nginxConfig(s), "client_header_timeout 3;", "client_body_timeout 3;", "send_timeout 3;")
	f("haproxy", haproxyConfig(s), "timeout http-request 3s\n", "timeout client 3s\n", "option http-buffer-request\n")
	f("pointsman", pointsmanConfig(s.Stand), "limits: {header_timeout: 3s}\n")
}
