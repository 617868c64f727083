package negotiate

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ownText  = "the-first-key-of-the-route-0123456789"
	newText  = "the-second-key-of-the-route-012345678"
	eastText = "the-key-of-east-0123456789-0123456789"
	westText = "the-key-of-west-0123456789-0123456789"
	here     = "https://pointsman.example"
)

func key(t testing.TB, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func base(t testing.TB, text string) azure.Base {
	t.Helper()
	b, err := azure.ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// upstream makes one that is up; down takes it out.
func upstream(t testing.TB, name, connection string, role pool.Role) Upstream {
	t.Helper()
	checker, err := health.New(name, health.Options{
		Probe: func(context.Context) error { return nil }, InitialUp: true, Fall: 1, Jitter: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.NewUpstream(pool.Options{
		Name: name, URL: &url.URL{Scheme: "ws", Host: name + ":80"}, Role: role, Checker: checker,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := azure.ParseConnectionString(connection)
	if err != nil {
		t.Fatal(err)
	}
	return Upstream{u, c}
}

func down(u Upstream) { u.Checker().Lost(errors.New("gone")) }

// rig is a route with the primary east and the secondary west.
type rig struct {
	t          testing.TB
	n          *Negotiator
	east, west Upstream
}

// newRig makes one; change may change the options.
func newRig(t testing.TB, s azure.Service, change func(*Options)) *rig {
	t.Helper()
	r := &rig{
		t: t,
		east: upstream(t, "east",
			"Endpoint=https://east.example:8443;ClientEndpoint=https://near.east.example;AccessKey="+eastText, pool.Primary),
		west: upstream(t, "west", "Endpoint=http://west.example;AccessKey="+westText, pool.Secondary),
	}
	set, err := pool.NewSet(pool.Priority, []*pool.Upstream{r.east.Upstream, r.west.Upstream})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Service:   s,
		Upstreams: []Upstream{r.east, r.west},
		Keys:      []azure.Key{key(t, ownText), key(t, newText)},
		Pick: func(asked pool.Request) (*pool.Upstream, error) {
			lease, err := set.Pick(asked, pool.Tried{})
			lease.Release()
			return lease.Upstream(), err
		},
	}
	if change != nil {
		change(&o)
	}
	if r.n, err = New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

// request is a request for target (a path with a query) with a good token.
func (r *rig) request(method, target string) Request {
	r.t.Helper()
	path, rawQuery, _ := strings.Cut(target, "?")
	q := Request{Method: method, Base: base(r.t, here)}
	q.Path, q.Query, q.Host = path, rawQuery, "pointsman.example"
	q.Authorization = "Bearer " + r.token(path, newText, "")
	return q
}

// token is one for a path of this router.
func (r *rig) token(path, secret, user string) string {
	r.t.Helper()
	claims := azure.NewClaims(here+path, time.Now(), time.Minute)
	claims.SetUser(r.n.o.Service, user)
	token, err := azure.Mint(key(r.t, secret), claims)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// field returns the values of a header field.
func (a Answer) field(name string) string {
	var values []string
	for _, f := range a.Fields {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, "|")
}

// says verifies a client's token for what it should be and returns its claims.
func says(t testing.TB, token, secret, endpoint string, resource azure.Resource) *azure.Token {
	t.Helper()
	v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{
		Name: "it", Keys: []azure.Key{key(t, secret)}, Bases: []azure.Base{base(t, endpoint)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(token, azure.Base{}, resource)
	if err != nil {
		t.Fatalf("the token is not taken at %s: %v", endpoint, err)
	}
	return got
}

func client(t testing.TB, s azure.Service, hub string) azure.Resource {
	t.Helper()
	r, err := azure.ClientResource(s, hub)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
