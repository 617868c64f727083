package pool

import "fmt"

// Role is what an upstream is for in this router's view. The same instance may be primary here and secondary elsewhere.
type Role uint8

// The roles, the better one first.
const (
	// Primary takes new sessions whenever it is available, but see [Set.Pick] for one that comes home after a recovery. It is
	// the default.
	Primary Role = iota
	// Secondary takes new sessions when no primary is available.
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

// ParseRole is the inverse of [Role.String]. The error names the value and what is allowed.
func ParseRole(s string) (Role, error) {
	switch s {
	case "primary":
		return Primary, nil
	case "secondary":
		return Secondary, nil
	default:
		return 0, fmt.Errorf("role %q is not one of primary, secondary", s)
	}
}
