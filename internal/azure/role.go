package azure

import (
	"fmt"
	"strings"
)

// Role is what an endpoint is for. Its values are those of the role of an upstream.
type Role uint8

// The roles, the better one first.
const (
	Primary Role = iota // the default
	Secondary
)

// String returns "primary" or "secondary".
func (r Role) String() string {
	switch r {
	case Primary:
		return "primary"
	case Secondary:
		return "secondary"
	default:
		return fmt.Sprintf("role %d", uint8(r))
	}
}

// ParseRole reads a role as the SDKs do: case does not count. The error names the value and what is allowed.
func ParseRole(text string) (Role, error) {
	switch strings.ToLower(text) {
	case "primary":
		return Primary, nil
	case "secondary":
		return Secondary, nil
	default:
		return 0, fmt.Errorf("role %q is not one of primary, secondary", text)
	}
}

// maxName is the longest name of an endpoint, in bytes.
const maxName = 256

// ParseName reads the name of an endpoint with its role, in the form "name:role" or "name". Without a role it is a primary. The
// name may be empty.
//
// In two places this is stricter than the SDKs, which make a primary of everything that they do not understand: what follows
// the colon must be a role, and the name "secondary" needs a role, because it is more likely a role whose name was forgotten.
func ParseName(text string) (name string, role Role, err error) {
	if len(text) > maxName {
		return "", 0, fmt.Errorf("name of an endpoint is longer than %d bytes", maxName)
	}
	name, word, given := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !given {
		if strings.EqualFold(name, Secondary.String()) {
			return "", 0, fmt.Errorf("name %q would be a primary; write the name before the role: <name>:secondary", name)
		}
		return name, Primary, nil
	}
	role, err = ParseRole(strings.TrimSpace(word))
	if err != nil {
		return "", 0, fmt.Errorf("name %q: %w", text, err)
	}
	return name, role, nil
}
