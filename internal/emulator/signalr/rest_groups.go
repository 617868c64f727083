package signalr

import (
	"errors"
	"net/http"
	"time"

	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
)

// longestTTL is the longest time to live of a user in a group, in seconds.
const longestTTL = int(forever / time.Second)

// tooManyGroups is the answer when a limit of the emulator is reached.
var tooManyGroups = &dataplane.Problem{
	Status: http.StatusTooManyRequests, Code: "TooManyGroups", Message: "There are as many groups as are allowed.",
}

// enterGroup puts a client into a group. To have left meanwhile is no error.
func (s *Service) enterGroup(one *client, group string) error {
	if err := s.roster.Enter(one.hub, one.id, group); errors.Is(err, roster.ErrGroups) {
		return tooManyGroups
	}
	return nil
}

// addConnection answers 404 if there is no such connection.
func (s *Service) addConnection(w http.ResponseWriter, c *dataplane.Call) error {
	list, err := s.chosen(oneConnection, c)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return targetConnection
	}
	if err := s.enterGroup(list[0], c.Name("group")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// removeConnection answers 404 if there is no such connection; that one was not
// in the group is no error.
func (s *Service) removeConnection(w http.ResponseWriter, c *dataplane.Call) error {
	list, err := s.chosen(oneConnection, c)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return targetConnection
	}
	s.roster.Exit(list[0].hub, list[0].id, c.Name("group"))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) leaveAllGroups(w http.ResponseWriter, c *dataplane.Call) error {
	list, err := s.chosen(oneConnection, c)
	if err != nil {
		return err
	}
	for _, one := range list {
		s.roster.ExitAll(one.hub, one.id)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// addUser puts a user into a group, with connections or without. A ttl of 0 is
// for the present connections only.
func (s *Service) addUser(status int) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		hub, err := hubOf(c)
		if err != nil {
			return err
		}
		ttl, err := c.Int("ttl", -1, 0, longestTTL)
		if err != nil {
			return err
		}
		user, group := c.Name("user"), c.Name("group")
		if ttl == 0 {
			for _, one := range allOfUser(s, hub, c) {
				if err := s.enterGroup(one, group); err != nil {
					return err
				}
			}
		} else if !s.users.add(hub, user, group, time.Duration(max(ttl, 0))*time.Second) {
			return tooManyGroups
		}
		w.WriteHeader(status)
		return nil
	}
}

// removeUser takes a user out of a group, with all present connections: which of
// them were put there one by one is not told apart.
func (s *Service) removeUser(status int) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		hub, err := hubOf(c)
		if err != nil {
			return err
		}
		s.users.remove(hub, c.Name("user"), c.Name("group"))
		for _, one := range allOfUser(s, hub, c) {
			s.roster.Exit(one.hub, one.id, c.Name("group"))
		}
		w.WriteHeader(status)
		return nil
	}
}

func (s *Service) removeUserEverywhere(status int) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		hub, err := hubOf(c)
		if err != nil {
			return err
		}
		s.users.removeAll(hub, c.Name("user"))
		for _, one := range allOfUser(s, hub, c) {
			s.roster.ExitAll(one.hub, one.id)
		}
		w.WriteHeader(status)
		return nil
	}
}

// userInGroup answers 200 if the user is in the group, or a connection of it.
func (s *Service) userInGroup(w http.ResponseWriter, c *dataplane.Call) error {
	hub, err := hubOf(c)
	if err != nil {
		return err
	}
	group := c.Name("group")
	in := s.users.has(hub, c.Name("user"), group)
	for _, one := range allOfUser(s, hub, c) {
		in = in || s.roster.Has(hub, one.id, group)
	}
	if !in {
		return userNotInGroup
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) listGroup(w http.ResponseWriter, c *dataplane.Call) error {
	clients, err := s.chosen(allOfGroup, c)
	if err != nil {
		return err
	}
	var list []dataplane.Listed
	for _, one := range clients {
		list = append(list, dataplane.Listed{ConnectionID: one.id, UserID: one.user})
	}
	return c.Page(w, list)
}
