package signalr

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// separator ends each message of the hub protocol.
const separator = 0x1e

// The types of hub messages.
const (
	typeInvocation       = 1
	typeStreamItem       = 2
	typeCompletion       = 3
	typeStreamInvocation = 4
	typeCancelInvocation = 5
	typePing             = 6
	typeClose            = 7
)

// A hubMessage is any message of the JSON hub protocol. Members of other types
// are empty.
type hubMessage struct {
	Type           int             `json:"type"`
	InvocationID   string          `json:"invocationId,omitempty"`
	Target         string          `json:"target,omitempty"`
	Arguments      json.RawMessage `json:"arguments,omitempty"`
	StreamIDs      []string        `json:"streamIds,omitempty"`
	Result         json.RawMessage `json:"result,omitempty"`
	Error          *string         `json:"error,omitempty"`
	AllowReconnect bool            `json:"allowReconnect,omitempty"`
}

// record returns a value as a message: its JSON without the escapes that only
// HTML needs, and the separator.
func record(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic("BUG: a hub message cannot be encoded: " + err.Error())
	}
	text := b.Bytes()
	text[len(text)-1] = separator // Encode ends with a newline
	return text
}

var (
	pingRecord      = record(hubMessage{Type: typePing})
	handshakeRecord = record(struct{}{})
)

// closeRecord is the message before the end. Without allowReconnect it makes
// clients stay away for good.
func closeRecord(reason string, allowReconnect bool) []byte {
	m := hubMessage{Type: typeClose, AllowReconnect: allowReconnect}
	if reason != "" {
		m.Error = &reason
	}
	return record(m)
}

func handshakeError(format string, args ...any) []byte {
	return record(struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

func completionError(invocationID, format string, args ...any) []byte {
	text := fmt.Sprintf(format, args...)
	return record(hubMessage{Type: typeCompletion, InvocationID: invocationID, Error: &text})
}

// readMessage reads a message without its separator. Types that are not known
// are fine: newer clients may send them.
func readMessage(text []byte) (m hubMessage, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("hub message is not the JSON that is wanted: %w", err)
	}
	switch m.Type {
	case 0:
		return m, fmt.Errorf("hub message has no type")
	case typeInvocation:
		if m.Target == "" || !isArray(m.Arguments) {
			return m, fmt.Errorf("invocation needs a target and arguments")
		}
	case typeStreamInvocation:
		if m.Target == "" || m.InvocationID == "" || !isArray(m.Arguments) {
			return m, fmt.Errorf("stream invocation needs an invocationId, a target and arguments")
		}
	case typeStreamItem, typeCancelInvocation:
		if m.InvocationID == "" {
			return m, fmt.Errorf("message of type %d needs an invocationId", m.Type)
		}
	case typeCompletion:
		if m.InvocationID == "" || m.Error != nil && m.Result != nil {
			return m, fmt.Errorf("completion needs an invocationId, and has a result or an error")
		}
	}
	return m, nil
}

func isArray(text json.RawMessage) bool {
	return len(text) > 0 && text[0] == '['
}

// A handshake is the first message of a client.
type handshake struct {
	Protocol string `json:"protocol"`
	Version  int    `json:"version"`
}

// readHandshake returns the error that the client is to get, nil if it is spoken
// with.
func readHandshake(text []byte) []byte {
	var h handshake
	if err := json.Unmarshal(text, &h); err != nil || h.Protocol == "" {
		return handshakeError("The first message must be a handshake.")
	}
	if h.Protocol != "json" {
		return handshakeError("The protocol '%.40s' is not emulated; json is.", h.Protocol)
	}
	if h.Version != 1 {
		return handshakeError("Version %d of the protocol json is not emulated; 1 is.", h.Version)
	}
	return nil
}
