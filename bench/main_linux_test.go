package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/contest"
	"github.com/pointsman/pointsman/bench/internal/echo"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/report"
)

// TestMain lets the test binary be the programs that a measurement starts: the echo, the inbox, and a stand-in for pointsman.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "echo", "inbox", "flood":
			main()
			return
		case "serve":
			if err := standIn(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// certificate finds what a configuration file says about TLS with clients.
var certificate = regexp.MustCompile(`cert: "(.*)", key: "(.*?)"`)

// standIn answers like "pointsman serve" and echoes by itself, with TLS if its configuration file has a certificate.
func standIn() error {
	var secure *tls.Config
	scheme := "ws"
	if i := slices.Index(os.Args, "--config"); i > 0 {
		text, err := os.ReadFile(os.Args[i+1])
		if err != nil {
			return err
		}
		if upstreams := instance.FindAllSubmatch(text, -1); upstreams != nil {
			return standInFanout(upstreams)
		}
		if found := certificate.FindSubmatch(text); found != nil {
			scheme = "wss"
			if secure, err = authority.Server(string(found[1]), string(found[2])); err != nil {
				return err
			}
		}
	}
	s, err := echo.Listen("127.0.0.1:0", 1, "", secure)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("pointsman: listening on %s://%s\npointsman: admin on http://%s\n", scheme, s.Addr(), admin.Addr())
	errs := make(chan error, 2) // the process ends with the first
	go func() { errs <- s.Run(context.Background()) }()
	go func() {
		errs <- http.Serve(admin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				http.NotFound(w, r)
			}
		}))
	}()
	return <-errs
}

func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := root()
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), err
}

// Only the plumbing is tested: the figures are those of the stand-in.
func TestMeasurements(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	for _, verb := range []string{"relay", "bulk", "handshakes"} {
		measure := func(duration time.Duration) report.Document {
			file := filepath.Join(t.TempDir(), "result.json")
			out, err := run(t, verb, "--runs", "2", "--warmup", "50ms", "--duration", duration.String(), "--peers", "", "--pointsman", self, "--json", file)
			if err != nil {
				t.Fatalf("%s: %v\n%s", verb, err, out)
			}
			if !strings.Contains(out, "not judged") {
				t.Errorf("%s: a claim was judged without the peers:\n%s", verb, out)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var doc report.Document
			if err := json.Unmarshal(b, &doc); err != nil {
				t.Fatal(err)
			}
			if len(doc.Contests) != 1 || doc.Contests[0].Experiment != verb {
				t.Fatalf("%s: document %s", verb, b)
			}
			return doc
		}
		doc := measure(500 * time.Millisecond)
		e, _ := doc.Contests[0].Entry("pointsman")
		if e.Errors() == 0 && len(e.Samples) == 2 && (e.Samples[1].PerSecond <= 0 || e.Samples[1].CPU <= 0) {
			// On a busy machine that may be too short for a figure, and a tick of the clock.
			doc = measure(5 * time.Second)
			e, _ = doc.Contests[0].Entry("pointsman")
		}
		if len(e.Samples) != 2 || e.Errors() != 0 || e.Samples[1].PerSecond <= 0 || e.Samples[1].CPU <= 0 {
			t.Errorf("%s: %+v", verb, e)
		}
		if d, ok := doc.Contests[0].Entry("direct"); !ok || len(d.Samples) != 1 {
			t.Errorf("%s: direct %+v", verb, d)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// With TLS, too.
func TestSecureMeasurements(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "result.json")
	args := []string{"tls", "--quick", "--sessions", "20", "--peers", "", "--pointsman", self, "--json", file}
	out, err := run(t, args...)
	if err != nil && strings.Contains(err.Error(), "nothing succeeded") {
		// On a busy machine the short interval of a smoke run may see no handshake end.
		out, err = run(t, append(args, "--duration", "10s")...)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc report.Document
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"tls idle": {"pointsman"}, "tls both idle": {"pointsman"}, "tls relay": {"direct", "pointsman"},
		"tls handshakes": {"direct", "pointsman", contest.HybridName}, "tls resumed handshakes": {"direct", "pointsman"},
	}
	for _, o := range doc.Contests {
		for _, name := range want[o.Experiment] {
			if e, ok := o.Entry(name); !ok || len(e.Samples) != 1 || e.Errors() != 0 {
				t.Errorf("%s: %s: %+v", o.Experiment, name, e)
			}
		}
		if !strings.Contains(o.Setting, "TLS 1.3, TLS_AES_128_GCM_SHA256, X25519") {
			t.Errorf("%s: the setting is not told: %q", o.Experiment, o.Setting)
		}
		delete(want, o.Experiment)
	}
	if len(want) > 0 || len(doc.Verdicts) != 5 || !strings.Contains(out, "load's CPU") {
		t.Errorf("not measured: %v; %d verdicts\n%s", want, len(doc.Verdicts), out)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The exit code depends on the verdict, which an echo of a few hundred bytes per session can win or lose.
func TestVerdictDecides(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"idle", "--quick", "--connections", "50", "--settle", "10ms", "--peers", "", "--pointsman", self}
	out, err := run(t, append(args, "--no-verdict")...)
	if err != nil || !strings.Contains(out, "bytes of resident memory per session") {
		t.Errorf("with --no-verdict: %v\n%s", err, out)
	}
	out, err = run(t, args...)
	if failed := strings.Contains(out, "FAILS"); failed != errors.Is(err, errClaim) {
		t.Errorf("error %v after:\n%s", err, out)
	}
}

func TestMistakes(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bench %s: error %v, want %q", strings.Join(args, " "), err, want)
		}
	}
	f("nothing to measure", "relay", "--peers", "", "--pointsman", "none")
	f(`peer "apache"`, "all", "--peers", "apache")
	f("find pointsman", "relay", "--peers", "", "--pointsman", "/no/such/file")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f("want some of idle", "tls", "--parts", "rest", "--peers", "", "--pointsman", self)
	t.Setenv("PATH", t.TempDir())
	if _, err := peer.FindTool(peer.SlowHTTPTest); err != nil { // it is in no place but the path
		f(`install the Debian package "slowhttptest"`, "slow", "--peers", "", "--pointsman", self)
	}
	f("read certificate", "echo", "--cert", "/no/such/file")
	f("mode", "load", "127.0.0.1:1", "--mode", "shower")
	f("target", "load", "example.org:80")
	f("listen on", "echo", "--listen", "localhost:80")
	f("want a key", "inbox")
	f("unknown command", "speed")
}
