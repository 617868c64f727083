package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/config"
)

// Where a verb that talks to a running router finds it, unless flags say so.
// The variables are those that "pointsman serve" takes for the same things.
const (
	defaultAdmin = "127.0.0.1:9090"
	envAdmin     = "POINTSMAN_ADMIN"
	envToken     = "POINTSMAN_ADMIN_TOKEN"
	envTokenFile = "POINTSMAN_ADMIN_TOKEN_FILE"
)

// answerLimit is the most that is read of an answer of the door, in bytes.
const answerLimit = 16 << 20

// callFlags are the flags of the verbs that talk to a running router.
type callFlags struct {
	admin     string
	tokenFile string
	timeout   time.Duration
	asJSON    bool
}

// addAddress adds the flags that say where the router is.
func (f *callFlags) addAddress(cmd *cobra.Command, timeout time.Duration) {
	flags := cmd.Flags()
	flags.StringVar(&f.admin, "admin", defaultAdmin, "admin `address` of the router, host:port or unix:/path (or "+envAdmin+")")
	flags.DurationVar(&f.timeout, "timeout", timeout, "how long to wait for an answer")
}

// add adds all of them.
func (f *callFlags) add(cmd *cobra.Command) {
	f.addAddress(cmd, 5*time.Second)
	flags := cmd.Flags()
	flags.StringVar(&f.tokenFile, "token-file", "",
		"`file` with the token of the router (or "+envToken+"); a flag for the token itself would show in ps")
	flags.BoolVar(&f.asJSON, "json", false, "print what the router answers, as JSON")
}

// caller returns somebody who can call at the address that flags and environment
// name. Close it.
func (f *callFlags) caller(cmd *cobra.Command) (*caller, error) {
	if f.timeout <= 0 {
		return nil, usageErrorf("--timeout %v: want more than zero", f.timeout)
	}
	address := f.admin
	env := os.Getenv(envAdmin)
	byEnv := env != "" && !cmd.Flags().Changed("admin")
	if byEnv {
		address = env
	}
	network, target, err := splitAdmin(address)
	switch {
	case err != nil && byEnv:
		return nil, fmt.Errorf("%s: %w", envAdmin, err)
	case err != nil:
		return nil, usageError{fmt.Errorf("--admin: %w", err)}
	}
	dialer := new(net.Dialer)
	return &caller{
		address:   address,
		tokenFile: f.tokenFile,
		timeout:   f.timeout,
		client: &http.Client{
			Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, target)
			}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// splitAdmin returns what net.Dial needs. An address without a host, or with
// that of every interface, is one of this machine.
func splitAdmin(address string) (network, target string, err error) {
	const want = "want host:port such as " + defaultAdmin + ", or unix:/path/to.sock"
	if address == config.AdminOff {
		return "", "", fmt.Errorf("address %q is none: such a router cannot be asked; %s", address, want)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q has no path; %s", address, want)
		}
		return "unix", path, nil
	}
	target = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	if _, port, err := net.SplitHostPort(target); err != nil || port == "" || strings.ContainsAny(target, "/@?#") {
		return "", "", fmt.Errorf("address %q: %s", address, want)
	}
	return "tcp", target, nil
}

// caller talks to the operator's door of a running router. It is for one
// goroutine.
type caller struct {
	address   string // for display
	tokenFile string
	timeout   time.Duration
	client    *http.Client
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// get asks the door and decodes its answer into v, unless v is nil. It returns
// the answer as it came.
func (c *caller) get(ctx context.Context, path string, v any) ([]byte, error) {
	return c.call(ctx, http.MethodGet, path, nil, v)
}

// post gives an order, which may be nil, and does with the answer what get does.
func (c *caller) post(ctx context.Context, path string, order, v any) ([]byte, error) {
	return c.call(ctx, http.MethodPost, path, order, v)
}

func (c *caller) call(ctx context.Context, method, path string, order, v any) ([]byte, error) {
	var body io.Reader
	if order != nil {
		text, err := json.Marshal(order)
		if err != nil {
			return nil, fmt.Errorf("order %s: %w", path, err)
		}
		body = bytes.NewReader(text)
	}
	status, answer, err := c.exchange(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if status/100 != 2 {
		return nil, c.refusal(status, answer)
	}
	if v == nil {
		return answer, nil
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return nil, fmt.Errorf("answer of %s to %s %s: %w", c.address, method, path, err)
	}
	return answer, nil
}

// exchange makes one request. The Host that it sends is localhost, whatever the
// address: the door takes orders under few names, against browsers that were
// led astray, and we are none.
func (c *caller) exchange(parent context.Context, method, path string, body io.Reader) (status int, answer []byte, err error) {
	ctx, done := context.WithTimeoutCause(parent, c.timeout, fmt.Errorf("no answer within %v", c.timeout))
	defer done()
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost {
		token, err := c.token()
		if err != nil {
			return 0, nil, err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}
	a, err := c.client.Do(request)
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	defer a.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(a.Body, answerLimit))
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	return a.StatusCode, answer, nil
}

// noAnswer is the error of a call that nobody answered.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }

// unreachable says why there was no answer.
func (c *caller) unreachable(ctx context.Context, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		err = errInterrupted
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &op) && op.Op == "dial":
		return noAnswer{fmt.Errorf("ask %s: %w; is the router running, and is this its admin address?", c.address, op.Err)}
	case errors.As(err, &op):
		err = op
	}
	return noAnswer{fmt.Errorf("ask %s: %w", c.address, err)}
}

const (
	// bearable is how long a verb that follows something bears it that nobody
	// answers.
	bearable = 10 * time.Second
	askAgain = 100 * time.Millisecond
)

// follow is get for those who ask again and again: it bears a router that does
// not answer for a while.
func (c *caller) follow(ctx context.Context, path string, v any) (answer []byte, err error) {
	for bound := time.Now().Add(bearable); ; {
		answer, err = c.get(ctx, path, v)
		if err == nil || !errors.As(err, new(noAnswer)) || time.Now().After(bound) || !sleepContext(ctx, askAgain) {
			return answer, err
		}
	}
}

// refusal is what the door says when it refuses.
func (c *caller) refusal(status int, answer []byte) error {
	var no admin.Refusal
	if status == http.StatusServiceUnavailable {
		return noAnswer{fmt.Errorf("%s has too many callers at this moment", c.address)}
	}
	if err := json.Unmarshal(answer, &no); err != nil || no.Error == "" {
		return fmt.Errorf("%s answered %d %s, which is not how a router answers: is this an admin address?",
			c.address, status, http.StatusText(status))
	}
	err := errors.New(printable(no.Error))
	switch status {
	case http.StatusBadRequest:
		return usageError{err}
	case http.StatusUnauthorized:
		return fmt.Errorf("%w; give it with --token-file or %s", err, envToken)
	default:
		return err
	}
}

// token finds the token, "" if there is none. No error quotes it.
func (c *caller) token() (string, error) {
	from, file := "--token-file "+c.tokenFile, c.tokenFile
	if file == "" {
		if token := os.Getenv(envToken); token != "" {
			return checkToken(envToken, token)
		}
		if file = os.Getenv(envTokenFile); file == "" {
			return "", nil
		}
		from = envTokenFile + " " + file
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return checkToken(from, strings.TrimSpace(string(text)))
}

func checkToken(from, token string) (string, error) {
	if token == "" {
		return "", fmt.Errorf("%s: there is no token in it", from)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%s: the token holds a space or a character that is not printable ASCII", from)
	}
	return token, nil
}
