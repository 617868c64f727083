package negotiate_test

import (
	"fmt"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// Two routers that share a key find the server of a connection without talking to each other.
func ExampleAffinity() {
	key, err := azure.ParseKey("a key that both routers have")
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := negotiate.NewAffinity(negotiate.AffinityOptions{Keys: []azure.Key{key}})
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := negotiate.NewAffinity(negotiate.AffinityOptions{Keys: []azure.Key{key}})
	if err != nil {
		fmt.Println(err)
		return
	}

	answer, err := first.Adapt(negotiate.UpstreamAnswer{
		Status: 200, ContentType: "application/json",
		Body: []byte(`{"negotiateVersion":1,"connectionId":"a","connectionToken":"b"}`),
	}, "east")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer.Body))

	// The client comes back with it, and meets the other router.
	bare, upstream, found := second.Find("b.pm5fgvfblyAZQ7iOuQ", []string{"west", "east"})
	fmt.Println(bare, upstream, found)
	// Output:
	// {"negotiateVersion":1,"connectionId":"a","connectionToken":"b.pm5fgvfblyAZQ7iOuQ"}
	// b east true
}
