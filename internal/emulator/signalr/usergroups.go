package signalr

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// keptForever is how many groups without a time to live are kept per user; the
	// newest count.
	keptForever = 100
	// forever is the time to live where none is given.
	forever = 365 * 24 * time.Hour
)

// userGroups are the groups that users are in, connected or not. All methods
// may be called concurrently.
type userGroups struct {
	limit int // most memberships

	mu     sync.Mutex
	byUser map[userKey]map[string]membership
	byName map[groupKey]map[string]struct{} // users
	total  int
	added  int64 // memberships so far
	swept  time.Time
}

type userKey struct{ hub, user string }

type groupKey struct{ hub, group string }

// membership of one user in one group.
type membership struct {
	expires time.Time
	endless bool // no time to live was given
	order   int64
}

func newUserGroups(limit int) *userGroups {
	return &userGroups{limit: limit, byUser: make(map[userKey]map[string]membership), byName: make(map[groupKey]map[string]struct{})}
}

// add puts a user into a group for ttl, or without one if that is 0. The result
// is false if there is no room.
func (u *userGroups) add(hub, user, group string, ttl time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	key := userKey{hub, user}
	if _, in := u.byUser[key][group]; !in && u.total >= u.limit {
		// Once a second at most: a full house must not make each call slow.
		if now.Sub(u.swept) < time.Second {
			return false
		}
		u.sweepLocked(now)
		if u.total >= u.limit {
			return false
		}
	}
	u.added++
	m := membership{expires: now.Add(ttl), order: u.added}
	if ttl == 0 {
		m.expires, m.endless = now.Add(forever), true
	}
	u.removeLocked(key, group)
	if u.byUser[key] == nil {
		u.byUser[key] = make(map[string]membership)
	}
	name := groupKey{hub, group}
	if u.byName[name] == nil {
		u.byName[name] = make(map[string]struct{})
	}
	u.byUser[key][group] = m
	u.byName[name][user] = struct{}{}
	u.total++
	u.keepNewestLocked(key)
	return true
}

// keepNewestLocked drops the oldest of too many groups without a time to live.
func (u *userGroups) keepNewestLocked(key userKey) {
	var endless []string
	for group, m := range u.byUser[key] {
		if m.endless {
			endless = append(endless, group)
		}
	}
	if len(endless) <= keptForever {
		return
	}
	oldest := slices.MinFunc(endless, func(a, b string) int {
		return cmp.Compare(u.byUser[key][a].order, u.byUser[key][b].order)
	})
	u.removeLocked(key, oldest)
}

// remove reports whether the user was in the group.
func (u *userGroups) remove(hub, user, group string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	in := u.hasLocked(userKey{hub, user}, group, time.Now())
	u.removeLocked(userKey{hub, user}, group)
	return in
}

// removeAll takes a user out of all groups.
func (u *userGroups) removeAll(hub, user string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := userKey{hub, user}
	for _, group := range slices.Collect(maps.Keys(u.byUser[key])) {
		u.removeLocked(key, group)
	}
}

// has reports whether a user is in a group.
func (u *userGroups) has(hub, user, group string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hasLocked(userKey{hub, user}, group, time.Now())
}

// users returns the users in a group.
func (u *userGroups) users(hub, group string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	var in []string
	for user := range u.byName[groupKey{hub, group}] {
		if u.hasLocked(userKey{hub, user}, group, now) {
			in = append(in, user)
		}
	}
	return in
}

func (u *userGroups) hasLocked(key userKey, group string, now time.Time) bool {
	m, in := u.byUser[key][group]
	return in && now.Before(m.expires)
}

func (u *userGroups) removeLocked(key userKey, group string) {
	if _, in := u.byUser[key][group]; !in {
		return
	}
	delete(u.byUser[key], group)
	if len(u.byUser[key]) == 0 {
		delete(u.byUser, key)
	}
	name := groupKey{key.hub, group}
	delete(u.byName[name], key.user)
	if len(u.byName[name]) == 0 {
		delete(u.byName, name)
	}
	u.total--
}

// sweepLocked drops what has expired.
func (u *userGroups) sweepLocked(now time.Time) {
	u.swept = now
	for key, groups := range u.byUser {
		for group, m := range groups {
			if !now.Before(m.expires) {
				u.removeLocked(key, group)
			}
		}
	}
}
