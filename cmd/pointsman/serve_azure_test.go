package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

const (
	instanceKey = "the key of the instance, which nobody else knows"
	routerKey   = "the key of the router which its applications know"
	nextKey     = "the key that comes after the key of the router"
	sendPath    = "/api/hubs/chat/:send"
)

// instance stands for one of Web PubSub: it is healthy, and takes messages whose
// tokens are signed with its key.
type instance struct {
	*httptest.Server
	mu  sync.Mutex
	key azure.Key
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	i := &instance{key: azureKey(t, instanceKey)}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/health" {
			return
		}
		i.mu.Lock()
		key := i.key
		i.mu.Unlock()
		base, err := azure.ParseBase(i.URL)
		if err != nil {
			t.Error(err)
		}
		verifier, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "it", Keys: []azure.Key{key}}}})
		if err != nil {
			t.Error(err)
			return
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := verifier.Verify(token, base, azure.RESTResource(azure.WebPubSub, r.URL.Path)); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(i.Close)
	return i
}

// connectionString is that of the instance, with its present key.
func (i *instance) connectionString() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return "Endpoint=" + i.URL + ";AccessKey=" + i.key.Reveal() + ";Version=1.0;"
}

func (i *instance) rotate(key azure.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = key
}

func azureKey(t *testing.T, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// send sends a message to all, as an application with this key does.
func (s *served) send(key string) (status int) {
	s.t.Helper()
	at := "http://" + s.address()
	token, err := azure.Mint(azureKey(s.t, key), azure.NewClaims(at+sendPath, time.Now(), time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, at+sendPath+"?api-version=2024-01-01", strings.NewReader(`"hello"`))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestServeFromTheAzureEnvironment: the variables that an application has are
// enough, and no secret is shown.
func TestServeFromTheAzureEnvironment(t *testing.T) {
	t.Parallel()
	east := newInstance(t)
	s := newServed(t)
	s.env = []string{
		"Azure__WebPubSub__ConnectionString__East=" + east.connectionString(),
		"POINTSMAN_ACCESS_KEYS=" + routerKey, "POINTSMAN_LISTEN=127.0.0.1:0", "POINTSMAN_ADMIN=127.0.0.1:0",
		"POINTSMAN_LOG_LEVEL=debug", "POINTSMAN_HEALTH_TIMEOUT=10s", "POINTSMAN_HEALTH_INTERVAL=10s",
	}
	s.start("serve")
	s.awaitHealthy()
	status := s.status()
	if len(status.Upstreams) != 1 || status.Upstreams[0].Name != "east" {
		t.Errorf("upstreams %+v", status.Upstreams)
	}
	for key, want := range map[string]int{routerKey: http.StatusAccepted, instanceKey: http.StatusUnauthorized, "another key": http.StatusUnauthorized} {
		if got := s.send(key); got != want {
			t.Errorf("a message by an application with %s: %d, want %d", key, got, want)
		}
	}
	s.stop()
	if log := s.log.String(); strings.Contains(log, routerKey) || strings.Contains(log, instanceKey) {
		t.Errorf("the log shows a key:\n%s", log)
	}
}

// TestReloadRotatesKeys: of the router, in the order that the guide says, and of
// an instance.
func TestReloadRotatesKeys(t *testing.T) {
	t.Parallel()
	east := newInstance(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	connection, first, second := filepath.Join(dir, "connection"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	file := func(keys ...string) string {
		return "listen: \"127.0.0.1:0\"\nreload: {watch: false}\nupstreams: [{name: east, connection_string_file: \"" + connection + "\"}]\n" +
			"routes: [{protocol: webpubsub, access_key_files: [\"" + strings.Join(keys, `", "`) + "\"]}]\n"
	}
	write("connection", east.connectionString())
	write("first", routerKey)
	write("second", nextKey)
	s := serveFile(t, file(first))
	s.awaitHealthy()
	step := func(what string, old, next int) {
		t.Helper()
		if refusal := s.reload(); refusal != "" {
			t.Fatal(refusal)
		}
		if a, b := s.send(routerKey), s.send(nextKey); a != old || b != next {
			t.Errorf("%s: the old key gets %d and the new one %d, want %d and %d", what, a, b, old, next)
		}
	}
	const yes, no = http.StatusAccepted, http.StatusUnauthorized
	step("before", yes, no)
	s.write(file(first, second))
	step("the new key is second", yes, yes)
	s.write(file(second, first))
	step("the new key is first", yes, yes)
	s.write(file(second))
	step("the old key is gone", no, yes)
	east.rotate(azureKey(t, "the other key of the instance, which is as secret"))
	if got := s.send(nextKey); got == yes {
		t.Error("the instance takes a key that it does not have any more")
	}
	write("connection", east.connectionString())
	step("the instance has another key", no, yes)
	if u := s.status().Upstreams[0]; !u.Healthy {
		t.Errorf("the upstream is not what it was: %+v", u)
	}
}
