package contest

import "fmt"

// FanoutUpstreams is how many upstreams a broadcast is for.
const FanoutUpstreams = 4

// The ways in which a broadcast gets to the upstreams, beside pointsman: what an application does that has one, and what it has to do by
// itself to reach all.
const (
	OneCall     = "1 direct call"
	CallsInTurn = "4 direct calls in turn"
	CallsAtOnce = "4 direct calls at once"
)

// reached counts what went wrong at one upstream: it should have got so many messages, each once and right.
func reached(messages, again, wrong, should int64) int64 {
	missed := should - messages
	return again + wrong + max(missed, -missed)
}

// fanoutSetting says what is done.
func fanoutSetting(callers, size int) string {
	who := fmt.Sprintf("%d callers", callers)
	if callers == 1 {
		who = "1 caller"
	}
	return fmt.Sprintf("%s, a message of %d bytes to each of %d upstreams", who, size, FanoutUpstreams)
}
