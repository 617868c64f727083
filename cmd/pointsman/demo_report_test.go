package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// checkGolden compares got with a file in testdata; -update writes it anew.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// passedTally is a whole demo with two clients, in virtual time.
func passedTally() *demoTally {
	t := newDemoTally(2, demoFailback{hold: 3 * time.Second, rate: 10})
	t.begin(phaseConnect)
	for client := range 2 {
		t.handshake(demoPrimary, nil)
		t.echo(client, demoPrimary, time.Millisecond)
	}
	t.compare(t.openSessions(), map[string]int{demoPrimary: 2})
	time.Sleep(700 * time.Millisecond)

	t.begin(phaseSteady)
	t.handshake(demoPrimary, nil)
	t.echo(visitor, demoPrimary, time.Millisecond)
	t.ended(demoPrimary)
	time.Sleep(4 * time.Second)
	t.compare(t.openSessions(), map[string]int{demoPrimary: 2, demoSecondary: 0})

	t.begin(phaseFailover)
	t.killed()
	for client := range 2 {
		t.echo(client, demoPrimary, time.Millisecond) // was on its way
		time.Sleep(30 * time.Millisecond)
		t.cut(newDemoCut(io.EOF, time.Now(), client == 0))
		t.ended(demoPrimary)
		t.handshake(demoSecondary, nil)
		time.Sleep(2500 * time.Microsecond)
		t.echo(client, demoSecondary, time.Millisecond)
	}
	time.Sleep(4 * time.Second)
	t.compare(t.openSessions(), map[string]int{demoSecondary: 3})

	t.begin(phaseFailback)
	t.revived()
	time.Sleep(5 * time.Second)

	t.begin(phaseHome)
	t.handshake(demoPrimary, nil)
	t.echo(visitor, demoPrimary, time.Millisecond)
	t.ended(demoPrimary)
	time.Sleep(300 * time.Millisecond)

	t.begin(phaseDrain)
	t.toMove(2)
	for client := range 2 {
		t.cut(newDemoCut(websocket.CloseError{Code: 1012, Reason: demoMoveReason}, time.Now(), false))
		t.ended(demoSecondary)
		time.Sleep(50 * time.Millisecond)
		t.handshake(demoPrimary, nil)
		t.landed(client, demoPrimary)
		t.echo(client, demoPrimary, 2500*time.Microsecond)
		time.Sleep(100 * time.Millisecond)
	}
	t.compare(t.openSessions(), map[string]int{demoPrimary: 2})
	return t
}

func TestReportOfASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := passedTally().report(nil)
		var table, asJSON bytes.Buffer
		if err := r.writeTable(&table); err != nil {
			t.Fatal(err)
		}
		if err := r.writeJSON(&asJSON); err != nil {
			t.Fatal(err)
		}
		checkGolden(t, "demo_passed.txt", table.String())
		checkGolden(t, "demo_passed.json", asJSON.String())
		var back demoReport
		if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("JSON does not round-trip (-want +got):\n%s", diff)
		}
	})
}

func TestReportOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally := newDemoTally(1, newDemoFailback(1))
		tally.begin(phaseConnect)
		tally.handshake("", errors.New("expected status 101 but got 503"))
		tally.handshake("unnamed", nil) // a router that hides who answered
		tally.mismatch(`sent "a", got "b"`)
		tally.stall(`no echo of "c"`)
		for range maxDemoErrors {
			tally.handshake("", errors.New("connection refused"))
		}
		time.Sleep(time.Second)
		r := tally.report(errors.New("not finished within 1m0s"))
		var table bytes.Buffer
		if err := r.writeTable(&table); err != nil {
			t.Fatal(err)
		}
		checkGolden(t, "demo_failed.txt", table.String())
	})
}

func TestServedMeansAnEchoFromALivingUpstream(t *testing.T) {
	tally := newDemoTally(1, newDemoFailback(1))
	tally.begin(phaseConnect)
	if everybodyServed(tally) {
		t.Fatal("served before the first echo")
	}
	tally.echo(visitor, demoPrimary, time.Millisecond)
	if everybodyServed(tally) {
		t.Fatal("a visitor's echo counts for a client")
	}
	tally.echo(0, demoPrimary, time.Millisecond)
	if !everybodyServed(tally) {
		t.Fatal("not served after an echo")
	}
	tally.killed()
	tally.echo(0, demoPrimary, time.Millisecond)
	if everybodyServed(tally) {
		t.Fatal("served by an upstream that was killed")
	}
	tally.echo(0, demoSecondary, time.Millisecond)
	if !everybodyServed(tally) || tally.allServedAt.IsZero() {
		t.Fatal("not served by the secondary")
	}
	tally.revived()
	tally.echo(0, demoSecondary, time.Millisecond)
	if everybodyServed(tally) || tally.everybodyHome() {
		t.Fatal("served by the upstream that clients are to leave")
	}
	tally.handshake(demoSecondary, nil)
	tally.echo(0, demoPrimary, time.Millisecond)
	if !everybodyServed(tally) || tally.everybodyHome() {
		t.Fatal("not served by the primary, or home with a session on the secondary")
	}
	tally.ended(demoSecondary)
	if !tally.everybodyHome() {
		t.Fatal("not home")
	}
}

func TestSameSessions(t *testing.T) {
	for _, tt := range []struct {
		a, b map[string]int
		want bool
	}{
		{nil, nil, true},
		{map[string]int{"a": 0}, nil, true},
		{map[string]int{"a": 1, "b": 0}, map[string]int{"a": 1}, true},
		{map[string]int{"a": 1}, map[string]int{"a": 2}, false},
		{map[string]int{"a": 1}, map[string]int{"b": 1}, false},
	} {
		if got := sameSessions(tt.a, tt.b); got != tt.want {
			t.Errorf("sameSessions(%v, %v) = %v", tt.a, tt.b, got)
		}
	}
}
