package azure

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
)

// The names of claims that have a meaning here. All others are the application's.
const (
	ClaimAudience    = "aud"
	ClaimExpires     = "exp"
	ClaimNotBefore   = "nbf"
	ClaimIssuedAt    = "iat"
	ClaimSubject     = "sub"
	ClaimNameID      = "nameid"          // taken for the user id by both services
	ClaimSignalRUser = "asrs.s.uid"      // the user id that the SDK of SignalR writes
	ClaimRole        = "role"            // permissions of Web PubSub, one string or many
	ClaimGroup       = "webpubsub.group" // groups of Web PubSub to join on connect, one string or many
)

// Claims is what a token says: an object of JSON, whose members keep their order, and their values to the last digit. The zero value
// has none. It may be read concurrently; whoever changes it must own it alone.
type Claims struct {
	members []member
}

type member struct {
	name string
	raw  json.RawMessage
}

// NewClaims returns the claims that every token needs: aud, iat and exp. Times are whole seconds; a part of a second more of lifetime
// counts as one. There is no nbf, so that a service whose clock is behind takes the token at once.
func NewClaims(audience string, now time.Time, lifetime time.Duration) *Claims {
	c := new(Claims)
	c.SetString(ClaimAudience, audience)
	c.set(ClaimIssuedAt, strconv.AppendInt(nil, now.Unix(), 10))
	c.set(ClaimExpires, strconv.AppendInt(nil, now.Add(lifetime+time.Second-1).Unix(), 10))
	return c
}

// SetString puts a claim in the place of the one with the same name, or at the end.
func (c *Claims) SetString(name, value string) { c.set(name, encode(value)) }

// SetStrings is [Claims.SetString] for an array of strings. With none it does nothing.
func (c *Claims) SetStrings(name string, values []string) {
	if len(values) > 0 {
		c.set(name, encode(values))
	}
}

// SetUser puts the user id where the SDK of the service does. With "" it does nothing.
func (c *Claims) SetUser(s Service, user string) {
	switch {
	case user == "":
	case s == SignalR:
		c.SetString(ClaimSignalRUser, user)
	default:
		c.SetString(ClaimSubject, user)
	}
}

func encode[T string | []string](value T) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic("BUG: strings cannot be encoded: " + err.Error())
	}
	return raw
}

func (c *Claims) set(name string, raw json.RawMessage) {
	if i := c.index(name); i >= 0 {
		c.members[i].raw = raw
		return
	}
	c.members = append(c.members, member{name, raw})
}

func (c *Claims) index(name string) int {
	return slices.IndexFunc(c.members, func(m member) bool { return m.name == name })
}

// Names returns the names of all claims in their order.
func (c *Claims) Names() []string {
	names := make([]string, len(c.members))
	for i, m := range c.members {
		names[i] = m.name
	}
	return names
}

// Raw returns the JSON of a claim, nil if there is none. Do not change it.
func (c *Claims) Raw(name string) json.RawMessage {
	if i := c.index(name); i >= 0 {
		return c.members[i].raw
	}
	return nil
}

// Strings returns the strings of a claim that may be one or an array of them; what is no string is left out.
func (c *Claims) Strings(name string) []string {
	raw := c.Raw(name)
	if raw == nil {
		return nil
	}
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	var found []string
	switch v := value.(type) {
	case string:
		found = append(found, v)
	case []any:
		for _, element := range v {
			if text, ok := element.(string); ok {
				found = append(found, text)
			}
		}
	}
	return found
}

// String returns the first of [Claims.Strings], "" if there is none.
func (c *Claims) String(name string) string {
	if all := c.Strings(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// User returns the user id that the service would find, "" if there is none: "sub", then "nameid", and with SignalR first of all
// "asrs.s.uid".
func (c *Claims) User(s Service) string {
	names := []string{ClaimSubject, ClaimNameID}
	if s == SignalR {
		names = []string{ClaimSignalRUser, ClaimNameID, ClaimSubject}
	}
	for _, name := range names {
		if user := c.String(name); user != "" {
			return user
		}
	}
	return ""
}

// clone returns a copy whose members may be replaced.
func (c *Claims) clone() *Claims { return &Claims{slices.Clone(c.members)} }

// MarshalJSON implements [json.Marshaler].
func (c *Claims) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range c.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, encode(m.name)...)
		b = append(b, ':')
		b = append(b, m.raw...)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It takes an object whose members all have different names.
func (c *Claims) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("claims: not an object")
	}
	var members []member
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errors.New("claims: not an object")
		}
		m := member{name: t.(string)} // the decoder takes nothing else for a name
		if seen[m.name] {
			return errors.New("claims: a name is given twice")
		}
		seen[m.name] = true
		if err := d.Decode(&m.raw); err != nil {
			return errors.New("claims: a value is no JSON")
		}
		members = append(members, m)
	}
	c.members = members
	return nil
}
