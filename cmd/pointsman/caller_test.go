package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

func TestSplitAdmin(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ address, network, target string }{
		{"127.0.0.1:9090", "tcp", "127.0.0.1:9090"},
		{"[::1]:9090", "tcp", "[::1]:9090"},
		{":9090", "tcp", ":9090"},
		{"router.example:9090", "tcp", "router.example:9090"},
		{"http://127.0.0.1:9090", "tcp", "127.0.0.1:9090"},
		{"http://127.0.0.1:9090/", "tcp", "127.0.0.1:9090"},
		{"unix:/run/pointsman.sock", "unix", "/run/pointsman.sock"},
		{"unix:here", "unix", "here"},
		{"", "", ""}, {"off", "", ""}, {"unix:", "", ""}, {"localhost", "", ""}, {"localhost:", "", ""}, {"::1", "", ""},
		{"https://127.0.0.1:9090", "", ""}, {"http://127.0.0.1:9090/status", "", ""}, {"user@host:9090", "", ""},
	} {
		network, target, err := splitAdmin(row.address)
		if network != row.network || target != row.target || (err == nil) != (row.network != "") {
			t.Errorf("%q: got %q, %q, %v", row.address, network, target, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "want host:port such as 127.0.0.1:9090, or unix:/path") || !strings.Contains(err.Error(), row.address)) {
			t.Errorf("%q: %v", row.address, err)
		}
	}
}

// TestWhereToCall: the flag wins over the environment, and that over the default.
func TestWhereToCall(t *testing.T) {
	r := startVerbRig(t, func(s *verbSetup) { s.socket = true })
	t.Setenv(envAdmin, r.admin)
	for _, args := range [][]string{{"status"}, {"upstreams"}, {"healthcheck"}, {"healthcheck", "--ready"}, {"disable", "west"}, {"enable", "west"}} {
		var out, err lockedBuffer
		if code := run(t.Context(), args, &out, &err); code != exitOK {
			t.Errorf("%v by environment: %d, %s", args, code, err.String())
		}
	}
	var out, err lockedBuffer
	if code := run(t.Context(), []string{"status", "--admin", "127.0.0.1:1"}, &out, &err); code != exitFailed ||
		!strings.Contains(err.String(), "ask 127.0.0.1:1: ") || !strings.Contains(err.String(), "; is the router running, and is this its admin address?") {
		t.Errorf("by flag: %d, %s", code, err.String())
	}
	t.Setenv(envAdmin, "nowhere")
	if code := run(t.Context(), []string{"healthcheck"}, &out, &err); code != exitFailed ||
		!strings.Contains(err.String(), `POINTSMAN_ADMIN: address "nowhere": want host:port`) {
		t.Errorf("by a bad environment: %d, %s", code, err.String())
	}
}

// TestNobodyAnswers: what is no door gives one sentence and exit code 1.
func TestNobodyAnswers(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer elsewhere.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{")) }))
	defer broken.Close()
	crowded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer crowded.Close()
	for _, row := range []struct{ admin, says string }{
		{crowded.URL, " has too many callers at this moment\n"},
		{silent.Addr().String(), ": no answer within 1s\n"},
		{other.URL, " answered 404 Not Found, which is not how a router answers: is this an admin address?\n"},
		{elsewhere.URL, " answered 302 Found, which is not how"},
		{broken.URL, " to GET /status: unexpected end of JSON input\n"},
		{"unix:" + filepath.Join(t.TempDir(), "none"), "no such file or directory; is the router running"},
	} {
		within := verbPatience.String()
		if row.admin == silent.Addr().String() {
			within = "1s"
		}
		code, stdout, stderr := tryLive(t, "status", "--admin", row.admin, "--timeout", within)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, row.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d, %q, %q", row.admin, code, stdout, stderr)
		}
	}
}

// tryLive is try with a context that has not ended.
func tryLive(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err lockedBuffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

const verbSecret = "correct-horse-battery-staple"

// TestFollow: who follows something bears it for a while that nobody answers.
func TestFollow(t *testing.T) {
	t.Parallel()
	looks := 0
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch looks++; {
		case looks == 1:
			w.WriteHeader(503)
		case looks == 2:
			panic(http.ErrAbortHandler) // cuts the connection
		case q.URL.Path == "/drains/1":
			_, _ = w.Write([]byte(`{"id":"1","cause":"operator","order":"random","then":"leave","state":"done"}`))
		default:
			w.WriteHeader(404)
			_, _ = w.Write([]byte(`{"error":"gone"}`))
		}
	}))
	defer door.Close()
	network, target, err := splitAdmin(door.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}}
	c := &caller{address: target, timeout: verbPatience, client: &http.Client{Transport: transport}}
	defer c.close()
	var d drain.Status
	if _, err := c.follow(t.Context(), "/drains/1", &d); err != nil || d.State != drain.Done || looks != 3 {
		t.Errorf("%v, %+v after %d looks", err, d, looks)
	}
	if _, err := c.follow(t.Context(), "/drains/2", &d); err == nil || err.Error() != "gone" || looks != 4 {
		t.Errorf("a refusal is borne: %v after %d looks", err, looks)
	}
}

