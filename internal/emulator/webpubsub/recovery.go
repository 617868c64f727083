package webpubsub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// The parameters by which a client asks for its recovery.
const (
	recoverID    = "awps_connection_id"
	recoverToken = "awps_reconnection_token"
)

// reconnectionLife is how long a reconnection token is good for.
const reconnectionLife = 7 * 24 * time.Hour

// recover gives a reliable client a new socket in the place of a lost one. A
// client that cannot be recovered is told so by an accepted handshake and close
// code 1008: it takes an HTTP error for a passing one.
func (s *Service) recover(w http.ResponseWriter, r *http.Request, hub, id, token string) {
	conn, err := accept(w, r, subprotocolReliable)
	if err != nil {
		return // Accept has answered already
	}
	defer conn.CloseNow()
	e, ok := s.roster.Get(hub, id)
	if ok && e.Member.protocol == protocolReliable && s.isReconnectionToken(token, id) {
		first := e.Member.connectedFrame()
		if socket, ok := e.Member.attach(conn, &first); ok {
			e.Member.run(conn, socket)
			return
		}
	}
	// A client that is gone already needs no good-bye.
	_ = conn.Close(websocket.StatusPolicyViolation, "The connection cannot be recovered.")
}

// reconnectionToken returns a token that is good for one connection id.
func (s *Service) reconnectionToken(id string) string {
	return s.signExpiry(id, time.Now().Add(reconnectionLife))
}

func (s *Service) signExpiry(id string, expires time.Time) string {
	token := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(token) // never fails
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(token))
}

func (s *Service) isReconnectionToken(token, id string) bool {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != 8+sha256.Size {
		return false
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	return hmac.Equal([]byte(token), []byte(s.signExpiry(id, expires))) && time.Now().Before(expires)
}
