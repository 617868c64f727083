package dataplane

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pointsman/pointsman/internal/azure"
)

// A Guard checks the access tokens of clients and of app servers. It may be
// used concurrently.
type Guard struct {
	verifier *azure.Verifier
	endpoint azure.Base
}

// NewGuard returns a guard that takes tokens signed with one of the keys. They
// must be for the host that the request was sent to, or for endpoint, the name
// under which the emulator is known.
func NewGuard(keys []azure.Key, endpoint azure.Base) (*Guard, error) {
	v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "emulator", Keys: keys}}})
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	return &Guard{v, endpoint}, nil
}

// Token returns the token of a request, if it is one for the resource. The error
// is one of azure.Err…; [Refused] makes an answer of it.
func (g *Guard) Token(r *http.Request, resource azure.Resource) (*azure.Token, error) {
	text, err := azure.FindToken(r.Header.Get("Authorization"), r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	t, err := g.verifier.Verify(text, At(r), resource)
	if errors.Is(err, azure.ErrTokenAudience) {
		t, err = g.verifier.Verify(text, g.endpoint, resource)
	}
	return t, err
}

// At returns where a request was sent to, as its Host field has it; the zero
// value if that is no host.
func At(r *http.Request) azure.Base {
	base, err := azure.ParseBase("http://" + r.Host)
	if err != nil {
		return azure.Base{}
	}
	return base
}

// Refused is the answer to a request whose token was not taken: 414 for one that
// is too long, 401 for all others. It does not tell what is wrong, as the
// services do not.
func Refused(err error) *Problem {
	if errors.Is(err, azure.ErrTokenTooLong) {
		return &Problem{http.StatusRequestURITooLong, "TokenTooLong", "The access token is too long."}
	}
	return &Problem{http.StatusUnauthorized, "Unauthorized", "A valid access token for this resource is needed."}
}
