//go:build compat && linux

package compat

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// A command tells a peer what to do.
type command struct {
	// Do is, for a client: open, send, ping, close; for a server, about all of its sessions: ping, close, cut. A cut
	// ends the TCP connection without a Close frame.
	Do string `json:"do"`

	URL       string            `json:"url,omitempty"`       // open
	Protocols []string          `json:"protocols,omitempty"` // open: subprotocols to offer
	Headers   map[string]string `json:"headers,omitempty"`   // open
	Deflate   bool              `json:"deflate,omitempty"`   // open: offer permessage-deflate, where there is a choice

	Text   *string `json:"text,omitempty"`   // send: a text message, or else
	Base64 []byte  `json:"base64,omitempty"` // a binary one
	Parts  int     `json:"parts,omitempty"`  // send: fragments, 0 is one

	Data string `json:"data,omitempty"` // ping: payload

	Code   int    `json:"code,omitempty"`   // close; 0 is no code, for those who can
	Reason string `json:"reason,omitempty"` // close
}

// An event is what a peer has seen. Servers send back each message and tell nothing of it.
type event struct {
	// Event is, for a client: open, refused, message, pong, close; for a server: listening, session, pong, close.
	Event string `json:"event"`

	Port int `json:"port,omitempty"` // listening

	Path          string `json:"path,omitempty"`          // session: the request target
	Authorization string `json:"authorization,omitempty"` // session: that header field
	Protocol      string `json:"protocol,omitempty"`      // open, session: the chosen subprotocol
	Deflate       bool   `json:"deflate,omitempty"`       // open, session: permessage-deflate was agreed on

	Status int `json:"status,omitempty"` // refused: 0 from those who do not know

	Kind   string `json:"kind,omitempty"` // message: text or binary
	Size   int    `json:"size,omitempty"` // message: in bytes
	SHA256 string `json:"sha256,omitempty"`

	Data string `json:"data,omitempty"` // pong: payload

	Code   int    `json:"code,omitempty"` // close: 1005 without a code, 1006 without a Close frame
	Reason string `json:"reason,omitempty"`
}

// A peer is a process that takes commands and tells events.
type peer struct{ *process }

func (p peer) do(c command) {
	p.t.Helper()
	line, err := json.Marshal(c)
	if err != nil {
		p.t.Fatalf("command %q: %v", c.Do, err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("tell %s to %s: %v", p.name, c.Do, err)
	}
}

func (p peer) next() event {
	p.t.Helper()
	line := p.line()
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		p.t.Fatalf("%s wrote %q: %v", p.name, line, err)
	}
	return e
}

func (p peer) wants(want event) {
	p.t.Helper()
	if diff := gocmp.Diff(want, p.next()); diff != "" {
		p.t.Fatalf("%s: -want +got\n%s", p.name, diff)
	}
}

// echoes sends a message and wants it back.
func (p peer) echoes(m message) {
	p.t.Helper()
	c, want := command{Do: "send", Parts: m.parts}, event{Event: "message", Kind: "binary", Size: len(m.data)}
	if m.text {
		text := string(m.data)
		c.Text, want.Kind = &text, "text"
	} else {
		c.Base64 = m.data
	}
	digest := sha256.Sum256(m.data)
	want.SHA256 = hex.EncodeToString(digest[:])
	p.do(c)
	p.wants(want)
}

// A message is what is sent and must come back.
type message struct {
	text  bool
	data  []byte
	parts int
}

// A client says how to start a kind of client and what it is able to do.
type client struct {
	name    string
	command []string

	// always is set if the client offers permessage-deflate without being asked.
	always bool
	pings  bool // can send a Ping
	parts  bool // can send a message in fragments
	silent bool // can send a Close frame without a code
	status bool // knows the status of a refused handshake
	terse  bool // answers a Close frame with its code only
	// restart is what the client makes of close code 1012 (service restart), 0 if it knows it.
	restart int
}

var clients = []client{
	{name: "ws", command: []string{"node", "node/client_ws.js"}, pings: true, parts: true, silent: true, status: true},
	{name: "undici", command: []string{"node", "node/client_undici.js"}, always: true, silent: true, terse: true},
	// It knows the codes of RFC 6455 only; 1012 was registered after it. The reason arrives.
	{name: "faye-websocket", command: []string{"node", "node/client_faye.js"}, pings: true, status: true, restart: 1002},
	{name: "websockets", command: []string{python, "python/client_websockets.py"}, pings: true, parts: true, status: true},
	{name: "wsproto", command: []string{python, "python/client_wsproto.py"}, pings: true, parts: true, status: true},
}

// lost is how the client sees that the router lost its upstream.
func (c client) lost() event {
	return event{Event: "close", Code: cmp.Or(c.restart, 1012), Reason: "upstream lost"}
}

// moved is how the client is led home.
func (c client) moved() event {
	return event{Event: "close", Code: cmp.Or(c.restart, 1012), Reason: "moved to primary"}
}

func (c client) start(t *testing.T) peer {
	t.Helper()
	return peer{launch(t, "client "+c.name, c.command[0], c.command[1:]...)}
}

// A server says how to start a kind of upstream.
type server struct {
	name    string
	command []string
}

var servers = []server{
	{name: "ws", command: []string{"node", "node/server_ws.js"}},
	{name: "websockets", command: []string{python, "python/server_websockets.py"}},
}

// start returns when the server listens on the port, or on any for 0. With TLS, files are those of its certificate and key.
func (s server) start(t *testing.T, port int, files ...string) (p peer, at int) {
	t.Helper()
	args := append(s.command[1:len(s.command):len(s.command)], strconv.Itoa(port))
	args = append(args, files...)
	p = peer{launch(t, "server "+s.name, s.command[0], args...)}
	listening := p.next()
	if listening.Event != "listening" {
		t.Fatalf("%s began with %+v", p.name, listening)
	}
	return p, listening.Port
}

func localURL(port int) string { return fmt.Sprintf("ws://127.0.0.1:%d", port) }
