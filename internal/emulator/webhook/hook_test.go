package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTemplates(t *testing.T) {
	h, err := New("http://app.example/{hub}/{event}?code=x&e={event}", nil, "hub", "event")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.URL(Names{"hub": "a/b", "event": "{hub} ?"}), "http://app.example/a%2Fb/%7Bhub%7D%20%3F?code=x&e=%7Bhub%7D%20%3F"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"/hook", "app.example", "ftp://app.example", "http://", "http://{hub}.example/", "http://{hub}@app.example/", "http://app.example/{user}", "http://app.example/}", "http://a\x7f/"} {
		if _, err := New(bad, nil, "hub", "event"); err == nil {
			t.Errorf("%s: no error", bad)
		} else if strings.Contains(err.Error(), bad) {
			t.Errorf("%s is in the error", bad)
		}
	}
	none, err := New("", nil, "hub")
	if err != nil || none.Set() {
		t.Errorf("no URL: %v", err)
	}
	if _, err := none.Do(t.Context(), "POST", "http://x/", nil, nil); !errors.Is(err, ErrNone) {
		t.Errorf("no app server: %v", err)
	}
	none.Close()
}

func TestDo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, MaxAnswer+1))
		case "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/abort":
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("X-Method", r.Method)
			w.WriteHeader(418)
			_, _ = w.Write([]byte(r.Header.Get("X-Set") + string(body)))
			if _, ok := r.Header["X-Empty"]; ok {
				t.Error("a field without a value was sent")
			}
		}
	}))
	defer server.Close()
	h, err := New(server.URL+"/secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, err := h.Do(t.Context(), "PUT", server.URL+"/", map[string]string{"X-Set": "1", "X-Empty": ""}, []byte("body"))
	if err != nil || a.Status != 418 || string(a.Body) != "1body" || a.Header.Get("X-Method") != "PUT" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := h.Do(t.Context(), "GET", server.URL+"/redirect", nil, nil); err != nil || a.Status != 302 {
		t.Errorf("redirect: %+v, %v", a, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for path, ctx := range map[string]context.Context{"/large": t.Context(), "/abort": t.Context(), "/": ended, "/%zz": t.Context()} {
		if _, err := h.Do(ctx, "GET", server.URL+path, nil, nil); err == nil || strings.Contains(err.Error(), server.URL) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSign(t *testing.T) {
	var keys []azure.Key
	for _, text := range []string{"one", "two"} {
		k, err := azure.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	// Computed with: printf c1 | openssl dgst -sha256 -hmac one
	const want = "sha256=82ee7a700af483eb878e904a2dd2ba0b6c047cc744270edc7d4bddf5b066997d,sha256=7463aca459abac995b3f7902e85e09b99fc833f39b7d8c11b72b5a728aa3c6eb"
	if got := Sign(keys, "c1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
