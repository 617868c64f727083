package proxy

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMemoryMarks: what is configured, and what follows from the control group.
func TestMemoryMarks(t *testing.T) {
	const limit = 1000 << 20
	for name, row := range map[string]struct {
		limits    Limits
		group     int64
		high, low int64
	}{
		"nothing":                      {Limits{}, 0, 0, 0},
		"by the group":                 {Limits{}, limit, limit / 100 * 90, limit / 100 * 90 / 100 * 90},
		"by the group, with a low one": {Limits{MemoryLow: 5 << 20}, limit, limit / 100 * 90, 5 << 20},
		"switched off":                 {Limits{MemoryHigh: -1}, limit, 0, 0},
		"configured":                   {Limits{MemoryHigh: 200}, limit, 200, 180},
		"above the group":              {Limits{MemoryHigh: 2 * limit}, limit, 2 * limit, 2 * limit / 100 * 90},
		"both":                         {Limits{MemoryHigh: 200, MemoryLow: 50}, 0, 200, 50},
		"both the same":                {Limits{MemoryHigh: 200, MemoryLow: 200}, 0, 200, 200},
		"the low one above":            {Limits{MemoryHigh: 200, MemoryLow: 201}, 0, 200, 180},
		"a low one alone":              {Limits{MemoryLow: 50}, 0, 0, 0},
	} {
		if high, low := row.limits.marks(group{limit: row.group}); high != row.high || low != row.low {
			t.Errorf("%s: %d, %d; want %d, %d", name, high, low, row.high, row.low)
		}
	}
}

// TestMemoryRest: nobody is woken for nothing, who asks is heard at once, and a crowd
// that asks does not make it look all the time.
func TestMemoryRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := memory{bell: make(chan struct{}, 1)}
		began := time.Now()
		var looks []time.Duration
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				m.rests.Store(true)
				looks = append(looks, time.Since(began))
				if !m.rest(ctx) {
					return
				}
			}
		}()
		at := func(moment time.Duration) {
			time.Sleep(moment - time.Since(began))
			synctest.Wait()
		}
		at(memoryRest + time.Second)
		for range 3 {
			m.isShort() // it looks now
		}
		at(memoryRest + time.Second + memoryEvery/2)
		m.isShort() // and a little later
		at(3*time.Second + memoryRest)
		m.short.Store(true)
		m.stir()
		at(3*time.Second + memoryRest + 2*memoryEvery)
		m.short.Store(false)
		at(20 * time.Second)
		cancel()
		<-ended
		for range 2 { // with nobody to take the bell nobody waits either
			m.rests.Store(true)
			m.isShort()
		}
		const s, ms = time.Second, time.Millisecond
		want := []time.Duration{
			0, 2 * s, 3 * s, 3100 * ms, // rest; asked, and asked again
			5 * s, 5100 * ms, 5200 * ms, 5300 * ms, // short of it
			7300 * ms, 9300 * ms, 11300 * ms, 13300 * ms, 15300 * ms, 17300 * ms, 19300 * ms,
		}
		if diff := cmp.Diff(want, looks); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
	})
}

// TestMemoryJudgement: what is between the marks changes nothing.
func TestMemoryJudgement(t *testing.T) {
	var l log
	r := prepare(t, Options{Logger: l.at(slog.LevelInfo)}, member{address: "127.0.0.1:1"})
	for i, row := range []struct {
		used  int64
		short bool
	}{
		{0, false}, {80, false}, {89, false}, {99, false}, {100, true}, {99, true}, {101, true}, {90, true},
		{89, false}, {90, false}, {99, false}, {1000, true}, {0, false},
	} {
		if r.judgeMemory(r.memory.short.Load(), row.used, 100, 90); r.memory.short.Load() != row.short {
			t.Errorf("step %d, %d used: short %v", i, row.used, !row.short)
		}
	}
	got := l.String()
	if strings.Count(got, "level=WARN msg=\"short of memory: new sessions are refused\"") != 2 ||
		strings.Count(got, "level=INFO msg=\"memory again: new sessions are taken\"") != 2 || strings.Count(got, "\n") != 4 {
		t.Errorf("logged:\n%s", got)
	}
}
