package roster

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

// What keeps a member or a group out.
var (
	ErrFull    = errors.New("as many connections as are allowed")
	ErrGroups  = errors.New("as many groups as are allowed")
	ErrTaken   = errors.New("connection id is taken")
	ErrUnknown = errors.New("no such connection")
)

// Limits bound a roster. Each must be above zero.
type Limits struct {
	Connections int // in all hubs together
	Groups      int // different ones, in all hubs together
	Memberships int // groups of one connection
}

// An Entry is one line of the roster.
type Entry[M any] struct {
	ID     string // of the connection, unique within its hub
	User   string // "" is nobody
	Member M
}

// A Roster knows the members of all hubs. Names of hubs, users and groups are
// compared exactly: folding them is the caller's business.
type Roster[M any] struct {
	limits Limits

	mu     sync.RWMutex
	hubs   map[string]*hub[M]
	total  int // members of all hubs
	groups int // groups of all hubs
}

type hub[M any] struct {
	byID    map[string]*record[M]
	byUser  map[string]map[string]*record[M] // user, then id
	byGroup map[string]map[string]*record[M] // group, then id
}

type record[M any] struct {
	Entry[M]
	groups map[string]struct{}
}

// New returns an empty roster.
func New[M any](limits Limits) *Roster[M] {
	return &Roster[M]{limits: limits, hubs: make(map[string]*hub[M])}
}

// Join enters a member. The error is [ErrFull] or [ErrTaken].
func (r *Roster[M]) Join(hubName string, e Entry[M]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.total >= r.limits.Connections {
		return ErrFull
	}
	h := r.hubs[hubName]
	if h == nil {
		h = &hub[M]{
			byID:    make(map[string]*record[M]),
			byUser:  make(map[string]map[string]*record[M]),
			byGroup: make(map[string]map[string]*record[M]),
		}
		r.hubs[hubName] = h
	}
	if h.byID[e.ID] != nil {
		return ErrTaken
	}
	one := &record[M]{Entry: e, groups: make(map[string]struct{})}
	h.byID[e.ID] = one
	if e.User != "" {
		add(h.byUser, e.User, one)
	}
	r.total++
	return nil
}

// Leave strikes a member off, and reports whether it was there.
func (r *Roster[M]) Leave(hubName, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, one := r.find(hubName, id)
	if one == nil {
		return false
	}
	for group := range one.groups {
		r.exit(h, one, group)
	}
	drop(h.byUser, one.User, id)
	delete(h.byID, id)
	r.total--
	if len(h.byID) == 0 {
		delete(r.hubs, hubName)
	}
	return true
}

// Enter puts a member into a group; to be in it already is fine. The error is
// [ErrUnknown] or [ErrGroups].
func (r *Roster[M]) Enter(hubName, id, group string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, one := r.find(hubName, id)
	if one == nil {
		return ErrUnknown
	}
	if _, in := one.groups[group]; in {
		return nil
	}
	isNew := len(h.byGroup[group]) == 0
	if len(one.groups) >= r.limits.Memberships || isNew && r.groups >= r.limits.Groups {
		return ErrGroups
	}
	one.groups[group] = struct{}{}
	add(h.byGroup, group, one)
	if isNew {
		r.groups++
	}
	return nil
}

// Exit takes a member out of a group, and reports whether it was in it.
func (r *Roster[M]) Exit(hubName, id, group string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, one := r.find(hubName, id)
	if one == nil {
		return false
	}
	if _, in := one.groups[group]; !in {
		return false
	}
	r.exit(h, one, group)
	return true
}

// ExitAll takes a member out of all groups.
func (r *Roster[M]) ExitAll(hubName, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, one := r.find(hubName, id)
	if one == nil {
		return
	}
	for group := range one.groups {
		r.exit(h, one, group)
	}
}

func (r *Roster[M]) exit(h *hub[M], one *record[M], group string) {
	delete(one.groups, group)
	if drop(h.byGroup, group, one.ID) {
		r.groups--
	}
}

// Get returns the entry of a connection.
func (r *Roster[M]) Get(hubName, id string) (e Entry[M], ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, one := r.find(hubName, id)
	if one == nil {
		return e, false
	}
	return one.Entry, true
}

// Groups returns the groups that a connection is in, sorted.
func (r *Roster[M]) Groups(hubName, id string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, one := r.find(hubName, id)
	if one == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(one.groups))
}

// Has reports whether a connection is in a group.
func (r *Roster[M]) Has(hubName, id, group string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, one := r.find(hubName, id)
	if one == nil {
		return false
	}
	_, in := one.groups[group]
	return in
}

// All returns the members of a hub in no order.
func (r *Roster[M]) All(hubName string) []Entry[M] {
	return r.list(hubName, func(h *hub[M]) map[string]*record[M] { return h.byID })
}

// User returns the members of a hub that are one user, in no order.
func (r *Roster[M]) User(hubName, user string) []Entry[M] {
	return r.list(hubName, func(h *hub[M]) map[string]*record[M] { return h.byUser[user] })
}

// Group returns the members of a group, in no order.
func (r *Roster[M]) Group(hubName, group string) []Entry[M] {
	return r.list(hubName, func(h *hub[M]) map[string]*record[M] { return h.byGroup[group] })
}

// Everybody returns the members of all hubs, in no order.
func (r *Roster[M]) Everybody() []Entry[M] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Entry[M], 0, r.total)
	for _, h := range r.hubs {
		for _, one := range h.byID {
			all = append(all, one.Entry)
		}
	}
	return all
}

// Len returns how many members there are in all hubs.
func (r *Roster[M]) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.total
}

func (r *Roster[M]) list(hubName string, of func(*hub[M]) map[string]*record[M]) []Entry[M] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h := r.hubs[hubName]
	if h == nil {
		return nil
	}
	chosen := of(h)
	entries := make([]Entry[M], 0, len(chosen))
	for _, one := range chosen {
		entries = append(entries, one.Entry)
	}
	return entries
}

// find returns nil for both, or only for the record, where there is none.
func (r *Roster[M]) find(hubName, id string) (*hub[M], *record[M]) {
	h := r.hubs[hubName]
	if h == nil {
		return nil, nil
	}
	return h, h.byID[id]
}

func add[M any](index map[string]map[string]*record[M], key string, one *record[M]) {
	if index[key] == nil {
		index[key] = make(map[string]*record[M])
	}
	index[key][one.ID] = one
}

// drop reports whether key is gone with it.
func drop[M any](index map[string]map[string]*record[M], key, id string) bool {
	delete(index[key], id)
	if len(index[key]) > 0 {
		return false
	}
	delete(index, key)
	return true
}
