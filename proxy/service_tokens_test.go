package proxy

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// door is a request for which a route of a service wants to see a token.
type door struct {
	kind           azure.Service
	name           string
	method, target string
	place          string // that a good token is for
	elsewhere      string // another, for which it is not
}

var doors = []door{
	{azure.WebPubSub, "handshake", "GET", "/client/hubs/chat?a=b", "/client/hubs/chat", "/client/hubs/other"},
	{azure.WebPubSub, "negotiation", "GET", "/negotiate?hub=chat", "/negotiate", "/client/hubs/chat"},
	{azure.WebPubSub, "message", "POST", sendToAll, "/api/hubs/chat/:send", "/api/hubs/other/:send"},
	{azure.WebPubSub, "question", "HEAD", "/api/hubs/chat/users/u?api-version=1", "/api/hubs/chat/users/u", "/api/hubs/other/users/u"},
	{azure.WebPubSub, "new token", "POST", "/api/hubs/chat/:generateToken?api-version=1", "/api/hubs/chat/:generateToken", "/api/hubs/other/:generateToken"},
	{azure.WebPubSub, "list", "GET", "/api/upstreams?hub=chat", "/api/upstreams", "/negotiate"},
	{azure.SignalR, "handshake", "GET", "/client/?hub=chat", "/client/?hub=chat", "/client/?hub=other"},
	{azure.SignalR, "first negotiation", "POST", "/chathub/negotiate?hub=chat", "/chathub/negotiate", "/client/?hub=chat"},
	{azure.SignalR, "second negotiation", "POST", "/client/negotiate?hub=chat", "/client/?hub=chat", "/client/?hub=other"},
	{azure.SignalR, "message", "POST", "/api/v1/hubs/chat?a=b", "/api/v1/hubs/chat", "/api/v1/hubs/other"},
}

// request is the head with a token, in a field or in the query. "" is none.
func (d *door) request(host, token string, inField bool) string {
	target, lines := d.target, "Host: "+host+"\r\n"
	switch {
	case token == "":
	case inField:
		lines += "Authorization: Bearer " + token + "\r\n"
	default:
		target += "&access_token=" + url.QueryEscape(token)
	}
	if d.name == "handshake" {
		lines += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + sampleKey + "\r\n"
	} else if d.method == http.MethodPost {
		lines += "Content-Type: application/octet-stream\r\nContent-Length: 0\r\n"
	}
	return d.method + " " + target + " HTTP/1.1\r\n" + lines + "\r\n"
}

