package negotiate

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/pointsman/pointsman/internal/azure"
)

const (
	// DefaultPinned is how many ids an [Affinity] remembers unless told otherwise; each takes about 200 bytes.
	DefaultPinned = 65536
	// DefaultPinnedFor is how long it remembers one that nobody asks about, unless told otherwise.
	DefaultPinnedFor = time.Hour

	// MaxID is the longest id that is pinned, in bytes. Longer ones are left alone.
	MaxID = 4096

	hintMark = ".pm"
	hintMAC  = 12 // bytes of the MAC that are sent: nobody guesses 96 bits over a network
)

// hintLength is how much longer an id with a hint is, in bytes.
var hintLength = len(hintMark) + base64.RawURLEncoding.EncodedLen(hintMAC)

// SteerParameter is the parameter in the query of a URL that says which upstream it is for. Its value is from [Affinity.Issue]; the
// router that takes the request finds the upstream with [Affinity.Find], prefers it while it is usable, and does not send the
// parameter on.
const SteerParameter = "pointsman_to"

// AffinityOptions configures an [Affinity].
type AffinityOptions struct {
	// Keys sign the hints: the first makes them, all are taken. Routers that share them understand each other's hints. With none, a
	// random key is drawn, and no other router understands them, nor this one after a restart.
	Keys []azure.Key
	// Pinned is how many ids are remembered. 0 means [DefaultPinned].
	Pinned int
	// PinnedFor is how long an id is remembered after it was last asked about. 0 means [DefaultPinnedFor].
	PinnedFor time.Duration
}

// Affinity leads all requests of one connection to the upstream that it began with. What identifies it is an id that the upstream
// has made and the client repeats in the query of each request: the connection token of SignalR ("id"), the session of Engine.IO
// ("sid"), or one that we make ourselves for a cookie or a URL.
//
// It knows by two means. It remembers ids, in a bounded LRU, by their SHA-256. And it appends a signed hint to the id, so that a
// router with the same key that has never seen it knows the upstream as well:
//
//	<id>.pm<MAC>
//
// MAC is the first 12 bytes of HMAC-SHA256 over the name of the upstream and the id, in base64url without padding: 16 characters. The
// name itself is not in it; the router tries those that it has. All characters are unreserved in URLs (RFC 3986 §2.3), so that a
// client's escaping leaves them alone, and clients treat the id as opaque. The key of the MAC is derived from the given one.
//
// All methods may be called concurrently.
type Affinity struct {
	keys [][]byte
	ttl  time.Duration
	ids  *lru.Cache[[sha256.Size]byte, pinned]
}

// pinned is where an id leads.
type pinned struct {
	upstream string
	until    time.Time
}

// NewAffinity makes an affinity. It reports all mistakes in o together and starts nothing.
func NewAffinity(o AffinityOptions) (*Affinity, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Pinned == 0 {
		o.Pinned = DefaultPinned
	}
	if o.PinnedFor == 0 {
		o.PinnedFor = DefaultPinnedFor
	}
	if o.Pinned < 0 {
		bad("pinned %d is negative", o.Pinned)
	}
	if o.PinnedFor < 0 {
		bad("pinned for %v is negative", o.PinnedFor)
	}
	a := &Affinity{ttl: o.PinnedFor}
	for i, key := range o.Keys {
		if key.IsZero() {
			bad("key %d is empty", i)
			continue
		}
		a.keys = append(a.keys, derive([]byte(key.Reveal())))
	}
	if len(o.Keys) == 0 {
		random := make([]byte, sha256.Size)
		_, _ = rand.Read(random) // never fails
		a.keys = append(a.keys, random)
	}
	if len(errs) == 0 {
		ids, err := lru.New[[sha256.Size]byte, pinned](o.Pinned)
		if err != nil {
			bad("%w", err)
		}
		a.ids = ids
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("affinity: %w", err)
	}
	return a, nil
}

// derive makes the key of hints, so that a hint is never mistaken for something else that the same key has signed.
func derive(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("pointsman affinity hint 1"))
	return mac.Sum(nil)
}

// Remember pins an id of upstream, for as long as it is remembered. It is for ids that must stay as they are.
func (a *Affinity) Remember(id, upstream string) {
	if id != "" && len(id) <= MaxID {
		a.ids.Add(sha256.Sum256([]byte(id)), pinned{upstream, time.Now().Add(a.ttl)})
	}
}

// Pin pins an id of upstream and returns it with its hint. One that is empty or longer than [MaxID] comes back as it is.
func (a *Affinity) Pin(id, upstream string) string {
	if id == "" || len(id) > MaxID {
		return id
	}
	a.Remember(id, upstream)
	return id + hintMark + base64.RawURLEncoding.EncodeToString(sign(a.keys[0], id, upstream))
}

// Issue makes a new id for upstream and returns it with its hint, 41 characters. It is not remembered: the hint is enough.
func (a *Affinity) Issue(upstream string) string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	id := base64.RawURLEncoding.EncodeToString(random)
	return id + hintMark + base64.RawURLEncoding.EncodeToString(sign(a.keys[0], id, upstream))
}

// Find says where an id leads that a client has sent: to upstream, which wants to see it as bare. upstreams are the names of those
// that it may lead to. One that is remembered may also be of an upstream that is not among them any more.
//
// Not found is an id that is not remembered and has no hint, or one that none of our keys and names explains: then bare is the id
// as it came, and no harm is done if it is sent to any upstream, which answers that it does not know it.
func (a *Affinity) Find(id string, upstreams []string) (bare, upstream string, found bool) {
	if id == "" || len(id) > MaxID+hintLength {
		return id, "", false
	}
	if bare, mac, ok := cutHint(id); ok {
		if upstream, ok := a.recall(bare); ok {
			return bare, upstream, true
		}
		for _, key := range a.keys {
			for _, upstream := range upstreams {
				if hmac.Equal(mac, sign(key, bare, upstream)) {
					a.Remember(bare, upstream)
					return bare, upstream, true
				}
			}
		}
	}
	upstream, found = a.recall(id)
	return id, upstream, found
}

// recall looks an id up in the memory.
func (a *Affinity) recall(id string) (upstream string, ok bool) {
	sum := sha256.Sum256([]byte(id))
	p, ok := a.ids.Get(sum)
	if !ok {
		return "", false
	}
	now := time.Now()
	if !now.Before(p.until) {
		a.ids.Remove(sum)
		return "", false
	}
	// Written again only now and then: it takes the lock of everybody once more.
	if p.until.Sub(now) < a.ttl-a.ttl/8 {
		a.ids.Add(sum, pinned{p.upstream, now.Add(a.ttl)})
	}
	return p.upstream, true
}

// Pinned returns how many ids are remembered, forgotten ones included that nobody has asked about since.
func (a *Affinity) Pinned() int { return a.ids.Len() }

// cutHint cuts the hint from an id.
func cutHint(id string) (bare string, mac []byte, ok bool) {
	at := len(id) - hintLength
	if at < 1 || !strings.HasPrefix(id[at:], hintMark) {
		return "", nil, false
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(id[at+len(hintMark):])
	return id[:at], mac, err == nil && len(mac) == hintMAC
}

// sign makes the MAC of a hint. The length of the name goes first, so that name and id cannot be cut in another place.
func sign(key []byte, id, upstream string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(upstream))))
	mac.Write([]byte(upstream))
	mac.Write([]byte(id))
	return mac.Sum(nil)[:hintMAC]
}
