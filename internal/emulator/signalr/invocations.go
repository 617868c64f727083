package signalr

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync"
)

// maxInvocations is how many invocations of one client may wait for its results
// at the same time.
const maxInvocations = 100

var (
	errClientLeft = errors.New("the client left")
	errManyWait   = errors.New("too many invocations wait for this client")
)

// A result is what a client answered to an invocation.
type result struct {
	value json.RawMessage // nil is none
	err   error           // of the client's method, or errClientLeft
}

// invocations are those that app servers made and one client has not answered.
// The zero value is ready.
type invocations struct {
	mu      sync.Mutex
	last    int
	left    bool
	waiting map[string]chan result // with room for the result
}

// begin returns the id of a new invocation and where its result will come.
func (i *invocations) begin() (id string, results <-chan result, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.left:
		return "", nil, errClientLeft
	case len(i.waiting) >= maxInvocations:
		return "", nil, errManyWait
	case i.waiting == nil:
		i.waiting = make(map[string]chan result)
	}
	i.last++
	id = "s" + strconv.Itoa(i.last)
	c := make(chan result, 1)
	i.waiting[id] = c
	return id, c, nil
}

// forget gives up an invocation.
func (i *invocations) forget(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.waiting, id)
}

// complete hands over a result. One that nobody waits for means nothing.
func (i *invocations) complete(m hubMessage) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.waiting[m.InvocationID]
	if c == nil {
		return
	}
	delete(i.waiting, m.InvocationID)
	r := result{value: m.Result}
	if m.Error != nil {
		r.err = errors.New(*m.Error)
	}
	c <- r
}

// cancelAll ends all invocations of a client that left.
func (i *invocations) cancelAll() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.left = true
	for _, c := range i.waiting {
		c <- result{err: errClientLeft}
	}
	i.waiting = nil
}
