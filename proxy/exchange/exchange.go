package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// Why an exchange ends that neither side has brought to its end. Everything else in [Result.Err] is the upstream's doing.
var (
	// ErrClient means that the client has gone, or takes nothing. It wraps [context.Canceled].
	ErrClient = fmt.Errorf("the client has gone: %w", context.Canceled)
	// ErrBody means that the framing of the request's body is malformed.
	ErrBody = errors.New("the body of the request is malformed")
	// ErrBodyLate means that the client sent nothing of the body for too long.
	ErrBodyLate = errors.New("the body of the request did not come in time")
	// ErrLeft means that somebody has asked for the end: [Exchange.Leave].
	ErrLeft = errors.New("the exchange was ended")
)

// Options bound an exchange.
type Options struct {
	// Keep lets the client's connection live on, if the client wants that, too.
	Keep bool
	// SendTimeout is how long the upstream may take to give a body that is rewritten, or an answer after it has taken no more of the
	// request.
	SendTimeout time.Duration
	// AnswerTimeout is how long the answer may take to begin, from when the request was sent as a whole.
	AnswerTimeout time.Duration
	// BodyTimeout is how long the client may send nothing within the body.
	BodyTimeout time.Duration
	// WriteTimeout is how long a side may take no byte of a body or an answer. 0 means for ever.
	WriteTimeout time.Duration
	// IdleTimeout is how long the upstream may send nothing within its answer. 0 means for ever.
	IdleTimeout time.Duration
	// Answer bounds the head of the answer.
	Answer handshake.Limits
	// Adapt, if not nil, is shown the head of the answer and says what is changed of it. It is called in the goroutine of Carry.
	Adapt func(*handshake.Answer) Adaptation
}

// Adaptation is what is changed of an answer.
type Adaptation struct {
	// Header holds further fields as name and value.
	Header [][2]string
	// Rewrite, if not nil, makes the body for the client out of the upstream's, of which it gets at most Most bytes and one, and says
	// whether it is another: then it has no content encoding. An error is the end of the exchange, before anything was said to the
	// client. Answers without a body are not rewritten.
	Rewrite func(body []byte) (out []byte, other bool, err error)
	Most    int
}

// Result is how an exchange has ended.
type Result struct {
	// Status is that of the answer, 0 if there was none that is valid.
	Status int
	// Answered says that the client got some byte of an answer other than an interim one. Then nothing else can be said to it.
	Answered bool
	// Keep says that the next request may come on the client's connection.
	Keep bool
	// Reset says that the client can only tell by a reset that the answer is not whole.
	Reset bool
	// Err is nil if the answer has reached its end.
	Err error
	// Up and Down are the bytes of the two bodies that were passed on.
	Up, Down int64
}

// Exchange is one request and its answer. Send and then Carry are called once, by one goroutine; the other methods may be called by
// anyone at any time.
type Exchange struct {
	client   *Client
	request  *handshake.Request
	upstream net.Conn
	options  Options

	up     *inbound
	body   *body
	answer handshake.Answer

	uploaded atomic.Bool // the request was sent as a whole
	leaving  atomic.Bool

	along   int64 // bytes of the body that went with the head
	sendErr error // of the head, after some of it was sent

	mu    sync.Mutex
	state state // set by Carry
	begun bool  // Carry
	over  bool  // nobody waits for the client any more
	err   error // the first that the client's side has ended with
}

// state is how far an exchange is.
type state uint8

const (
	waiting   state = iota // for the answer
	streaming              // server-sent events, which can be ended at any time
	answering              // anything else
)

// New makes an exchange of a client. The request has passed [handshake.Request.CheckPlain], and its head stays as it is until Carry
// returns.
func New(client *Client, request *handshake.Request, o Options) *Exchange {
	return &Exchange{client: client, request: request, options: o, body: requestBody(client.in, request.ContentLength)}
}

// begin notes that Carry has begun, unless the exchange was ended before.
func (e *Exchange) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun = true
	return !e.leaving.Load()
}

// Waits reports whether the request was sent and nothing of the answer has come.
func (e *Exchange) Waits() bool { return e.is(waiting) && e.uploaded.Load() }

// Streams reports whether the answer is a stream of server-sent events that Leave can end in good order.
func (e *Exchange) Streams() bool { return e.is(streaming) }

func (e *Exchange) is(s state) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state == s
}

// Leave asks for the end of the exchange: one that waits ends without an answer, for the caller to give; a stream of server-sent events
// ends like one that the upstream has ended, and its client will ask for another. Any other answer goes on, and Leave returns false.
func (e *Exchange) Leave() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == answering {
		return false
	}
	e.leave()
	return true
}

// leave ends what is read of the upstream. The caller holds mu.
func (e *Exchange) leave() {
	e.leaving.Store(true)
	if e.begun {
		e.up.pull()
	}
}

// enter notes the state that an answer leads to, and reports false if somebody has asked for the end before and nothing was answered
// yet.
func (e *Exchange) enter(s state) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = s
	return s == streaming || !e.leaving.Load()
}

// Abort cuts both connections, at once; before Carry has begun it is [Exchange.Leave]. An answer that is cut can be seen to be.
func (e *Exchange) Abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leave()
	if e.begun {
		cut(e.upstream)
		cut(e.client.Conn)
	}
}

// cut closes a connection at once: TLS would say good-bye first, and wait for room.
func cut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close()
}
