package webpubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/emulator/dataplane"
)

const (
	// maxEvent is the longest name of a user event, in bytes.
	maxEvent = 128
	// maxTTL is the longest life that a sender can give to a message, in seconds.
	maxTTL = 300
)

// receive executes one WebSocket message of the client.
func (c *client) receive(ctx context.Context, kind websocket.MessageType, data []byte) {
	if kind == websocket.MessageText && !utf8.Valid(data) {
		c.end(ending{code: websocket.StatusInvalidFramePayloadData, reason: "Text must be UTF-8.", told: true})
		return
	}
	if c.protocol != protocolRaw {
		c.receiveFrame(ctx, data)
		return
	}
	p := payload{dataText, data}
	if kind == websocket.MessageBinary {
		p.kind = dataBinary
	}
	if c.sendsTo != "" {
		c.service.sendToGroup(c, c.sendsTo, p, false, time.Time{})
		return
	}
	c.event(ctx, "message", p, nil)
}

// receiveFrame executes one frame of the JSON subprotocols, whichever kind of
// WebSocket message carries it.
func (c *client) receiveFrame(ctx context.Context, data []byte) {
	var r request
	if !utf8.Valid(data) || json.Unmarshal(data, &r) != nil {
		c.malformed("The frame is not a JSON object of the subprotocol.")
		return
	}
	switch r.Type {
	case "ping":
		c.reply(pongFrame)
	case "joinGroup":
		c.once(r.AckID, func() *fault { return c.join(r.Group) })
	case "leaveGroup":
		c.once(r.AckID, func() *fault { return c.leave(r.Group) })
	case "sendToGroup":
		if r.Stream != nil {
			c.malformed("Streams are not emulated.")
			return
		}
		c.send(r)
	case "event":
		c.userEvent(ctx, r)
	case "invoke":
		c.invoke(ctx, r)
	case "cancelInvocation":
		c.invocations.cancel(r.InvocationID)
	case "sequenceAck":
		if c.protocol != protocolReliable || r.SequenceID == nil {
			c.malformed("sequenceAck needs a sequenceId and the reliable subprotocol.")
			return
		}
		c.out.acknowledge(*r.SequenceID)
	default:
		c.malformed(fmt.Sprintf("Frames of the type %.40q are not emulated.", r.Type))
	}
}

// malformed ends a client that does not keep to its subprotocol. The close code
// was chosen: what the service sends is not documented.
func (c *client) malformed(reason string) {
	c.end(ending{code: websocket.StatusPolicyViolation, reason: reason, told: true})
}

// once executes a request unless one with the same ack id was executed before,
// and acknowledges it if that is asked for.
func (c *client) once(ackID *uint64, do func() *fault) {
	if !c.repeated(ackID) {
		c.ack(ackID, do())
	}
}

// repeated reports whether a request with this ack id was executed before, and
// tells the client so.
func (c *client) repeated(ackID *uint64) bool {
	if ackID == nil || c.acks.first(*ackID) {
		return false
	}
	c.ack(ackID, &fault{faultDuplicate, "A message with this ack id was processed already."})
	return true
}

func (c *client) ack(ackID *uint64, f *fault) {
	if ackID != nil {
		c.reply(textFrame(ackFrame{Type: "ack", AckID: *ackID, Success: f == nil, Error: f}))
	}
}

func (c *client) join(group string) *fault {
	if f := c.may(joinLeaveGroup, group); f != nil {
		return f
	}
	if err := c.service.roster.Enter(c.hub, c.id, group); err != nil {
		return &fault{faultTooMany, err.Error()}
	}
	return nil
}

func (c *client) leave(group string) *fault {
	if f := c.may(joinLeaveGroup, group); f != nil {
		return f
	}
	c.service.roster.Exit(c.hub, c.id, group)
	return nil
}

// may returns why the client may not do something with a group.
func (c *client) may(which permission, group string) *fault {
	if dataplane.CheckGroup(group) != nil {
		return &fault{faultBad, "The name of the group has 1 to 1024 characters, not all of them blank."}
	}
	if !c.permissions.allows(which, group) {
		return &fault{faultForbidden, fmt.Sprintf("The client does not have the permission %s for this group.", which)}
	}
	return nil
}

// send executes sendToGroup.
func (c *client) send(r request) {
	p, err := readPayload(r.DataType, r.Data)
	if err != nil {
		c.malformed("sendToGroup: " + err.Error() + ".")
		return
	}
	c.once(r.AckID, func() *fault {
		if f := c.may(sendToGroup, r.Group); f != nil {
			return f
		}
		var expires time.Time
		if r.TTLSeconds != nil {
			if *r.TTLSeconds < 0 || *r.TTLSeconds > maxTTL {
				return &fault{faultBad, fmt.Sprintf("ttlSeconds is a number from 0 to %d.", maxTTL)}
			}
			expires = expiry(*r.TTLSeconds)
		}
		c.service.sendToGroup(c, r.Group, p, r.NoEcho, expires)
		return nil
	})
}

// expiry is the end of a life of so many seconds; 0 is for ever.
func expiry(seconds int) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(seconds) * time.Second)
}

// userEvent executes event.
func (c *client) userEvent(ctx context.Context, r request) {
	p, err := readPayload(r.DataType, r.Data)
	if err != nil {
		c.malformed("event: " + err.Error() + ".")
		return
	}
	if !isEventName(r.Event) {
		c.once(r.AckID, badEvent)
		return
	}
	if !c.repeated(r.AckID) {
		c.event(ctx, r.Event, p, r.AckID)
	}
}

func badEvent() *fault {
	return &fault{faultBad, fmt.Sprintf("The name of an event has 1 to %d printable ASCII characters.", maxEvent)}
}

// isEventName reports whether a name can go into a header field. What the
// service allows is not documented.
func isEventName(name string) bool {
	if name == "" || len(name) > maxEvent {
		return false
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// event asks the app server, waits for its answer and sends that to the client.
// A client whose event cannot be handled is dropped, as the service does.
func (c *client) event(ctx context.Context, name string, p payload, ackID *uint64) {
	answer, err := c.service.events.user(ctx, c, name, p)
	if err != nil {
		c.service.log.Debug("user event", "connection", c.id, "error", err)
		c.end(ending{code: websocket.StatusPolicyViolation, reason: "The event handler did not handle the event.", told: true})
		return
	}
	if answer != nil {
		c.post(&message{payload: *answer})
	}
	c.ack(ackID, nil)
}
