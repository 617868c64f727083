package relay

// Parting is what a client gets to read before a Close frame of ours, in the words
// of its protocol: a text message of its own, left out where a message of the
// upstream has begun and not ended. Before the Close frame of an upstream comes
// nothing.
type Parting uint8

// The partings.
const (
	// NoParting is none.
	NoParting Parting = iota
	// SignalRParting is the Close message of SignalR's hub protocol that lets a
	// client connect again, as JSON. A client that speaks MessagePack does not
	// understand it; to it the connection has failed, and it connects again as well.
	SignalRParting
)

// text is the message, "" for none.
func (p Parting) text() string {
	if p == SignalRParting {
		return `{"type":7,"allowReconnect":true}` + "\x1e"
	}
	return ""
}
