//go:build linux && !portable

package proxy

import (
	"context"
	"testing"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestFilesPerLoop: what is kept for a loop is what it holds. Its pipe it opens when
// it first needs it.
func TestFilesPerLoop(t *testing.T) {
	const loops, ofPipe = 7, 2
	balanced(t)
	before := descriptors(t)
	r, err := relay.New(relay.Options{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	if got := descriptors(t) - before; got != loops*(filesPerLoop-ofPipe) {
		t.Errorf("%d loops hold %d descriptors, want %d for each, but for its pipe", loops, got, filesPerLoop)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := r.Run(ended); err != nil {
		t.Error(err)
	}
}
