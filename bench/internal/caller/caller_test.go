package caller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pointsman/pointsman/bench/internal/inbox"
)

const key = "the key of all inboxes"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open runs inboxes for the length of the test.
func open(t *testing.T, n int) (boxes []*inbox.Inbox, targets []Target) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	for range n {
		b, err := inbox.Listen("127.0.0.1:0", key, 1000)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- b.Run(ctx) }()
		boxes, targets = append(boxes, b), append(targets, Target{b.Addr(), key})
	}
	t.Cleanup(func() {
		cancel()
		for range n {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return boxes, targets
}

func options(targets ...Target) Options {
	return Options{Targets: targets, Callers: 3, Size: 1000, Series: 10, Warmup: 10 * time.Millisecond, Duration: 200 * time.Millisecond, Patience: time.Minute}
}

// Whatever the way, each target gets each message once.
func TestRun(t *testing.T) {
	boxes, targets := open(t, 4)
	got := make([]int64, len(boxes))
	f := func(name string, series uint32, atOnce bool, targets ...Target) {
		t.Helper()
		o := options(targets...)
		o.AtOnce, o.Series = atOnce, series
		var calls []string
		o.Begin = func() error { calls = append(calls, "begin"); return nil }
		o.End = func() error { calls = append(calls, "end"); return nil }
		res, err := Run(t.Context(), o)
		if err != nil || res.Errors.Total() > 0 || res.First != "" {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		if res.Done == 0 || res.Done > res.Sent || res.PerSecond <= 0 || res.Seconds < 0.2 || res.Latency.P50 <= 0 {
			t.Errorf("%s: %+v", name, res)
		}
		if !slices.Equal(calls, []string{"begin", "end"}) {
			t.Errorf("%s: %v", name, calls)
		}
		for i, b := range boxes {
			if i < len(targets) {
				got[i] += res.Sent
			}
			if c := b.Counts(); c.Messages != got[i] || c.Again+c.Wrong > 0 {
				t.Errorf("%s: inbox %d has %+v, want %d messages", name, i, c, got[i])
			}
		}
	}
	f("one", 0, false, targets[0])
	f("in turn", 10, false, targets...)
	f("at once", 20, true, targets...)
}

// What goes wrong at the other side is an error and no result.
func TestErrors(t *testing.T) {
	f := func(name, first string, answer http.HandlerFunc, count func(Errors) int64) {
		t.Helper()
		s := httptest.NewServer(answer)
		defer s.Close()
		res, err := Run(t.Context(), options(Target{strings.TrimPrefix(s.URL, "http://"), key}))
		if err != nil || res.Done > 0 || count(res.Errors) == 0 || count(res.Errors) != res.Errors.Total() || !strings.Contains(res.First, first) {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	f("refused", "answers 503: not now", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not now", http.StatusServiceUnavailable) },
		func(e Errors) int64 { return e.Status })
	f("another yes", "answers 200", func(http.ResponseWriter, *http.Request) {}, func(e Errors) int64 { return e.Status })
	f("partial", "leaves out west", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(partialField, "west")
		w.WriteHeader(http.StatusAccepted)
	}, func(e Errors) int64 { return e.Partial })
	f("broken", "answer of 127.0.0.1", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(e Errors) int64 { return e.Broken })
}

// A message that is sent again shows at the inbox, and nowhere else.
func TestAgain(t *testing.T) {
	boxes, targets := open(t, 1)
	for range 2 {
		if res, err := Run(t.Context(), options(targets...)); err != nil || res.Errors.Total() > 0 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	if c := boxes[0].Counts(); c.Again == 0 || c.Wrong > 0 {
		t.Errorf("%+v", c)
	}
}

func TestEnds(t *testing.T) {
	hang := make(chan struct{})
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		<-hang
	}))
	defer s.Close()
	defer close(hang)
	o := options(Target{strings.TrimPrefix(s.URL, "http://"), key})

	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Begin = func() error { cancel(why); return nil }
	if _, err := Run(ctx, o); !errors.Is(err, why) {
		t.Errorf("called off: %v", err)
	}
	o.Begin, o.Patience = nil, time.Millisecond
	if res, err := Run(t.Context(), o); err != nil || res.Errors.Broken != 3 || res.Done != 0 {
		t.Errorf("no answer: %+v, %v", res, err)
	}
	o.Begin = func() error { return why }
	if _, err := Run(t.Context(), o); !errors.Is(err, why) {
		t.Errorf("Begin: %v", err)
	}
	if calls.Load() == 0 {
		t.Error("nobody was called")
	}
}

func TestMistakes(t *testing.T) {
	good := options(Target{"127.0.0.1:1", key})
	for name, change := range map[string]func(*Options){
		"no targets":  func(o *Options) { o.Targets = nil },
		"no callers":  func(o *Options) { o.Callers = 0 },
		"no size":     func(o *Options) { o.Size = 0 },
		"no duration": func(o *Options) { o.Duration = 0 },
		"no patience": func(o *Options) { o.Patience = 0 },
		"nobody":      func(*Options) {},
	} {
		o := good
		change(&o)
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
