package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

const (
	// Timeout is how long an app server may take over one request.
	Timeout = 30 * time.Second
	// MaxAnswer is the largest body that is taken from an app server, in bytes.
	MaxAnswer = 1 << 20

	maxConnections = 64
)

// ErrNone means that there is no app server.
var ErrNone = errors.New("no app server")

// Names are what may stand in braces in a template, and what is put there.
type Names map[string]string

// A Hook sends requests to an app server. The zero value and nil have none. All
// methods may be called concurrently.
type Hook struct {
	template string
	client   *http.Client
}

// An Answer is what an app server answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// New returns a hook for a URL in which names may stand in braces, in its path
// and its query. "" makes a hook without an app server. Requests go through
// transport; with nil the hook dials. The error says what is wrong with the URL
// and does not quote it.
func New(template string, transport http.RoundTripper, names ...string) (*Hook, error) {
	if template == "" {
		return &Hook{}, nil
	}
	filled := func(with string) string {
		values := Names{}
		for _, name := range names {
			values[name] = with
		}
		return fill(template, values)
	}
	u, err := url.Parse(filled("a"))
	switch v, err2 := url.Parse(filled("b")); {
	case err != nil || err2 != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("not an absolute http or https URL")
	case u.Scheme != v.Scheme || u.Host != v.Host || u.User.String() != v.User.String():
		return nil, fmt.Errorf("{%s} may stand in the path and the query only", strings.Join(names, "} and {"))
	case strings.ContainsAny(filled(""), "{}"):
		return nil, fmt.Errorf("braces may hold only {%s}", strings.Join(names, "}, {"))
	}
	if transport == nil {
		transport = &http.Transport{MaxConnsPerHost: maxConnections, MaxIdleConnsPerHost: maxConnections, IdleConnTimeout: time.Minute}
	}
	return &Hook{template, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Set reports whether there is an app server.
func (h *Hook) Set() bool { return h != nil && h.template != "" }

// URL returns the URL with values in the place of their names.
func (h *Hook) URL(values Names) string { return fill(h.template, values) }

func fill(template string, values Names) string {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", url.PathEscape(value))
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// Do sends a request and reads the whole answer, whatever its status. Fields
// without a value are left out. It takes [Timeout] at most. The error is
// [ErrNone], that of ctx, or says what went wrong.
func (h *Hook) Do(ctx context.Context, method, target string, fields map[string]string, body []byte) (*Answer, error) {
	if !h.Set() {
		return nil, ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make request: the URL is malformed")
	}
	for name, value := range fields {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	response, err := h.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask app server: %w", cause(err))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer of app server: %w", err)
	}
	if len(answer) > MaxAnswer {
		return nil, fmt.Errorf("answer of app server is larger than %d bytes", MaxAnswer)
	}
	return &Answer{response.StatusCode, response.Header, answer}, nil
}

// Close lets idle connections go.
func (h *Hook) Close() {
	if h.Set() {
		h.client.CloseIdleConnections()
	}
}

// cause takes the URL out of an error of net/http.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Sign returns how both services prove to an app server who they are: the
// HMAC-SHA256 of the connection id with each access key, as
// "sha256=<hex>,sha256=<hex>".
func Sign(keys []azure.Key, connectionID string) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, []byte(key.Reveal()))
		mac.Write([]byte(connectionID)) // never fails
		signatures[i] = "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, ",")
}
