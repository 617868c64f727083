package signalr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	baseText = "http://emulator.example:9002"
	patience = time.Minute
)

type object = map[string]any

// A rig is a service that runs, and a client for its HTTP.
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

// do makes a request; the caller closes the body.
func (r *rig) do(ctx context.Context, method, target, body string, header http.Header) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, baseText+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	return response
}

// ask makes a request and reads the answer.
func (r *rig) ask(method, target, body string, header http.Header) (status int, h http.Header, answer string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	response := r.do(ctx, method, target, body, header)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(b)
}

// does makes a REST call, which must be answered with a status. It gets an
// api-version unless it is of version 1.0 or has one.
func (r *rig) does(status int, method, target string, body ...string) string {
	r.t.Helper()
	u, err := url.Parse(baseText + target)
	if err != nil {
		r.t.Fatal(err)
	}
	query := u.Query()
	if !query.Has("api-version") && !strings.HasPrefix(target, "/api/v1/") {
		query.Set("api-version", "2024-12-01")
	}
	u.RawQuery = query.Encode()
	h := http.Header{"Authorization": {"Bearer " + r.mint("http://emulator.example"+u.EscapedPath(), nil)}}
	text := ""
	if len(body) == 1 {
		text = body[0]
		h.Set("Content-Type", "application/json")
	}
	got, _, answer := r.ask(method, strings.TrimPrefix(u.String(), baseText), text, h)
	if got != status {
		r.t.Fatalf("%s %s: %d %s, want %d", method, target, got, answer, status)
	}
	return answer
}

// A login says with what a client comes.
type login struct {
	hub, user string
	query     string // more of it, beginning with &
	claims    func(*azure.Claims)
}

func (l login) hubName() string {
	if l.hub == "" {
		return "chat"
	}
	return l.hub
}

// token is what the SDK signs: for the host without its port.
func (r *rig) token(l login) string {
	r.t.Helper()
	return r.mint("http://emulator.example/client/?hub="+l.hubName(), func(c *azure.Claims) {
		c.SetUser(azure.SignalR, l.user)
		if l.claims != nil {
			l.claims(c)
		}
	})
}

func (r *rig) bearer(l login) http.Header {
	return http.Header{"Authorization": {"Bearer " + r.token(l)}}
}

// negotiate returns the answer to negotiate, version 1.
func (r *rig) negotiate(l login) negotiated {
	r.t.Helper()
	status, _, body := r.ask("POST", "/client/negotiate?hub="+l.hubName()+l.query+"&negotiateVersion=1", "", r.bearer(l))
	var n negotiated
	if err := json.Unmarshal([]byte(body), &n); err != nil || status != 200 {
		r.t.Fatalf("negotiate: %d %s", status, body)
	}
	return n
}

// target is where a client connects.
func (l login) target(token string) string {
	return "/client/?hub=" + l.hubName() + l.query + "&id=" + url.QueryEscape(token)
}

// A peer is a client with a WebSocket.
type peer struct {
	t      *testing.T
	conn   *websocket.Conn
	id     string
	buffer []byte
}

// connect negotiates and opens the socket.
func (r *rig) connect(l login) *peer {
	r.t.Helper()
	n := r.negotiate(l)
	conn, _, err := r.open(l.target(n.Token), r.bearer(l))
	if err != nil {
		r.t.Fatal(err)
	}
	return &peer{t: r.t, conn: conn, id: n.ID}
}

func (r *rig) open(target string, header http.Header) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, baseText+target, &websocket.DialOptions{HTTPClient: r.client, HTTPHeader: header})
	if err == nil {
		conn.SetReadLimit(-1)
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, response, err
}

// dial connects and shakes hands.
func (r *rig) dial(l login) *peer {
	r.t.Helper()
	p := r.connect(l)
	p.send(`{"protocol":"json","version":1}`)
	p.gets(`{}`)
	return p
}

// send sends messages, each in a frame.
func (p *peer) send(messages ...string) {
	p.t.Helper()
	for _, m := range messages {
		p.write(m + "\x1e")
	}
}

func (p *peer) write(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("write %.100s: %v", text, err)
	}
}

// next returns the next message.
func (p *peer) next() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if at := bytes.IndexByte(p.buffer, separator); at >= 0 {
			m := string(p.buffer[:at])
			p.buffer = p.buffer[at+1:]
			return m
		}
		_, data, err := p.conn.Read(ctx)
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		p.buffer = append(p.buffer, data...)
	}
}

func (p *peer) gets(messages ...string) {
	p.t.Helper()
	for _, m := range messages {
		if diff := cmp.Diff(decode(p.t, m), decode(p.t, p.next())); diff != "" {
			p.t.Fatalf("message (-want +got):\n%s", diff)
		}
	}
}

func decode(t testing.TB, text string) (v object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// quiet checks that nothing was sent before what is sent to this client alone.
func (r *rig) quiet(p *peer) {
	r.t.Helper()
	r.does(202, "POST", "/api/hubs/chat/connections/"+p.id+"/:send", `{"target":"quiet"}`)
	p.gets(`{"type":1,"target":"quiet","arguments":[]}`)
}

// ends reads the Close frame.
func (p *peer) ends() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := p.conn.Read(ctx)
	var c websocket.CloseError
	if !errors.As(err, &c) || c.Code != websocket.StatusNormalClosure {
		p.t.Fatalf("%q, %v, want a normal end", data, err)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// eventually waits for what the service does on its own after an answer.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v", patience)
		}
	}
}
