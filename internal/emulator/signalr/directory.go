package signalr

import "sync"

// directory finds clients by what they connect with. All methods may be called
// concurrently.
type directory struct {
	limit int

	mu      sync.Mutex
	clients map[string]*client
	closed  bool
}

func newDirectory(limit int) *directory {
	return &directory{limit: limit, clients: make(map[string]*client)}
}

// add returns false if there is no room, or the service has ended.
func (d *directory) add(c *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.clients) >= d.limit {
		return false
	}
	d.clients[c.token] = c
	return true
}

func (d *directory) remove(c *client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clients[c.token] == c {
		delete(d.clients, c.token)
	}
}

// find returns nil if there is none, or it belongs to another hub.
func (d *directory) find(token, hub string) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[token]; c != nil && c.hub == hub {
		return c
	}
	return nil
}

// close takes nobody in any more and returns all that are there.
func (d *directory) close() []*client {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	all := make([]*client, 0, len(d.clients))
	for _, c := range d.clients {
		all = append(all, c)
	}
	return all
}
