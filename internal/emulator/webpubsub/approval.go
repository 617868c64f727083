package webpubsub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

const (
	// approvedFor is how long an app server that agreed is not asked again.
	approvedFor = time.Minute
	// approvalTimeout is how long an app server may take to agree.
	approvalTimeout = 10 * time.Second
	// longestApprovalPause is the longest pause after app servers that did not agree.
	longestApprovalPause = 60 * time.Second
	// knownHandlers is how many URLs are remembered: a template may make one of
	// each hub.
	knownHandlers = 256
)

var errNotApproved = errors.New("event handler has not agreed to get events (WebHook-Allowed-Origin)")

// approvals remembers which event handlers have agreed to get events, by the
// abuse protection of CloudEvents (HTTP 1.1 web hooks, section 4). All methods
// may be called concurrently.
type approvals struct {
	hook  *webhook.Hook
	known *lru.Cache[string, *approval]
}

// approval is what is known of one URL for one origin.
type approval struct {
	mu      sync.Mutex // held while the app server is asked, so that it is asked once
	until   time.Time  // it has agreed until then
	next    time.Time  // it is not asked again before
	refused int        // times in a row
}

func newApprovals(hook *webhook.Hook) (*approvals, error) {
	cache, err := lru.New[string, *approval](knownHandlers)
	return &approvals{hook, cache}, err
}

// check returns nil if the event handler may get events that come from origin,
// the host of the service. It asks it if need be.
func (a *approvals) check(ctx context.Context, target, origin string) error {
	key := origin + " " + target
	one := new(approval)
	if before, ok, _ := a.known.PeekOrAdd(key, one); ok {
		one = before
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	now := time.Now()
	if now.Before(one.until) {
		return nil
	}
	if now.Before(one.next) {
		return errNotApproved
	}
	if err := a.ask(ctx, target, origin); err != nil {
		if ctx.Err() != nil {
			return err // nothing was learned about the app server
		}
		pause := min(time.Second<<min(one.refused, 6), longestApprovalPause)
		one.refused++
		one.next = time.Now().Add(pause)
		return err
	}
	one.refused, one.until = 0, time.Now().Add(approvedFor)
	return nil
}

// ask sends the validation request: OPTIONS, and GET to those that do not know
// OPTIONS.
func (a *approvals) ask(ctx context.Context, target, origin string) error {
	ctx, cancel := context.WithTimeout(ctx, approvalTimeout)
	defer cancel()
	fields := map[string]string{"WebHook-Request-Origin": origin, "ce-awpsversion": "1.0"}
	for _, method := range []string{http.MethodOptions, http.MethodGet} {
		answer, err := a.hook.Do(ctx, method, target, fields, nil)
		switch {
		case err != nil:
			return fmt.Errorf("validate event handler: %w", err)
		case answer.Status == http.StatusNotFound && method == http.MethodOptions:
			continue
		case answer.Status < 200 || answer.Status > 299:
			return fmt.Errorf("validate event handler: it answered %d", answer.Status)
		case !allowsOrigin(answer.Header.Values("WebHook-Allowed-Origin"), origin):
			return errNotApproved
		}
		return nil
	}
	return errNotApproved
}

// allowsOrigin reports whether a list of hosts, which may come in several
// fields, has this one or is "*".
func allowsOrigin(fields []string, origin string) bool {
	for _, field := range fields {
		for host := range strings.SplitSeq(field, ",") {
			if host = strings.TrimSpace(host); host == "*" || strings.EqualFold(host, origin) {
				return true
			}
		}
	}
	return false
}
