package fanout_test

import (
	"fmt"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy/fanout"
)

// What a request is decides whether it is fanned out at all.
func ExampleMatch() {
	for _, path := range []string{"/api/hubs/chat/groups/east%2F1/:send", "/api/hubs/chat/:generateToken", "/chat", "/api/hubs/1/:send"} {
		call, err := fanout.Match(azure.WebPubSub, "POST", path)
		switch {
		case err != nil:
			fmt.Println(fanout.Refuse(err).Status, err)
		case call.Kind == fanout.Local:
			fmt.Println("answered by the router")
		default:
			fmt.Println("to all upstreams:", call.Kind == fanout.Broadcast, "hub", call.Hub, "group", call.Group)
		}
	}
	// Output:
	// to all upstreams: true hub chat group east/1
	// answered by the router
	// 404 there is no such call
	// 400 invalid value of 'hub'
}
