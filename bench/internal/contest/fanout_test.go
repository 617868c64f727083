package contest

import "testing"

func TestReached(t *testing.T) {
	f := func(name string, messages, again, wrong, should, want int64) {
		t.Helper()
		if got := reached(messages, again, wrong, should); got != want {
			t.Errorf("%s: %d errors, want %d", name, got, want)
		}
	}
	f("all", 100, 0, 0, 100, 0)
	f("one twice", 100, 1, 0, 100, 1)
	f("one missing", 99, 0, 0, 100, 1)
	f("one wrong", 99, 0, 1, 100, 2) // it is missing, too
	f("one for others", 1, 0, 0, 0, 1)
	f("one twice and one missing", 99, 1, 0, 100, 2)
}

func TestFanoutSetting(t *testing.T) {
	for callers, want := range map[int]string{
		1:  "1 caller, a message of 10000 bytes to each of 4 upstreams",
		16: "16 callers, a message of 10000 bytes to each of 4 upstreams",
	} {
		if got := fanoutSetting(callers, 10_000); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
