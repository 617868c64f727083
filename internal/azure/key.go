package azure

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strconv"
	"strings"
)

const (
	// ShortKey is the length in bytes below which a key is weaker than the HMAC that it is for (RFC 7518 §3.2). Services make longer
	// ones; [Key.Short] tells of those that people have made up.
	ShortKey = 32
	// maxKey bounds what is taken for a key, in bytes.
	maxKey = 1024

	hidden = "***"
)

// Key is an access key: the secret that tokens are signed with. It is used as the bytes of its text; it looks like base64, but the
// services do not decode it. However it is printed, logged or marshalled, the secret does not show. The zero value is no key.
type Key struct {
	// A pointer, because fmt prints the fields of unexported fields without asking for a String method: it shows an address.
	secret *string
}

// ParseKey makes a key of its text, without blanks around it. It must have 1 to 1024 bytes and hold no control character.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Key{}, errors.New("access key is empty")
	case len(text) > maxKey:
		return Key{}, errors.New("access key is longer than " + strconv.Itoa(maxKey) + " bytes")
	case strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return Key{}, errors.New("access key holds a control character")
	}
	return Key{&text}, nil
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.secret == nil }

// Short reports whether the key has fewer than [ShortKey] bytes.
func (k Key) Short() bool { return len(k.bytes()) < ShortKey }

// Equal reports whether both are the same key, in a time that does not tell how far they agree. No key equals no key.
func (k Key) Equal(l Key) bool {
	if k.IsZero() || l.IsZero() {
		return k.IsZero() == l.IsZero()
	}
	a, b := sha256.Sum256(k.bytes()), sha256.Sum256(l.bytes())
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Reveal returns the text of the key, for the one who has to hand it on: a connection string in a tool's output, a derived key. Never
// put it into an error or a log.
func (k Key) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return *k.secret
}

func (k Key) bytes() []byte { return []byte(k.Reveal()) }

// String hides the key.
func (k Key) String() string { return hidden }

// GoString hides the key from %#v.
func (k Key) GoString() string { return hidden }

// LogValue hides the key from logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key from encoders.
func (k Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }
