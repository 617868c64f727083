package azure_test

import (
	"fmt"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

// A client's token for this router becomes one for the upstream that was chosen.
func Example() {
	key, err := azure.ParseKey("the key of this router, at least 32 bytes")
	if err != nil {
		fmt.Println(err)
		return
	}
	east, err := azure.ParseConnectionString("Endpoint=https://east.webpubsub.azure.com;AccessKey=the key of east, given by Azure;Version=1.0;")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := azure.NewVerifier(azure.VerifierOptions{
		Issuers: []azure.Issuer{{Name: "route", Keys: []azure.Key{key}}, east.Issuer("east")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// What the application's SDK does.
	here, _ := azure.ParseBase("https://pointsman.example")
	hub, _ := azure.ClientResource(azure.WebPubSub, "chat")
	claims := azure.NewClaims(hub.Audience(here), time.Now(), time.Hour)
	claims.SetUser(azure.WebPubSub, "alice")
	fromClient, _ := azure.Mint(key, claims)

	// What the router does.
	token, err := verifier.Verify(fromClient, here, hub)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := token.Mint(east.Key, hub.Audience(east.Endpoint)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Issuer(), token.Claims().User(azure.WebPubSub), "goes to", hub.WebSocketURL(east.ClientBase()))
	fmt.Println(east.Key)
	// Output:
	// route alice goes to wss://east.webpubsub.azure.com/client/hubs/chat
	// ***
}