// TestToken: it is found where it is said to be, is sent only where something is
// changed, and is not told.
func TestToken(t *testing.T) {
	r := startVerbRig(t, func(s *verbSetup) { s.door.Token = verbSecret })
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, wrong := write("good", " "+verbSecret+"\n"), write("wrong", "something-else-entirely")
	empty, spaced := write("empty", "\n"), write("spaced", verbSecret+" "+verbSecret)
	absent := filepath.Join(t.TempDir(), "absent")
	for _, row := range []struct {
		name, flag, env, envFile string
		code                     int
		says                     string
	}{
		{"none", "", "", "", exitFailed, "the token is missing or wrong; expected \"Authorization: Bearer TOKEN\" with the token of admin.token; give it with --token-file or POINTSMAN_ADMIN_TOKEN\n"},
		{"file", good, "", "", exitOK, ""},
		{"environment", "", verbSecret, "", exitOK, ""},
		{"file of the environment", "", "", good, exitOK, ""},
		{"the flag wins", good, "something-else-entirely", wrong, exitOK, ""},
		{"the token wins over the file", "", verbSecret, wrong, exitOK, ""},
		{"wrong", wrong, "", "", exitFailed, "the token is missing or wrong"},
		{"wrong environment", "", "something-else-entirely", "", exitFailed, "the token is missing or wrong"},
		{"empty", empty, "", "", exitFailed, "there is no token in it"},
		{"two", spaced, "", "", exitFailed, "the token holds a space"},
		{"line end in the environment", "", verbSecret + "\r\nX: y", "", exitFailed, "POINTSMAN_ADMIN_TOKEN: the token holds a space"},
		{"absent", absent, "", "", exitFailed, "no such file"},
		{"absent by environment", "", "", absent, exitFailed, "no such file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv(envToken, row.env)
			t.Setenv(envTokenFile, row.envFile)
			args := []string{"disable", "west", "--admin", r.admin}
			if row.flag != "" {
				args = append(args, "--token-file", row.flag)
			}
			code, stdout, stderr := tryLive(t, args...)
			if code != row.code || !strings.Contains(stderr, row.says) {
				t.Errorf("exit code %d, %q, want %d and %q", code, stderr, row.code, row.says)
			}
			if strings.Contains(stdout+stderr, verbSecret) || strings.Contains(stderr, "something-else") {
				t.Errorf("the token is told: %q, %q", stdout, stderr)
			}
			if code, _, stderr := tryLive(t, append([]string{"status"}, args[2:]...)...); code != exitOK {
				t.Errorf("status needs a token: %s", stderr)
			}
		})
	}
	if strings.Contains(r.log.String(), verbSecret) {
		t.Errorf("the token is in the log of the router:\n%s", r.log)
	}
}

// TestTokenIsForOrders: looking does not send it over the network.
func TestTokenIsForOrders(t *testing.T) {
	seen := make(chan string, 10)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		seen <- q.Method + " " + q.Host + " " + q.Header.Get("Authorization") + " " + q.Header.Get("Content-Type")
		_, _ = w.Write([]byte("{}"))
	}))
	defer door.Close()
	t.Setenv(envToken, verbSecret)
	for _, row := range []struct {
		want string
		args []string
	}{
		{"GET localhost  ", []string{"status"}},
		{"GET localhost  ", []string{"drains"}},
		{"GET localhost  ", []string{"healthcheck"}},
		{"POST localhost Bearer " + verbSecret + " ", []string{"enable", "east"}},
		{"POST localhost Bearer " + verbSecret + " application/json", []string{"drain", "east"}},
	} {
		code, _, stderr := tryLive(t, append(row.args, "--admin", door.URL)...)
		if got := <-seen; got != row.want || code != exitOK {
			t.Errorf("%v: %d, %s, the door saw %q", row.args, code, stderr, got)
		}
	}
}

// TestExposedDoor: the verbs of a router whose door is open to others, without a
// token, say what to do.
func TestExposedDoor(t *testing.T) {
	t.Parallel()
	r := startVerbRig(t)
	door, err := admin.New(admin.Options{Proxy: r.proxy})
	if err != nil {
		t.Fatal(err)
	}
	at, _ := r.serve("tcp4", "0.0.0.0:0", door.Run)
	_, r.admin, err = splitAdmin(at.String())
	if err != nil {
		t.Fatal(err)
	}
	r.want(exitOK, "east", "upstreams")
	r.want(exitFailed, "set admin.token or bind the admin address to loopback or a unix socket", "disable", "east")
}