// forger makes tokens that are good at one door but for one thing.
type forger struct {
	*rand.Rand
	here, upstream   string // bases
	place, elsewhere string // at the door
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed is a token with HS256, whatever its header says.
func signed(header, claims, key string) string {
	text := b64(header) + "." + b64(claims)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + b64(string(mac.Sum(nil)))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// claims are those of a token for a URL that expires in that time. No two are the
// same.
func (f *forger) claims(audience string, expires time.Duration, more string) string {
	return fmt.Sprintf(`{"aud":%q,"exp":%d,"sub":"%d"%s}`, audience, time.Now().Add(expires).Unix(), f.Uint64(), more)
}

// good are the claims of a token that is taken.
func (f *forger) good() string { return f.claims(f.here+f.place, time.Hour, "") }

// token is one that is taken.
func (f *forger) token() string { return signed(hs256, f.good(), ownKey) }

// tokenOf is one that is taken, of that size, or up to two bytes shorter: it is in
// base64.
func (f *forger) tokenOf(size int) (token string) {
	claims := strings.TrimSuffix(f.good(), "}")
	for pad := size*3/4 - 300; ; pad++ {
		longer := signed(hs256, claims+`,"pad":"`+strings.Repeat("x", pad)+`"}`, ownKey)
		if len(longer) > size {
			return token
		}
		token = longer
	}
}

// flip changes a bit of one of the three parts of a good token.
func (f *forger) flip(part int) string {
	parts := strings.Split(f.token(), ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[part])
	raw[f.IntN(len(raw))] ^= 1 << f.IntN(8)
	parts[part] = b64(string(raw))
	return strings.Join(parts, ".")
}

// with is a good token in another algorithm of the library.
func (f *forger) with(method jwt.SigningMethod, key any) string {
	claims := jwt.MapClaims{"aud": f.here + f.place, "exp": time.Now().Add(time.Hour).Unix(), "sub": fmt.Sprint(f.Uint64())}
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		panic(err) // the key is of the wrong type
	}
	return text
}

// some is a random time beyond what clocks may differ by.
func (f *forger) some() time.Duration {
	return azure.Leeway + 10*time.Second + time.Duration(f.Int64N(int64(1000*time.Hour)))
}

// bytes are random ones.
func (f *forger) bytes(most int) string {
	b := make([]byte, 1+f.IntN(most))
	for i := range b {
		b[i] = byte(f.Uint32())
	}
	return string(b)
}

// forgeries are the ways to make a token that lets nobody in, row 65.
var forgeries = []struct {
	name string
	make func(*forger) string
}{
	{"65 none", func(*forger) string { return "" }},
	{"65 random bytes", func(f *forger) string { return f.bytes(300) }},
	{"65 random parts", func(f *forger) string { return b64(f.bytes(50)) + "." + b64(f.bytes(200)) + "." + b64(f.bytes(50)) }},
	{"65 random claims", func(f *forger) string { return signed(hs256, f.bytes(200), ownKey) }},
	{"65 random header", func(f *forger) string { return signed(f.bytes(50), f.good(), ownKey) }},
	{"65 random signature", func(f *forger) string { return b64(hs256) + "." + b64(f.good()) + "." + b64(f.bytes(64)) }},
	{"65 another key", func(f *forger) string { return signed(hs256, f.good(), f.bytes(64)) }},
	{"65 no key", func(f *forger) string { return signed(hs256, f.good(), "") }},
	{"65 the key of an upstream", func(f *forger) string { return signed(hs256, f.good(), eastKey) }},
	{"65 our key for an upstream", func(f *forger) string { return signed(hs256, f.claims(f.upstream+f.place, time.Hour, ""), ownKey) }},
	{"65 alg none", func(f *forger) string { return b64(`{"alg":"none"}`) + "." + b64(f.good()) + "." }},
	{"65 alg none, signed", func(f *forger) string { return signed(`{"alg":"none"}`, f.good(), ownKey) }},
	{"65 alg none in capitals", func(f *forger) string { return signed(`{"alg":"NONE"}`, f.good(), ownKey) }},
	{"65 alg none by the library", func(f *forger) string { return f.with(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType) }},
	{"65 no alg", func(f *forger) string { return signed(`{"typ":"JWT"}`, f.good(), ownKey) }},
	{"65 two algs", func(f *forger) string { return signed(`{"alg":["HS256"],"typ":"JWT"}`, f.good(), ownKey) }},
	{"65 alg HS512", func(f *forger) string { return f.with(jwt.SigningMethodHS512, []byte(ownKey)) }},
	{"65 alg HS384", func(f *forger) string { return f.with(jwt.SigningMethodHS384, []byte(ownKey)) }},
	{"65 alg HS512 in the header", func(f *forger) string { return signed(`{"alg":"HS512"}`, f.good(), ownKey) }},
	{"65 alg RS256 in the header", func(f *forger) string { return signed(`{"alg":"RS256"}`, f.good(), ownKey) }},
	{"65 alg ES256 in the header", func(f *forger) string { return signed(`{"alg":"ES256"}`, f.good(), ownKey) }},
	{"65 a critical header", func(f *forger) string { return signed(`{"alg":"HS256","crit":["exp"]}`, f.good(), ownKey) }},
	{"65 expired", func(f *forger) string { return signed(hs256, f.claims(f.here+f.place, -f.some(), ""), ownKey) }},
	{"65 never expires", func(f *forger) string { return signed(hs256, fmt.Sprintf(`{"aud":%q}`, f.here+f.place), ownKey) }},
	{"65 future nbf", func(f *forger) string {
		return signed(hs256, f.claims(f.here+f.place, time.Hour, fmt.Sprintf(`,"nbf":%d`, time.Now().Add(f.some()).Unix())), ownKey)
	}},
	{"65 no audience", func(f *forger) string { return signed(hs256, f.claims("", time.Hour, ""), ownKey) }},
	{"65 another host", func(f *forger) string {
		return signed(hs256, f.claims("http://x.example"+f.place, time.Hour, ""), ownKey)
	}},
	{"65 another scheme", func(f *forger) string {
		return signed(hs256, f.claims("https"+strings.TrimPrefix(f.here, "http")+f.place, time.Hour, ""), ownKey)
	}},
	{"65 the host alone", func(f *forger) string { return signed(hs256, f.claims(f.here, time.Hour, ""), ownKey) }},
	{"65 another hub", func(f *forger) string { return signed(hs256, f.claims(f.here+f.elsewhere, time.Hour, ""), ownKey) }},
	{"65 a bit of the header", func(f *forger) string { return f.flip(0) }},
	{"65 a bit of the claims", func(f *forger) string { return f.flip(1) }},
	{"65 a bit of the signature", func(f *forger) string { return f.flip(2) }},
	{"65 truncated", func(f *forger) string { token := f.token(); return token[:f.IntN(len(token))] }},
	{"65 longer", func(f *forger) string { return f.token() + b64(f.bytes(3)) }},
	{"65 other claims", func(f *forger) string {
		header, signature, _ := strings.Cut(f.token(), ".")
		_, signature, _ = strings.Cut(signature, ".")
		return header + "." + b64(f.good()) + "." + signature
	}},
}

// intruder is a client that goes on with its connection as long as it is let.
type intruder struct {
	address string
	conn    *net.TCPConn
	in      *bufio.Reader
}

// tries sends a request and returns the status and the whole answer.
func (i *intruder) tries(method, request string) (status int, whole string, err error) {
	if i.conn == nil {
		conn, err := net.DialTimeout("tcp4", i.address, patience)
		if err != nil {
			return 0, "", err
		}
		i.conn, i.in = conn.(*net.TCPConn), bufio.NewReader(conn)
		_ = conn.SetDeadline(time.Now().Add(patience))
	}
	if _, err := io.WriteString(i.conn, request); err != nil {
		return 0, "", err
	}
	a, err := http.ReadResponse(i.in, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if a.Close {
		i.leaves()
	}
	return a.StatusCode, fmt.Sprint(a.Status, a.Header, a.Close, string(body)), err
}

// leaves closes the connection. By a reset, so that thousands of them leave nothing
// behind in the system.
func (i *intruder) leaves() {
	if i.conn != nil {
		_ = i.conn.SetLinger(0)
		i.conn.Close()
		i.conn = nil
	}
}

// TestForgedTokens: whoever shows a token that is not good for what is asked gets
// 401 at every door, the same whatever is wrong with it. Nobody else hears of it, and
// nothing is left of it. A client of Web PubSub that wants a connection back shows
// another token, for which see TestServiceRecoveryWithoutToken and TestServiceTokens.
func TestForgedTokens(t *testing.T) {
	balanced(t)
	tokens, intruders := 10_000, 32
	if raceEnabled {
		tokens = 1500
	}
	s, _ := scripted(t, answered("404 Not Found", "text/plain", "unknown"))
	offices := make(map[azure.Service]*office)
	for _, kind := range []azure.Service{azure.WebPubSub, azure.SignalR} {
		offices[kind] = serveRegions(t, kind, nil, stubMember(t, s, "east", eastKey))
	}
	forgerAt := func(d *door, seed int) *forger {
		return &forger{rand.New(rand.NewPCG(65, uint64(seed))), "http://" + offices[d.kind].address, "http://" + s.address(), d.place, d.elsewhere}
	}
	cached := func() (n int) {
		for _, r := range offices {
			n += r.world.Load().routes[0].desk.guard.Cached()
		}
		return n
	}
	var shapes sync.Map // by door: the first answer
	var group sync.WaitGroup
	for n := range intruders {
		group.Go(func() {
			mine := make(map[string]*intruder)
			for i := n; i < tokens; i += intruders {
				d, how := &doors[i%len(doors)], forgeries[i/len(doors)%len(forgeries)]
				f := forgerAt(d, i)
				token := how.make(f)
				address := offices[d.kind].address
				who := mine[address]
				if who == nil {
					who = &intruder{address: address}
					mine[address] = who
					defer who.leaves()
				}
				// What is no text can only stand in the query.
				inField := f.IntN(2) == 0 && !strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' })
				status, whole, err := who.tries(d.method, d.request(address, token, inField))
				if err != nil || status != http.StatusUnauthorized {
					t.Errorf("%v %s, %s, token %d %q: %s, %v", d.kind, d.name, how.name, i, token, whole, err)
					return
				}
				if first, _ := shapes.LoadOrStore(d, whole); first != whole {
					t.Errorf("%v %s, %s: got %s, and %s before", d.kind, d.name, how.name, whole, first)
					return
				}
			}
		})
	}
	group.Wait()
	if n := s.conns.Load(); n != 0 {
		t.Errorf("an upstream was contacted %d times", n)
	}
	if n := cached(); n != 0 {
		t.Errorf("%d tokens are remembered", n)
	}

	// Nothing was wrong but the tokens.
	for i := range doors {
		d := &doors[i]
		who := &intruder{address: offices[d.kind].address}
		status, whole, err := who.tries(d.method, d.request(who.address, forgerAt(d, i).token(), true))
		who.leaves()
		if err != nil || status == http.StatusUnauthorized {
			t.Errorf("%v %s with a good token: %s, %v", d.kind, d.name, whole, err)
		}
	}
	if cached() == 0 || s.conns.Load() == 0 {
		t.Errorf("%d good tokens are remembered, %d connections were made", cached(), s.conns.Load())
	}
}

// TestLongTokens is row 63: a token is taken up to what its place and the services
// have room for, and stands in no log.
func TestLongTokens(t *testing.T) {
	balanced(t)
	var l log
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if c.asked.Header.Get("Upgrade") == "" {
			c.reply(answered("202 Accepted", "text/plain", "done"))
			return
		}
		c.reply(good101)
		c.hold()
	})
	offices := make(map[azure.Service]*office)
	for _, kind := range []azure.Service{azure.WebPubSub, azure.SignalR} {
		u := stubMember(t, s, "east", eastKey).build(t)
		offices[kind] = &office{start(t, Options{
			Upstreams: []*pool.Upstream{u}, Logger: l.at(-8), AccessLogger: l.at(-8),
			Routes: []Route{{Set: set(t, u), Service: &Service{Kind: kind, AccessKeys: []azure.Key{accessKey(t, ownKey)}}}},
		}), kind}
	}
	const taken = 0
	for _, row := range []struct {
		name    string
		size    int
		inField bool
		want    int
	}{
		{"63 4 KiB in the query", 4 << 10, false, taken},
		{"63 4 KiB in the field", 4 << 10, true, taken},
		{"63 7 KiB in the query", 7 << 10, false, taken},
		{"63 12 KiB in the query", 12 << 10, false, http.StatusRequestURITooLong},
		{"63 12 KiB in the field", 12 << 10, true, taken},
		{"63 over 12 KiB in the field", 12<<10 + 4, true, http.StatusRequestHeaderFieldsTooLarge},
		{"63 20 KiB in the field", 20 << 10, true, http.StatusRequestHeaderFieldsTooLarge},
	} {
		for i := range doors {
			d := &doors[i]
			r := offices[d.kind]
			t.Run(fmt.Sprintf("%s/%v %s", row.name, d.kind, d.name), func(t *testing.T) {
				f := &forger{rand.New(rand.NewPCG(63, uint64(i))), "http://" + r.address, "", d.place, ""}
				token := f.tokenOf(row.size)
				if row.size-len(token) > 3 {
					t.Fatalf("the token has %d bytes", len(token))
				}
				who := &intruder{address: r.address}
				defer who.leaves()
				status, whole, err := who.tries(d.method, d.request(r.address, token, row.inField))
				if err != nil || row.want == taken && status >= 300 || row.want != taken && status != row.want {
					t.Errorf("got %s, %v", whole, err)
				}
				if strings.Contains(whole, token) {
					t.Error("the token is repeated")
				}
			})
		}
	}
	for _, r := range offices {
		r.stop()
	}
	text := l.String()
	if !strings.Contains(text, "path=/client/hubs/chat") {
		t.Fatalf("nothing was logged:\n%s", text)
	}
	if start, _, _ := strings.Cut(b64(hs256), "."); strings.Contains(text, start[:8]) {
		t.Errorf("a token stands in the log:\n%s", text)
	}
}
