package pool

import "strings"

// Policy is the five decisions of a service with several upstreams: where a new client goes, and which upstreams a message is sent
// to (facts of the SDKs' routers: negotiate, broadcast, group, user, connection). [Default] makes one; a program that wants another
// decision puts its own func in the place of one, which may call the one before for what it does not decide itself.
//
// The four for messages get all upstreams, in the order of the configuration, and return those that the call is for: any of them. One
// that is not healthy is not sent to, and the caller is told that it has not got the call. Where a call is about both a group and a user,
// the second is asked with what the first has left. They must not change the slice, must not block, and are called concurrently.
type Policy struct {
	// Session picks the upstream of a new client.
	Session Router
	// Broadcast is asked for a message to all.
	Broadcast func(upstreams []*Upstream) []*Upstream
	// Group is asked for what concerns a group: messages and members.
	Group func(group string, upstreams []*Upstream) []*Upstream
	// User is asked for what concerns a user on all their connections.
	User func(user string, upstreams []*Upstream) []*Upstream
	// Connection is asked for what concerns one connection whose place is not known.
	Connection func(connection string, upstreams []*Upstream) []*Upstream
}

// Default returns the policy that sends each call to all upstreams, and picks the upstream of a client with session.
func Default(session Router) Policy {
	named := func(_ string, upstreams []*Upstream) []*Upstream { return upstreams }
	return Policy{
		Session:   session,
		Broadcast: func(upstreams []*Upstream) []*Upstream { return upstreams },
		Group:     named, User: named, Connection: named,
	}
}

// GroupPrefix returns p with another decision for groups: those whose name begins with prefix are only on the upstreams for which on
// returns true. Of several rules the last one that was put on p counts.
func (p Policy) GroupPrefix(prefix string, on func(*Upstream) bool) Policy {
	others := p.Group
	p.Group = func(group string, upstreams []*Upstream) []*Upstream {
		if !strings.HasPrefix(group, prefix) {
			return others(group, upstreams)
		}
		var chosen []*Upstream
		for _, u := range upstreams {
			if on(u) {
				chosen = append(chosen, u)
			}
		}
		return chosen
	}
	return p
}
