package crew

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(2)
		work := func() { time.Sleep(time.Minute) }
		for range 2 {
			if !c.Go(work) {
				t.Fatal("there was room for two")
			}
		}
		if c.Go(work) {
			t.Error("a third one began")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !c.Go(work) || c.Closed() {
			t.Error("there was room again")
		}
		began := time.Now()
		c.Dismiss()
		c.Dismiss()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("dismissed after %v, want a minute", took)
		}
		if c.Go(work) || !c.Closed() {
			t.Error("one began after the end")
		}
	})
}
