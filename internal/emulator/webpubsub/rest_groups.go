package webpubsub

import (
	"errors"
	"net/http"

	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
)

// tooManyGroups is the answer when a limit of the emulator is reached.
var tooManyGroups = &dataplane.Problem{
	Status: http.StatusTooManyRequests, Code: faultTooMany, Message: "There are as many groups as are allowed.",
}

// enterGroup puts a client into a group on behalf of an app server. To have left
// meanwhile is no error.
func (s *Service) enterGroup(c *client, group string) error {
	err := s.roster.Enter(c.hub, c.id, group)
	if errors.Is(err, roster.ErrGroups) {
		return tooManyGroups
	}
	return nil
}

// addConnection answers 404 if there is no such connection.
func (s *Service) addConnection(w http.ResponseWriter, c *dataplane.Call) error {
	list := oneConnection(s, c)
	if len(list) == 0 {
		return errNoConnection
	}
	return s.enterAll(w, c, list)
}

// addUser answers 404 if the user has no connection: later ones would not be in
// the group.
func (s *Service) addUser(w http.ResponseWriter, c *dataplane.Call) error {
	list := allOfUser(s, c)
	if len(list) == 0 {
		return dataplane.NotFound("Error.User.NotExisted", "The user has no connection.")
	}
	return s.enterAll(w, c, list)
}

func (s *Service) enterAll(w http.ResponseWriter, c *dataplane.Call, list []*client) error {
	for _, one := range list {
		if err := s.enterGroup(one, c.Name("group")); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// leaveGroup answers 204, also if nobody was in the group.
func (s *Service) leaveGroup(of target) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		for _, one := range of(s, c) {
			s.roster.Exit(one.hub, one.id, c.Name("group"))
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (s *Service) leaveAllGroups(of target) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		for _, one := range of(s, c) {
			s.roster.ExitAll(one.hub, one.id)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// manyGroups does something for all clients that a filter is true for, with
// each of several groups.
func (s *Service) manyGroups(do func(*client, string) error) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		var body struct {
			Groups []string `json:"groups"`
			Filter string   `json:"filter"`
		}
		if err := c.JSON(&body); err != nil {
			return err
		}
		f, err := filterOf(body.Filter)
		if err != nil {
			return err
		}
		if len(body.Groups) == 0 {
			return dataplane.BadRequest("groups must name at least one group.")
		}
		for _, group := range body.Groups {
			if err := dataplane.CheckGroup(group); err != nil {
				return err
			}
		}
		for _, one := range s.matching(allOfHub(s, c), f) {
			for _, group := range body.Groups {
				if err := do(one, group); err != nil {
					return err
				}
			}
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

func (s *Service) listGroup(w http.ResponseWriter, c *dataplane.Call) error {
	var list []dataplane.Listed
	for _, one := range allOfGroup(s, c) {
		list = append(list, dataplane.Listed{ConnectionID: one.id, UserID: one.user})
	}
	return c.Page(w, list)
}

// permissionOf returns what a permission call is about. The error is a problem:
// 400 for a permission that there is not, 404 for such a connection.
func (s *Service) permissionOf(c *dataplane.Call) (one *client, which permission, group string, err error) {
	which, group = permission(c.Name("permission")), c.Query.Get("targetName")
	if which != joinLeaveGroup && which != sendToGroup {
		return nil, "", "", dataplane.BadRequest("The permissions are %s and %s.", joinLeaveGroup, sendToGroup)
	}
	if group != "" {
		if err := dataplane.CheckGroup(group); err != nil {
			return nil, "", "", err
		}
	}
	list := oneConnection(s, c)
	if len(list) == 0 {
		return nil, "", "", errNoConnection
	}
	return list[0], which, group, nil
}

func (s *Service) grant(w http.ResponseWriter, c *dataplane.Call) error {
	one, which, group, err := s.permissionOf(c)
	if err != nil {
		return err
	}
	if err := one.permissions.grant(which, group); err != nil {
		return dataplane.BadRequest("%s.", err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) checkPermission(w http.ResponseWriter, c *dataplane.Call) error {
	one, which, group, err := s.permissionOf(c)
	if err != nil {
		return err
	}
	if !one.permissions.allows(which, group) {
		return dataplane.NotFound("Warning.Permission.NotExisted", "The connection does not have the permission.")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// revoke answers 204, also if there is no such connection any more.
func (s *Service) revoke(w http.ResponseWriter, c *dataplane.Call) error {
	one, which, group, err := s.permissionOf(c)
	switch {
	case errors.Is(err, errNoConnection):
	case err != nil:
		return err
	default:
		one.permissions.revoke(which, group)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
