package webpubsub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// A dataType says how the content of a message is written down.
type dataType string

const (
	dataJSON     dataType = "json"
	dataText     dataType = "text"
	dataBinary   dataType = "binary"
	dataProtobuf dataType = "protobuf" // opaque here: bytes like binary
)

// jsonType is the Content-Type of JSON.
const jsonType = "application/json; charset=utf-8"

// A payload is the content of a message: the text itself, the text of a JSON
// value, or bytes.
type payload struct {
	kind dataType
	data []byte
}

// readPayload reads the members dataType and data of a client's frame.
func readPayload(kind *string, data json.RawMessage) (payload, error) {
	p := payload{kind: dataJSON}
	if kind != nil {
		p.kind = dataType(*kind)
	}
	if data == nil {
		return p, errors.New("data is missing")
	}
	if p.kind == dataJSON {
		p.data = data
		return p, nil
	}
	var text *string
	if err := json.Unmarshal(data, &text); err != nil || text == nil {
		return p, fmt.Errorf("data of type %s is not a string", p.kind)
	}
	switch p.kind {
	case dataText:
		p.data = []byte(*text)
	case dataBinary, dataProtobuf:
		bytes, err := base64.StdEncoding.DecodeString(*text)
		if err != nil {
			return p, errors.New("data is not base64")
		}
		p.data = bytes
	default:
		return p, errors.New("dataType is none of json, text, binary, protobuf")
	}
	return p, nil
}

// readBody makes a payload of an HTTP body. The error tells what is wrong with
// the body; ok is false if the media type is none that is known.
func readBody(mediaType string, body []byte) (p payload, ok bool, err error) {
	switch mediaType {
	case "text/plain":
		if !utf8.Valid(body) {
			return p, true, errors.New("the text is not UTF-8")
		}
		return payload{dataText, body}, true, nil
	case "application/json":
		if !json.Valid(body) || !utf8.Valid(body) {
			return p, true, errors.New("the body is not JSON")
		}
		return payload{dataJSON, bytes.TrimSpace(body)}, true, nil
	case "application/octet-stream":
		return payload{dataBinary, body}, true, nil
	}
	return p, false, nil
}

// mediaType is the Content-Type under which an app server gets the payload.
func (p payload) mediaType() string {
	switch p.kind {
	case dataText:
		return "text/plain; charset=utf-8"
	case dataJSON:
		return jsonType
	default:
		return "application/octet-stream"
	}
}

// value is the member data of a frame for clients.
func (p payload) value() json.RawMessage {
	switch p.kind {
	case dataJSON:
		return p.data
	case dataText:
		return encode(string(p.data))
	default:
		return encode(base64.StdEncoding.EncodeToString(p.data))
	}
}

// encode is json.Marshal without the escapes that only HTML needs, for values
// that cannot fail.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic("BUG: a frame cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
