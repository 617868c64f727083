package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/bench/internal/broadcast"
	"github.com/pointsman/pointsman/bench/internal/contest"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/report"
)

// instance finds the upstreams of a configuration file that are instances of a service.
var instance = regexp.MustCompile(`name: (\S+), connection_string: "Endpoint=http://(.*?);AccessKey=(.*?);`)

// faultName is the variable that makes the stand-in do something wrong.
const faultName = "BENCH_TEST_FAULT"

// standInFanout answers like "pointsman serve" with such a file: it sends what it gets to all upstreams, one after the other.
func standInFanout(upstreams [][][]byte) error {
	var status operator.Status
	for _, u := range upstreams {
		status.Upstreams = append(status.Upstreams, operator.Upstream{Name: string(u[1]), Healthy: true})
	}
	fault := os.Getenv(faultName)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		for i, u := range upstreams {
			switch {
			case fault == "twice" && i == 1:
				forward(r, string(u[2]), string(u[3]), body)
			case fault == "short" && i == 2:
				body = body[1:]
			case fault == "missing" && i == 3:
				continue
			}
			forward(r, string(u[2]), string(u[3]), body)
		}
		if fault == "partial" {
			w.Header().Set("X-Pointsman-Partial", "inbox-1")
		}
		w.WriteHeader(http.StatusAccepted)
	})
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("pointsman: listening on ws://%s\npointsman: admin on http://%s\n", ln.Addr(), admin.Addr())
	errs := make(chan error, 2) // the process ends with the first
	go func() { errs <- http.Serve(ln, handler) }()
	go func() {
		errs <- http.Serve(admin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(status) // who asks will see
		}))
	}()
	return <-errs
}

// forward sends a message on. What becomes of it the upstream knows.
func forward(r *http.Request, host, key string, body []byte) {
	token, err := broadcast.Sign(key, host, time.Now())
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+host+r.RequestURI, bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	req.Header.Set("Authorization", "Bearer "+token)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
}

// Only the plumbing is tested, and that nothing goes wrong unnoticed: the figures are those of the stand-in.
func TestFanout(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	for fault, want := range map[string]string{
		"": " 0 errors", "twice": "came again", "short": "a message of 999 bytes", "missing": "upstream 4 of 4 got 0 of", "partial": "leaves out inbox-1",
	} {
		t.Setenv(faultName, fault)
		file := filepath.Join(t.TempDir(), "result.json")
		out, err := run(t, "fanout", "--runs", "1", "--warmup", "20ms", "--duration", "500ms", "--callers", "2", "--size", "1000",
			"--peers", "", "--pointsman", self, "--json", file)
		if fault == "partial" { // of which nothing counts as a result
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q\n%s", fault, err, want, out)
			}
			continue
		}
		if good := fault == ""; good != (err == nil) || !good && !errors.Is(err, errClaim) || !strings.Contains(out, want) {
			t.Errorf("fault %q: %v, want %q\n%s", fault, err, want, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc report.Document
		if err := json.Unmarshal(b, &doc); err != nil || len(doc.Contests) != 1 {
			t.Fatalf("%v in %s", err, b)
		}
		for _, name := range []string{contest.OneCall, "pointsman", contest.CallsInTurn, contest.CallsAtOnce} {
			e, _ := doc.Contests[0].Entry(name)
			if wrong := fault != "" && name == "pointsman"; len(e.Samples) != 1 || e.Samples[0].PerSecond <= 0 || e.Samples[0].Calls == 0 || (e.Errors() > 0) != wrong {
				t.Errorf("fault %q: %s: %+v", fault, name, e)
			}
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
