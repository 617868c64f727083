package fanout

import "github.com/pointsman/pointsman/internal/azure"

// Kind says which upstreams a call goes to, and what its answers mean.
type Kind uint8

// The kinds.
const (
	// Broadcast goes to every upstream. All have to do it; a 404 is a failure.
	Broadcast Kind = iota
	// Any goes to every upstream that might have the user or group. A 404 is a no.
	Any
	// Exists is a question to every upstream. The first yes is the answer; the others are not waited for.
	Exists
	// Connection is about one connection. It goes to the upstream that is known to hold it, else to every one; a 404 is a no. A yes
	// is no proof that it was the right one: services answer some calls so without the connection.
	Connection
	// Invocation goes to exactly one upstream, the one that holds the connection. If it is not known, all are asked for it first.
	Invocation
	// List is read from one upstream after the other, page by page.
	List
	// Local is answered by the router itself, elsewhere.
	Local
)

// Row is one call of a REST API.
type Row struct {
	Method string
	// Path is a pattern: a segment in braces stands for any one. The names are hub, group, user, connection, stream and permission.
	Path string
	Kind Kind
	// Message says that the body is a message to clients, of a content type that the service knows.
	Message bool
	// Again says that it makes no difference if an upstream does the call twice.
	Again bool
	// Knows says that a yes proves that the upstream holds the connection.
	Knows bool
	// Since is the first version of the API that has it.
	Since string
}

// Table returns the calls of a service. It is a copy.
func Table(s azure.Service) []Row {
	if s == azure.SignalR {
		return append(append([]Row(nil), signalR...), signalR1...)
	}
	return append([]Row(nil), webPubSub...)
}

const (
	health = "/api/health"
	hub    = "/api/hubs/{hub}"
	hub1   = "/api/v1/hubs/{hub}"

	theConnection = "/connections/{connection}"
	theGroup      = "/groups/{group}"
	theUser       = "/users/{user}"
)

// webPubSub are the calls of Web PubSub. Two drafts of 2023-07-01 that no SDK has used are left out.
var webPubSub = []Row{
	{Method: "HEAD", Path: health, Kind: Local, Since: "2021-10-01"},
	{Method: "GET", Path: health, Kind: Local, Since: "2021-10-01"},
	{Method: "POST", Path: hub + "/:generateToken", Kind: Local, Since: "2021-10-01"},

	{Method: "POST", Path: hub + "/:send", Kind: Broadcast, Message: true, Since: "2021-10-01"},
	// Closing again would close those that have come back in the meantime.
	{Method: "POST", Path: hub + "/:closeConnections", Kind: Broadcast, Since: "2021-10-01"},
	{Method: "POST", Path: hub + "/:addToGroups", Kind: Broadcast, Again: true, Since: "2024-01-01"},
	{Method: "POST", Path: hub + "/:removeFromGroups", Kind: Broadcast, Again: true, Since: "2024-01-01"},

	{Method: "HEAD", Path: hub + theConnection, Kind: Exists, Again: true, Knows: true, Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + theConnection, Kind: Connection, Again: true, Since: "2021-10-01"},
	{Method: "POST", Path: hub + theConnection + "/:send", Kind: Connection, Message: true, Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + theConnection + "/groups", Kind: Connection, Again: true, Since: "2022-11-01"},

	{Method: "HEAD", Path: hub + theGroup, Kind: Exists, Again: true, Since: "2021-10-01"},
	{Method: "POST", Path: hub + theGroup + "/:send", Kind: Broadcast, Message: true, Since: "2021-10-01"},
	{Method: "POST", Path: hub + theGroup + "/:closeConnections", Kind: Broadcast, Since: "2021-10-01"},
	{Method: "GET", Path: hub + theGroup + "/connections", Kind: List, Again: true, Since: "2024-12-01"},
	{Method: "PUT", Path: hub + theGroup + theConnection, Kind: Connection, Again: true, Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + theGroup + theConnection, Kind: Connection, Again: true, Since: "2021-10-01"},

	{Method: "HEAD", Path: hub + theUser, Kind: Exists, Again: true, Since: "2021-10-01"},
	{Method: "POST", Path: hub + theUser + "/:send", Kind: Broadcast, Message: true, Since: "2021-10-01"},
	{Method: "POST", Path: hub + theUser + "/:closeConnections", Kind: Broadcast, Since: "2021-10-01"},
	{Method: "PUT", Path: hub + theUser + theGroup, Kind: Any, Again: true, Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + theUser + theGroup, Kind: Any, Again: true, Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + theUser + "/groups", Kind: Any, Again: true, Since: "2021-10-01"},

	{Method: "PUT", Path: hub + "/permissions/{permission}" + theConnection, Kind: Connection, Again: true, Since: "2021-10-01"},
	{Method: "HEAD", Path: hub + "/permissions/{permission}" + theConnection, Kind: Exists, Again: true, Knows: true,
		Since: "2021-10-01"},
	{Method: "DELETE", Path: hub + "/permissions/{permission}" + theConnection, Kind: Connection, Again: true, Since: "2021-10-01"},
}

