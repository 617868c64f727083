package webpubsub

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/memnet"
)

const (
	keyText  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"
	hostName = "emulator.example:9001"
	baseText = "http://" + hostName
	patience = time.Minute
)

// A rig is a service that runs, and a client for its HTTP. Connections are pipes in memory, so that it works with real time and in
// a bubble of testing/synctest.
type rig struct {
	t       *testing.T
	service *Service
	client  *http.Client
	stop    func()
}

func newKey(t testing.TB, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func start(t *testing.T, opts Options) *rig {
	t.Helper()
	if opts.Keys == nil {
		opts.Keys = []azure.Key{newKey(t, keyText)}
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	network := memnet.Listen()
	server := &http.Server{Handler: s}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(network) })
	ended.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, service: s, client: &http.Client{Transport: &http.Transport{DialContext: network.Dial, DisableKeepAlives: true}}}
	r.stop = sync.OnceFunc(func() {
		cancel()
		_ = server.Close()
		ended.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

// A login says with what a client comes.
type login struct {
	hub, user   string
	roles       []string
	groups      []string
	subprotocol string
	query       url.Values
	header      http.Header
	noToken     bool
}

var everything = []string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"}

func (r *rig) mint(audience string, change func(*azure.Claims)) string {
	r.t.Helper()
	claims := azure.NewClaims(audience, time.Now(), time.Hour)
	if change != nil {
		change(claims)
	}
	token, err := azure.Mint(newKey(r.t, keyText), claims)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// try makes a handshake.
func (r *rig) try(l login) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	if l.hub == "" {
		l.hub = "chat"
	}
	query := url.Values{}
	for name, values := range l.query {
		query[name] = values
	}
	if !l.noToken {
		query.Set("access_token", r.mint(baseText+"/client/hubs/"+l.hub, func(c *azure.Claims) {
			c.SetUser(azure.WebPubSub, l.user)
			c.SetStrings(azure.ClaimRole, l.roles)
			c.SetStrings(azure.ClaimGroup, l.groups)
		}))
	}
	opts := &websocket.DialOptions{HTTPClient: r.client, HTTPHeader: l.header}
	if l.subprotocol != "" {
		opts.Subprotocols = strings.Split(l.subprotocol, ",")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, baseText+"/client/hubs/"+l.hub+"?"+query.Encode(), opts)
	if err == nil {
		conn.SetReadLimit(-1)
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, response, err
}

// A peer is a connected client.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
	// id and token are those of the last connected frame.
	id, token string
}

func (r *rig) dial(l login) *peer {
	r.t.Helper()
	conn, _, err := r.try(l)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &peer{t: r.t, conn: conn}
	if strings.Contains(conn.Subprotocol(), "webpubsub") {
		p.connected(l.user)
	}
	return p
}

// connected reads the first frame.
func (p *peer) connected(user string) {
	p.t.Helper()
	f := p.read()
	p.id, _ = f["connectionId"].(string)
	p.token, _ = f["reconnectionToken"].(string)
	want := object{"type": "system", "event": "connected", "connectionId": p.id}
	if user != "" {
		want["userId"] = user
	}
	if p.token != "" {
		want["reconnectionToken"] = p.token
	}
	if diff := cmp.Diff(want, f); diff != "" || p.id == "" || (p.token != "") != (p.conn.Subprotocol() == subprotocolReliable) {
		p.t.Fatalf("connected frame (-want +got):\n%s", diff)
	}
}

type object = map[string]any

func (p *peer) read() object {
	p.t.Helper()
	kind, data := p.message()
	var f object
	if err := json.Unmarshal(data, &f); err != nil || kind != websocket.MessageText {
		p.t.Fatalf("%v %q: %v", kind, data, err)
	}
	return f
}

func (p *peer) message() (websocket.MessageType, []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, data, err := p.conn.Read(ctx)
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return kind, data
}

// gets reads frames and compares them with lines of JSON.
func (p *peer) gets(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		var want object
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, p.read()); diff != "" {
			p.t.Fatalf("frame (-want +got):\n%s", diff)
		}
	}
}

func (p *peer) send(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		p.write(websocket.MessageText, line)
	}
}

func (p *peer) write(kind websocket.MessageType, data string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Write(ctx, kind, []byte(data)); err != nil {
		p.t.Fatalf("write %.100s: %v", data, err)
	}
}

// quiet checks that nothing was sent before the answer to a ping.
func (p *peer) quiet() {
	p.t.Helper()
	p.send(`{"type":"ping"}`)
	p.gets(`{"type":"pong"}`)
}

// ends reads the Close frame.
func (p *peer) ends(code websocket.StatusCode, reason string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := p.conn.Read(ctx)
	var c websocket.CloseError
	if err == nil {
		p.t.Fatalf("got %q where the end was expected", data)
	}
	if !asClose(err, &c) || c.Code != code || !strings.Contains(c.Reason, reason) {
		p.t.Fatalf("end: %v, want code %d and reason %q", err, code, reason)
	}
}

// call makes a REST call with a token for it. The query gets an api-version
// unless it has one.
func (r *rig) call(method, target, contentType, body string) (status int, header http.Header, answer string) {
	r.t.Helper()
	u, err := url.Parse(baseText + target)
	if err != nil {
		r.t.Fatal(err)
	}
	query := u.Query()
	if !query.Has("api-version") {
		query.Set("api-version", "2024-12-01")
	}
	u.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+r.mint(baseText+u.EscapedPath(), nil))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(b)
}

// does makes a call that must be answered with a status.
func (r *rig) does(status int, method, target string, body ...string) string {
	r.t.Helper()
	contentType, text := "", ""
	if len(body) == 2 {
		contentType, text = body[0], body[1]
	}
	got, _, answer := r.call(method, target, contentType, text)
	if got != status {
		r.t.Fatalf("%s %s: %d %s, want %d", method, target, got, answer, status)
	}
	return answer
}

func itoa(n int) string { return strconv.Itoa(n) }

func mustBase(t testing.TB, text string) azure.Base {
	t.Helper()
	b, err := azure.ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// eventually waits for what the service does on its own after an answer.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v", patience)
		}
	}
}
