package admin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// leeway is how late a deadline may be on a busy machine.
const leeway = 20 * time.Second

// TestSlowVisitors: each phase of a visit has its deadline.
func TestSlowVisitors(t *testing.T) {
	t.Parallel()
	r := start(t)
	var group sync.WaitGroup
	for name, text := range map[string]string{
		"says nothing":           "",
		"never ends its request": "GET /status HTTP/1.1\r\nHost: a\r\n",
		"never sends its body":   "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"stays after its answer": "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		_, in := r.raw(text)
		group.Go(func() {
			began := time.Now()
			if _, err := io.Copy(io.Discard, in); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: not cut: %v", name, err)
			}
			if took := time.Since(began); took > timeout+leeway {
				t.Errorf("%s: cut after %v", name, took)
			}
		})
	}
	never, _ := r.raw("")
	group.Go(func() {
		began := time.Now()
		// Answers that nobody reads fill the sockets, then the door stops reading.
		requests := []byte(strings.Repeat("GET /status HTTP/1.1\r\nHost: a\r\n\r\n", 1000))
		var err error
		for err == nil {
			_, err = never.Write(requests)
		}
		if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
			t.Error("never reads: not cut")
		}
		if took := time.Since(began); took > 2*timeout+leeway {
			t.Errorf("never reads: cut after %v", took)
		}
	})
	group.Wait()
}

// TestRudeVisitors: what is no good request is refused, and bodies are bounded.
func TestRudeVisitors(t *testing.T) {
	t.Parallel()
	r := start(t)
	for text, want := range map[string]int{
		"\x16\x03\x01\x02\x00\r\n\r\n": 400,
		"GET\r\n\r\n":                  400,
		"POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n":           413,
		"GET /status HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<16) + "\r\n\r\n": 431,
	} {
		_, in := r.raw(text)
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%.40q: %v", text, err)
			continue
		}
		a.Body.Close()
		if a.StatusCode != want {
			t.Errorf("%.40q: got %s, want %d", text, a.Status, want)
		}
	}
}

// TestCrowdedDoor is fault 29: as many visitors as fit stand in the door and do
// nothing. Sessions do not notice, one more visitor is sent away at once, and
// after the deadline the door is free again.
func TestCrowdedDoor(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	c := r.join()
	r.echo(c)
	var stuck sync.WaitGroup
	began := time.Now()
	for range visitors {
		_, in := r.raw("GET /sta")
		stuck.Go(func() { _, _ = io.Copy(io.Discard, in) })
	}
	turnedAway := func() bool {
		conn, in := r.raw("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		defer conn.Close()
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			return errors.Is(err, syscall.ECONNRESET)
		}
		a.Body.Close()
		return a.StatusCode == http.StatusServiceUnavailable
	}
	until(t, "the door to be crowded", turnedAway)
	quickest := patience
	for i := range 200 {
		if i%20 == 0 {
			fresh := r.join()
			r.echo(fresh)
			_ = fresh.CloseNow()
		}
		before := time.Now()
		r.echo(c)
		quickest = min(quickest, time.Since(before))
	}
	// A busy machine delays some echoes, the crowd would delay them all.
	if quickest > 100*time.Millisecond {
		t.Errorf("the quickest echo took %v beside a crowded door", quickest)
	}
	if crowded := turnedAway(); !crowded && time.Since(began) < timeout {
		t.Error("the door was not crowded all the time")
	}
	stuck.Wait()
	if took := time.Since(began); took > timeout+leeway {
		t.Errorf("the last visitor was cut after %v", took)
	}
	// A visitor sees its end a little before its place is free.
	until(t, "the door to be free", func() bool { return r.status("/healthz") == 200 })
}

// TestDoorCloses: Run does not wait for visitors longer than their deadline.
func TestDoorCloses(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.raw("GET /sta")
	if got := r.status("/healthz"); got != 200 {
		t.Fatal(got)
	}
	began := time.Now()
	r.stopDoor()
	if took := time.Since(began); took > timeout+leeway {
		t.Errorf("Run returned after %v", took)
	}
}

// TestSlowBody is the second part of row 84: a body that keeps coming, slowly,
// is cut at the deadline, and nothing has changed.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, in := r.raw("POST " + disabling + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n{")
	began := time.Now()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		drip := time.NewTicker(50 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-drip.C:
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	a, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if took := time.Since(began); a.StatusCode != 408 || took < timeout/2 || took > timeout+leeway {
		t.Errorf("got %s after %v", a.Status, took)
	}
	if _, disabled := r.upstreams[0].Disabled(); disabled {
		t.Error("half an order was obeyed")
	}
}

// TestIdleCrowd is the last part of row 84, with as many as a test may have
// descriptors for: those who do not fit are sent away at once, so an idle crowd
// of any size holds no more than the door has room for.
func TestIdleCrowd(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	c := r.join()
	const crowd = 500
	began := time.Now()
	said := make(chan string, crowd)
	for range crowd {
		_, in := r.raw("")
		go func() {
			text, _ := io.ReadAll(in)
			said <- string(text)
		}()
	}
	inTime := time.Since(began) < timeout // before the first were cut
	turnedAway := 0
	for i := range crowd {
		if strings.Contains(<-said, " 503 ") {
			turnedAway++
		}
		if i%50 == 0 {
			r.echo(c)
		}
	}
	if turnedAway == 0 || inTime && turnedAway < crowd-visitors {
		t.Errorf("%d of %d were sent away", turnedAway, crowd)
	}
	until(t, "the door to be free", func() bool { return r.status("/healthz") == 200 })
}
