package webpubsub

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// A protocol is how a client is spoken to.
type protocol int

const (
	protocolRaw      protocol = iota // frames are messages
	protocolJSON                     // frames are JSON objects
	protocolReliable                 // the same, numbered and acknowledged
)

// The subprotocols that are spoken.
const (
	subprotocolJSON     = "json.webpubsub.azure.v1"
	subprotocolReliable = "json.reliable.webpubsub.azure.v1"
)

// A frame is a WebSocket message that is ready to be written.
type frame struct {
	kind    websocket.MessageType
	data    []byte
	seq     uint64    // of the reliable subprotocol; 0 for frames that are not numbered
	expires time.Time // it is not worth being written after that; zero is never
}

func textFrame(value any) frame { return frame{kind: websocket.MessageText, data: encode(value)} }

// A message is what clients or app servers send to clients. It is encoded once
// for each protocol, however many get it; one goroutine uses it at a time.
type message struct {
	group    string // "" is from an app server
	fromUser string
	payload
	expires time.Time

	raw, json *frame
}

// messageFrame is a message in the JSON subprotocols. Its sequence id is put
// behind it, see [message.reliable].
type messageFrame struct {
	Type     string          `json:"type"`
	From     string          `json:"from"`
	Group    string          `json:"group,omitempty"`
	FromUser string          `json:"fromUserId,omitempty"`
	DataType dataType        `json:"dataType"`
	Data     json.RawMessage `json:"data"`
}

// forRaw returns the message for a client without a subprotocol.
func (m *message) forRaw() frame {
	if m.raw == nil {
		kind := websocket.MessageText
		if m.kind == dataBinary || m.kind == dataProtobuf {
			kind = websocket.MessageBinary
		}
		m.raw = &frame{kind: kind, data: m.data, expires: m.expires}
	}
	return *m.raw
}

// forJSON returns the message for a client of the plain JSON subprotocol.
func (m *message) forJSON() frame {
	if m.json == nil {
		from := "server"
		if m.group != "" {
			from = "group"
		}
		f := textFrame(messageFrame{"message", from, m.group, m.fromUser, m.kind, m.value()})
		f.expires = m.expires
		m.json = &f
	}
	return *m.json
}

// reliable returns the message with a sequence id.
func (m *message) reliable(seq uint64) frame {
	f := m.forJSON()
	data := make([]byte, 0, len(f.data)+34)
	data = append(data, f.data[:len(f.data)-1]...) // without its last brace
	data = append(data, `,"sequenceId":`...)
	data = strconv.AppendUint(data, seq, 10)
	f.data, f.seq = append(data, '}'), seq
	return f
}

// systemFrame is {"type":"system"}.
type systemFrame struct {
	Type              string `json:"type"`
	Event             string `json:"event"`
	UserID            string `json:"userId,omitempty"`
	ConnectionID      string `json:"connectionId,omitempty"`
	ReconnectionToken string `json:"reconnectionToken,omitempty"`
	Message           string `json:"message,omitempty"`
}

func connectedFrame(user, id, token string) frame {
	return textFrame(systemFrame{Type: "system", Event: "connected", UserID: user, ConnectionID: id, ReconnectionToken: token})
}

func disconnectedFrame(reason string) frame {
	return textFrame(systemFrame{Type: "system", Event: "disconnected", Message: reason})
}

// A fault is why something that a client asked for was not done.
type fault struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Names of faults. The first three are documented; the last two were chosen.
const (
	faultForbidden = "Forbidden"
	faultInternal  = "InternalServerError"
	faultDuplicate = "Duplicate"
	faultBad       = "BadRequest"
	faultTooMany   = "TooManyGroups"
)

type ackFrame struct {
	Type    string `json:"type"`
	AckID   uint64 `json:"ackId"`
	Success bool   `json:"success"`
	Error   *fault `json:"error,omitempty"`
}

type invokeResponseFrame struct {
	Type         string          `json:"type"`
	InvocationID string          `json:"invocationId"`
	Success      bool            `json:"success"`
	DataType     dataType        `json:"dataType,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	Error        *fault          `json:"error,omitempty"`
}

var pongFrame = textFrame(struct {
	Type string `json:"type"`
}{"pong"})

// A request is any frame that a client of the JSON subprotocols sends. Members
// that are not known are passed over.
type request struct {
	Type         string          `json:"type"`
	Group        string          `json:"group"`
	AckID        *uint64         `json:"ackId"`
	NoEcho       bool            `json:"noEcho"`
	DataType     *string         `json:"dataType"`
	Data         json.RawMessage `json:"data"`
	TTLSeconds   *int            `json:"ttlSeconds"`
	Stream       json.RawMessage `json:"stream"`
	Event        string          `json:"event"`
	SequenceID   *uint64         `json:"sequenceId"`
	InvocationID string          `json:"invocationId"`
	Target       string          `json:"target"`
}
