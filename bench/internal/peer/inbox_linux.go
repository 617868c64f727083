package peer

import (
	"context"
	"fmt"
	"os"
)

// InboxPrefix is what the inbox command prints before its address.
const InboxPrefix = "inbox: listening on "

// InboxKeyName is the variable of the environment that has the key of an inbox: arguments are for all to see.
const InboxKeyName = "BENCH_INBOX_KEY"

// StartInbox runs this program's own inbox command on a free port, for messages of size bytes with tokens that are signed with key, and
// returns it with its address. It gets one processor: several of them share the machine with whoever calls them.
func StartInbox(ctx context.Context, name, key string, size int) (*Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find own program: %w", err)
	}
	p, at, err := announced(ctx, "inbox "+name, self, []string{"inbox", "--size", fmt.Sprint(size)},
		[]string{"GOMAXPROCS=1", InboxKeyName + "=" + key}, InboxPrefix)
	if err != nil {
		return nil, "", err
	}
	return p, at[0], nil
}
