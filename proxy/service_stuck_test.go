package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/fanout"
)

// TestRESTStuckReaders is row 72 in small: clients that do not read hold up neither a
// broadcast nor other clients, and are cut when they have taken nothing for too long.
// No Close could reach them. What they cost is in TestStuckClients.
func TestRESTStuckReaders(t *testing.T) {
	balanced(t)
	others, stuck := 20, 5
	if raceEnabled {
		others, stuck = 6, 2
	}
	// Twice what the sockets on the way to a client that reads nothing can hold.
	const messages, size = 32, 256 << 10
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Primary))
	r.change(func(o *Options) { o.Relay.WriteTimeout, o.Relay.CloseWait = -1, soon })
	for range stuck {
		c := r.dial()
		if err := c.SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		c.say(strings.NewReplacer("/chat?room=1", strings.TrimPrefix(r.own("stuck"), "ws://"+r.address), "router.example:8080", r.address).Replace(
			add("Sec-WebSocket-Protocol: " + jsonProtocol)))
		c.upgraded()
	}
	guests := make([]*guest, others)
	for i := range guests {
		guests[i] = r.enter(r.own(fmt.Sprint("guest-", i)), jsonProtocol)
		guests[i].SetReadLimit(2 * size)
	}
	var group sync.WaitGroup
	for i, g := range guests {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for n := range messages {
				_, data, err := g.Read(ctx)
				if want := fmt.Sprintf(`"%03d `, n); err != nil || len(data) < size || !strings.Contains(string(data[:200]), want) {
					t.Errorf("guest %d, message %d: %.200q, %v", i, n, data, err)
					return
				}
			}
		})
	}
	for n := range messages {
		text := fmt.Sprintf("%03d ", n)
		a := r.call(ownKey, "POST", sendToAll, "text/plain", text+strings.Repeat("x", size-len(text)))
		if a.status != http.StatusAccepted || a.header.Get(fanout.PartialField) != "" {
			t.Fatalf("message %d: %+v", n, a)
		}
	}
	group.Wait()
	r.change(func(o *Options) { o.Relay.WriteTimeout = 2 * soon })
	for range stuck {
		// On a slow machine the instance may have given them up before.
		if e := r.ended(); e.cause != "client stalled" && !strings.HasPrefix(e.cause, "upstream") {
			t.Errorf("a stuck client ended with %+v", e)
		}
	}
	for _, g := range guests {
		g.says(`{"type":"ping"}`)
		if f := g.next(); f["type"] != "pong" {
			t.Errorf("got %v", f)
		}
		g.Close(websocket.StatusNormalClosure, "")
	}
}
