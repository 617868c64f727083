package azure

import (
	"errors"
	"fmt"
	"strings"
)

// Service is one of the two services.
type Service uint8

// The services.
const (
	WebPubSub Service = iota
	SignalR
)

// String returns "webpubsub" or "signalr", as in the configuration.
func (s Service) String() string {
	switch s {
	case WebPubSub:
		return "webpubsub"
	case SignalR:
		return "signalr"
	default:
		return fmt.Sprintf("service %d", uint8(s))
	}
}

// ParseService is the inverse of [Service.String]. The error names the value and what is allowed.
func ParseService(text string) (Service, error) {
	switch text {
	case "webpubsub":
		return WebPubSub, nil
	case "signalr":
		return SignalR, nil
	default:
		return 0, fmt.Errorf("service %q is not one of webpubsub, signalr", text)
	}
}

// maxHub is the longest name of a hub, in characters.
const maxHub = 128

// ErrHub means that a name is none that a hub can have. Web PubSub answers 400 and a text that begins "Invalid value of 'hub'".
var ErrHub = errors.New("hub name is not a letter followed by up to 127 letters, digits or any of _ ` , . [ ]")

// CheckHub checks the name of a hub by the rule of Web PubSub: a letter, then up to 127 letters, digits or any of _`,.[]. For
// SignalR the same rule is used; it is in its REST description, but what the service does with other names is unverified. The
// error is [ErrHub].
func CheckHub(name string) error {
	if name == "" || len(name) > maxHub || !asciiLetter(name[0]) {
		return ErrHub
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if !asciiLetter(c) && (c < '0' || c > '9') && strings.IndexByte("_`,.[]", c) < 0 {
			return ErrHub
		}
	}
	return nil
}

// SameHub reports whether two names are the same hub: case does not count.
func SameHub(a, b string) bool { return lowerASCII(a) == lowerASCII(b) }

func asciiLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// lowerASCII leaves all other letters alone: some of them would fold into ASCII.
func lowerASCII(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, text)
}