// signalR are the calls of SignalR Service with an api-version. GET /api/auth/accessKey is left out: it serves identities that this
// router does not have.
var signalR = []Row{
	{Method: "HEAD", Path: health, Kind: Local, Since: "2022-06-01"},
	{Method: "GET", Path: health, Kind: Local, Since: "2022-06-01"},
	{Method: "POST", Path: hub + "/:generateToken", Kind: Local, Since: "2022-11-01"},

	{Method: "POST", Path: hub + "/:send", Kind: Broadcast, Message: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + "/:closeConnections", Kind: Broadcast, Since: "2022-06-01"},
	{Method: "POST", Path: hub + "/:execute", Kind: Broadcast, Since: "2024-12-01"},

	{Method: "HEAD", Path: hub + theConnection, Kind: Exists, Again: true, Knows: true, Since: "2022-06-01"},
	{Method: "DELETE", Path: hub + theConnection, Kind: Connection, Again: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theConnection + "/:send", Kind: Connection, Message: true, Since: "2022-06-01"},
	{Method: "DELETE", Path: hub + theConnection + "/groups", Kind: Connection, Again: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theConnection + "/:invoke", Kind: Invocation, Message: true, Since: "2024-12-01"},
	{Method: "POST", Path: hub + theConnection + "/streams/{stream}/:send", Kind: Connection, Message: true, Since: "2024-12-01"},
	{Method: "POST", Path: hub + theConnection + "/streams/{stream}/:complete", Kind: Connection, Since: "2024-12-01"},

	{Method: "HEAD", Path: hub + theGroup, Kind: Exists, Again: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theGroup + "/:send", Kind: Broadcast, Message: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theGroup + "/:closeConnections", Kind: Broadcast, Since: "2022-06-01"},
	{Method: "GET", Path: hub + theGroup + "/connections", Kind: List, Again: true, Since: "2024-12-01"},
	{Method: "PUT", Path: hub + theGroup + theConnection, Kind: Connection, Again: true, Since: "2022-06-01"},
	{Method: "DELETE", Path: hub + theGroup + theConnection, Kind: Connection, Again: true, Since: "2022-06-01"},

	{Method: "HEAD", Path: hub + theUser, Kind: Exists, Again: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theUser + "/:send", Kind: Broadcast, Message: true, Since: "2022-06-01"},
	{Method: "POST", Path: hub + theUser + "/:closeConnections", Kind: Broadcast, Since: "2022-06-01"},
	{Method: "DELETE", Path: hub + theUser + "/groups", Kind: Any, Again: true, Since: "2022-06-01"},
	// Users may be in groups without being connected, so every instance has to know.
	{Method: "PUT", Path: hub + theUser + theGroup, Kind: Any, Again: true, Since: "2022-06-01"},
	{Method: "DELETE", Path: hub + theUser + theGroup, Kind: Any, Again: true, Since: "2022-06-01"},
	{Method: "HEAD", Path: hub + theUser + theGroup, Kind: Exists, Again: true, Since: "2022-06-01"},
}

// signalR1 are the calls of version 1.0, whose paths have the version in them.
var signalR1 = []Row{
	{Method: "HEAD", Path: "/api/v1/health", Kind: Local, Since: "1.0"},
	{Method: "GET", Path: "/api/v1/health", Kind: Local, Since: "1.0"},

	{Method: "POST", Path: hub1, Kind: Broadcast, Message: true, Since: "1.0"},
	{Method: "POST", Path: hub1 + theUser, Kind: Broadcast, Message: true, Since: "1.0"},
	{Method: "POST", Path: hub1 + theGroup, Kind: Broadcast, Message: true, Since: "1.0"},
	{Method: "POST", Path: hub1 + theConnection, Kind: Connection, Message: true, Since: "1.0"},

	{Method: "HEAD", Path: hub1 + theConnection, Kind: Exists, Again: true, Knows: true, Since: "1.0"},
	{Method: "GET", Path: hub1 + theConnection, Kind: Exists, Again: true, Knows: true, Since: "1.0"},
	{Method: "DELETE", Path: hub1 + theConnection, Kind: Connection, Again: true, Since: "1.0"},
	{Method: "HEAD", Path: hub1 + theGroup, Kind: Exists, Again: true, Since: "1.0"},
	{Method: "GET", Path: hub1 + theGroup, Kind: Exists, Again: true, Since: "1.0"},
	{Method: "HEAD", Path: hub1 + theUser, Kind: Exists, Again: true, Since: "1.0"},
	{Method: "GET", Path: hub1 + theUser, Kind: Exists, Again: true, Since: "1.0"},

	{Method: "PUT", Path: hub1 + theGroup + theConnection, Kind: Connection, Again: true, Since: "1.0"},
	{Method: "DELETE", Path: hub1 + theGroup + theConnection, Kind: Connection, Again: true, Since: "1.0"},
	{Method: "HEAD", Path: hub1 + theGroup + theUser, Kind: Exists, Again: true, Since: "1.0"},
	{Method: "GET", Path: hub1 + theGroup + theUser, Kind: Exists, Again: true, Since: "1.0"},
	{Method: "PUT", Path: hub1 + theGroup + theUser, Kind: Any, Again: true, Since: "1.0"},
	{Method: "DELETE", Path: hub1 + theGroup + theUser, Kind: Any, Again: true, Since: "1.0"},
	{Method: "DELETE", Path: hub1 + theUser + "/groups", Kind: Any, Again: true, Since: "1.0"},
}
