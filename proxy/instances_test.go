package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/internal/emulator/webpubsub"
	"github.com/pointsman/pointsman/pool"
)

// The access keys of tests: that of the route, and those of the regions.
const (
	ownKey  = "own-key-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789"
	eastKey = "east-key-ABCDEFGHIJKLMNOPQRSTUVWXYZ-012345678"
	westKey = "west-key-ABCDEFGHIJKLMNOPQRSTUVWXYZ-012345678"
)

func accessKey(t testing.TB, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// instance is an emulated instance of a service.
type instance struct {
	*emulator.Emulator
	name, key string
	stop      func()
}

// webPubSub starts an instance of Web PubSub that lives as long as the test.
func webPubSub(t testing.TB, name, key string) *instance {
	t.Helper()
	service, err := webpubsub.New(webpubsub.Options{Keys: []azure.Key{accessKey(t, key)}})
	if err != nil {
		t.Fatal(err)
	}
	return newInstance(t, name, key, service)
}

func newInstance(t testing.TB, name, key string, service emulator.Service) *instance {
	t.Helper()
	e, err := emulator.New(emulator.Options{Name: name, Service: service})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &instance{e, name, key, stop}
}

// base is its endpoint.
func (g *instance) base(t testing.TB) azure.Base { return mustBase(t, "http://"+g.Addr()) }

func mustBase(t testing.TB, text string) azure.Base {
	t.Helper()
	b, err := azure.ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// own is where a client connects to the instance itself, with a token.
func (g *instance) own(t testing.TB) string {
	t.Helper()
	token := mint(t, g.key, "http://"+g.Addr()+"/client/hubs/chat", nil)
	return "ws://" + g.Addr() + "/client/hubs/chat?access_token=" + token
}

// member is the region as an upstream. One loss takes it down, and nothing takes
// it up again.
func (g *instance) member(t testing.TB, role pool.Role) member {
	t.Helper()
	c, err := azure.ParseConnectionString("Endpoint=http://" + g.Addr() + ";AccessKey=" + g.key)
	if err != nil {
		t.Fatal(err)
	}
	return member{name: g.name, address: g.Addr(), role: role, service: c, health: health.Options{Fall: 1}}
}

// office is a router for regions, seen by its clients.
type office struct {
	*rig
	kind azure.Service
}

// serveRegions starts a router with one route that stands for all members.
func serveRegions(t testing.TB, kind azure.Service, change func(*Route), members ...member) *office {
	t.Helper()
	r := prepareRegions(t, kind, change, members...)
	r.begin()
	return r
}

// prepareRegions makes the router that serveRegions starts.
func prepareRegions(t testing.TB, kind azure.Service, change func(*Route), members ...member) *office {
	t.Helper()
	var o Options
	for _, m := range members {
		o.Upstreams = append(o.Upstreams, m.build(t))
	}
	route := Route{Set: set(t, o.Upstreams...), Service: &Service{Kind: kind, AccessKeys: []azure.Key{accessKey(t, ownKey)}}}
	if change != nil {
		change(&route)
	}
	o.Routes = []Route{route}
	return &office{prepare(t, o), kind}
}

// down takes an upstream down.
func (r *office) down(name string) {
	r.t.Helper()
	r.upstream(name).Checker().Lost(errGone)
	if r.upstream(name).Healthy() {
		r.t.Fatalf("%s is still up", name)
	}
}

// token signs a token for a path at a base.
func mint(t testing.TB, key, audience string, change func(*azure.Claims)) string {
	t.Helper()
	claims := azure.NewClaims(audience, time.Now(), time.Hour)
	if change != nil {
		change(claims)
	}
	token, err := azure.Mint(accessKey(t, key), claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// clientURL is where a client of Web PubSub connects, with a token.
func (r *office) clientURL(key string, base azure.Base, user string) string {
	audience := base.String() + "/client/hubs/chat"
	token := mint(r.t, key, audience, func(c *azure.Claims) {
		c.SetUser(azure.WebPubSub, user)
		c.SetStrings(azure.ClaimRole, []string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"})
	})
	return "ws://" + r.address + "/client/hubs/chat?access_token=" + token
}

func (r *office) base() azure.Base { return mustBase(r.t, "http://"+r.address) }

// own is clientURL with a token of the route.
func (r *office) own(user string) string { return r.clientURL(ownKey, r.base(), user) }

const (
	jsonProtocol     = "json.webpubsub.azure.v1"
	reliableProtocol = "json.reliable.webpubsub.azure.v1"
)

// connect opens a WebSocket.
func (r *office) connect(to, subprotocol string) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := &websocket.DialOptions{}
	if subprotocol != "" {
		o.Subprotocols = []string{subprotocol}
	}
	conn, answer, err := websocket.Dial(ctx, to, o)
	if err == nil {
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, answer, err
}

// guest is a client that is connected.
type guest struct {
	*websocket.Conn
	t         testing.TB
	id, token string
}

func (r *office) enter(to, subprotocol string) *guest {
	r.t.Helper()
	conn, _, err := r.connect(to, subprotocol)
	if err != nil {
		r.t.Fatal(err)
	}
	g := &guest{Conn: conn, t: r.t}
	connected := g.next()
	if connected["event"] != "connected" {
		r.t.Fatalf("first came %v", connected)
	}
	g.id, _ = connected["connectionId"].(string)
	g.token, _ = connected["reconnectionToken"].(string)
	return g
}

// next reads a frame.
func (g *guest) next() map[string]any {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := g.Read(ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	var frame map[string]any
	if err := json.Unmarshal(data, &frame); err != nil {
		g.t.Fatalf("%q: %v", data, err)
	}
	return frame
}

// closed reads until the Close frame and returns its code.
func (g *guest) closed() websocket.StatusCode {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := g.Read(ctx); err != nil {
			var closing websocket.CloseError
			if !errors.As(err, &closing) {
				g.t.Fatal(err)
			}
			return closing.Code
		}
	}
}

// says sends a frame of text.
func (g *guest) says(format string, args ...any) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		g.t.Fatal(err)
	}
}

// outcome is what a plain request was answered.
type outcome struct {
	status int
	header http.Header
	body   string
}

// call makes a plain request with a token of the route, unless key is another; ""
// is none.
func (r *office) call(key, method, target, kind, body string) outcome {
	r.t.Helper()
	at, err := url.Parse("http://" + r.address + target)
	if err != nil {
		r.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, at.String(), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+mint(r.t, key, "http://"+r.address+at.EscapedPath(), nil))
	}
	return r.do(request)
}

// do makes a request on a connection of its own.
func (r *office) do(request *http.Request) outcome {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	got, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return outcome{got.StatusCode, got.Header, string(body)}
}
