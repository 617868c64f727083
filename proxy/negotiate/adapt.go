package negotiate

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

const (
	// MaxUpstreamAnswer is the longest answer of an upstream to a negotiation that is taken, in bytes, before and after it is
	// unpacked.
	MaxUpstreamAnswer = 64 << 10
	// maxAnswerDepth is how deep its JSON may be; a real one has three levels.
	maxAnswerDepth = 32
)

// ErrUpstreamAnswer means that the upstream's answer to a negotiation cannot be trusted to mean one thing. The client gets 502.
var ErrUpstreamAnswer = errors.New("bad answer of the upstream to a negotiation")

// UpstreamAnswer is what an upstream has answered to POST …/negotiate.
type UpstreamAnswer struct {
	Status int
	// ContentType and ContentEncoding are the header fields of these names.
	ContentType, ContentEncoding string
	// Body is as it came, at most [MaxUpstreamAnswer] bytes and one, so that a longer one shows.
	Body []byte
}

// Adapted is what the client gets of it.
type Adapted struct {
	// Body is the body for the client, and Unpacked says that it has no content encoding any more.
	Body     []byte
	Unpacked bool
	// Pinned says that the connection leads back to the upstream from now on.
	Pinned bool
}

// Adapt makes the answer of upstream one that leads the client back to it.
//
//   - A connection token (negotiation version 1) is replaced by [Affinity.Pin] of it; nothing else is changed.
//   - A connection id of version 0 is the token as well, and applications see it: it stays and is remembered. Only the router that has
//     seen it knows where it leads.
//   - Everything else passes as it came: an error, a redirect to another URL, an object without these members, a status other than
//     200, a type that is not JSON, a content encoding other than gzip.
//
// A gzip'd body is unpacked and a byte order mark removed. A body that is too long, no JSON, deeper than 32 levels, or in which a
// name stands twice, and a token that is no text, are [ErrUpstreamAnswer].
func (a *Affinity) Adapt(answer UpstreamAnswer, upstream string) (Adapted, error) {
	same := Adapted{Body: answer.Body}
	bad := func(what string) (Adapted, error) { return Adapted{}, fmt.Errorf("%w: %s", ErrUpstreamAnswer, what) }
	if len(answer.Body) > MaxUpstreamAnswer {
		return bad("it is too long")
	}
	encoding := strings.ToLower(strings.TrimSpace(answer.ContentEncoding))
	packed := encoding == "gzip" || encoding == "x-gzip"
	if answer.Status != http.StatusOK || !isJSON(answer.ContentType) || !packed && encoding != "" && encoding != "identity" {
		return same, nil
	}
	body := answer.Body
	if packed {
		var err error
		if body, err = unpack(body); err != nil {
			return bad("it cannot be unpacked")
		}
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	members, err := membersOf(body)
	if err != nil {
		return bad(err.Error())
	}
	out := Adapted{Body: body, Unpacked: packed}
	if members.has("error") || members.has("url") || members.has("ProtocolVersion") {
		return out, nil
	}
	name, version := "connectionId", 0
	if members.has("negotiateVersion") && json.Unmarshal(members["negotiateVersion"].raw, &version) != nil {
		return bad("its version is no number")
	}
	if version >= 1 {
		name = "connectionToken"
	}
	if !members.has(name) {
		return out, nil
	}
	var token string
	if json.Unmarshal(members[name].raw, &token) != nil || token == "" {
		return bad("its " + name + " is no text")
	}
	out.Pinned = len(token) <= MaxID
	if version == 0 {
		a.Remember(token, upstream)
		return out, nil
	}
	m := members[name]
	out.Body = slices.Concat(body[:m.from], encode(a.Pin(token, upstream)), body[m.from+len(m.raw):])
	return out, nil
}

// isJSON reports whether a content type is JSON.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json"))
}

// unpack bounds what comes out, whatever goes in.
func unpack(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxUpstreamAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(out) > MaxUpstreamAnswer {
		return nil, errors.New("too long")
	}
	return out, nil
}

// jsonMembers are those of an object, with the place of their values.
type jsonMembers map[string]jsonValue

type jsonValue struct {
	raw  json.RawMessage
	from int // offset of raw in the text
}

// has reports whether there is such a member and it is not null.
func (m jsonMembers) has(name string) bool {
	value, ok := m[name]
	return ok && string(value.raw) != "null"
}

func membersOf(text []byte) (jsonMembers, error) {
	if depthOf(text) > maxAnswerDepth {
		return nil, errors.New("it is too deep")
	}
	if !json.Valid(text) {
		return nil, errors.New("it is no JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no object")
	}
	members := make(jsonMembers)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errors.New("it is no JSON")
		}
		name, _ := t.(string)
		if _, twice := members[name]; twice {
			return nil, errors.New("a name stands twice")
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errors.New("it is no JSON")
		}
		members[name] = jsonValue{raw, int(d.InputOffset()) - len(raw)}
	}
	return members, nil
}

// depthOf counts the deepest level of brackets outside of texts.
func depthOf(text []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}
