package signalr

import (
	"net/http"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
)

// The versions of the REST API that were published as stable.
var versions = []string{"2022-06-01", "2022-11-01", "2024-12-01"}

// since returns the versions from one on.
func since(first string) []string { return versions[slices.Index(versions, first):] }

type handler = func(http.ResponseWriter, *dataplane.Call) error

// routes is the table of calls: those with an api-version, and version 1.0.
func (s *Service) routes() []dataplane.Route {
	var table []dataplane.Route
	add := func(versions []string, methods, path string, do handler) {
		for method := range strings.SplitSeq(methods, " ") {
			table = append(table, dataplane.Route{Method: method, Path: path, Versions: versions, Do: do})
		}
	}
	first := since("2022-06-01")
	const (
		hub        = "/api/hubs/{hub}"
		connection = hub + "/connections/{connectionId}"
		group      = hub + "/groups/{group}"
		user       = hub + "/users/{user}"
	)
	add(first, "POST", hub+"/:send", s.send(allOfHub))
	add(first, "POST", connection+"/:send", s.send(oneConnection))
	add(first, "POST", group+"/:send", s.send(allOfGroup))
	add(first, "POST", user+"/:send", s.send(allOfUser))
	add(first, "POST", hub+"/:closeConnections", s.close(allOfHub, http.StatusNoContent))
	add(first, "POST", group+"/:closeConnections", s.close(allOfGroup, http.StatusNoContent))
	add(first, "POST", user+"/:closeConnections", s.close(allOfUser, http.StatusNoContent))
	add(first, "DELETE", connection, s.close(oneConnection, http.StatusOK))
	add(first, "HEAD", connection, s.exists(oneConnection, noConnection))
	add(first, "HEAD", group, s.exists(allOfGroup, noGroup))
	add(first, "HEAD", user, s.exists(allOfUser, noUser))
	add(first, "DELETE", connection+"/groups", s.leaveAllGroups)
	add(first, "PUT", group+"/connections/{connectionId}", s.addConnection)
	add(first, "DELETE", group+"/connections/{connectionId}", s.removeConnection)
	add(first, "PUT", user+"/groups/{group}", s.addUser(http.StatusOK))
	add(first, "DELETE", user+"/groups/{group}", s.removeUser(http.StatusNoContent))
	add(first, "HEAD", user+"/groups/{group}", s.userInGroup)
	add(first, "DELETE", user+"/groups", s.removeUserEverywhere(http.StatusNoContent))
	add(since("2022-11-01"), "POST", hub+"/:generateToken", s.generateToken)
	add(since("2024-12-01"), "POST", connection+"/:invoke", s.invoke)
	add(since("2024-12-01"), "GET", group+"/connections", s.listGroup)

	const (
		oldHub        = "/api/v1/hubs/{hub}"
		oldConnection = oldHub + "/connections/{connectionId}"
		oldGroup      = oldHub + "/groups/{group}"
		oldUser       = oldHub + "/users/{user}"
	)
	add(nil, "POST", oldHub, s.send(allOfHub))
	add(nil, "POST", oldConnection, s.send(oneConnection))
	add(nil, "POST", oldGroup, s.send(allOfGroup))
	add(nil, "POST", oldUser, s.send(allOfUser))
	add(nil, "GET HEAD", oldConnection, s.exists(oneConnection, noConnection))
	add(nil, "GET HEAD", oldGroup, s.exists(allOfGroup, noGroup))
	add(nil, "GET HEAD", oldUser, s.exists(allOfUser, noUser))
	add(nil, "DELETE", oldConnection, s.close(oneConnection, http.StatusAccepted))
	add(nil, "PUT", oldGroup+"/connections/{connectionId}", s.addConnection)
	add(nil, "DELETE", oldGroup+"/connections/{connectionId}", s.removeConnection)
	add(nil, "GET HEAD", oldGroup+"/users/{user}", s.userInGroup)
	add(nil, "PUT", oldGroup+"/users/{user}", s.addUser(http.StatusAccepted))
	add(nil, "DELETE", oldGroup+"/users/{user}", s.removeUser(http.StatusAccepted))
	add(nil, "DELETE", oldUser+"/groups", s.removeUserEverywhere(http.StatusOK))
	return table
}

// hubOf returns the hub that a call is about: with an application, clients have
// connected to "{application}_{hub}".
func hubOf(c *dataplane.Call) (string, error) {
	hub := fold(c.Name("hub"))
	application := c.Query.Get("application")
	if application == "" {
		return hub, nil
	}
	if azure.CheckHub(application) != nil {
		return "", dataplane.BadRequest("Invalid value of 'application': a letter, then up to 127 letters, digits or any of _`,.[].")
	}
	return fold(application) + "_" + hub, nil
}

// A target says which clients of a hub a call is about; nobody is fine.
type target func(s *Service, hub string, c *dataplane.Call) []*client

func allOfHub(s *Service, hub string, _ *dataplane.Call) []*client { return members(s.roster.All(hub)) }

func allOfUser(s *Service, hub string, c *dataplane.Call) []*client {
	return members(s.roster.User(hub, c.Name("user")))
}

// allOfGroup are the connections in the group and those of the users in it, each
// once.
func allOfGroup(s *Service, hub string, c *dataplane.Call) []*client {
	group := c.Name("group")
	list := s.roster.Group(hub, group)
	for _, user := range s.users.users(hub, group) {
		for _, e := range s.roster.User(hub, user) {
			if !s.roster.Has(hub, e.ID, group) {
				list = append(list, e)
			}
		}
	}
	return members(list)
}

func oneConnection(s *Service, hub string, c *dataplane.Call) []*client {
	if e, ok := s.roster.Get(hub, c.Name("connectionId")); ok {
		return []*client{e.Member}
	}
	return nil
}

func members(list []roster.Entry[*client]) []*client {
	clients := make([]*client, 0, len(list))
	for _, e := range list {
		clients = append(clients, e.Member)
	}
	return clients
}

// within a call: the clients of a target that the call does not exclude.
func (s *Service) chosen(of target, c *dataplane.Call) ([]*client, error) {
	hub, err := hubOf(c)
	if err != nil {
		return nil, err
	}
	excluded := c.Query["excluded"]
	return slices.DeleteFunc(of(s, hub, c), func(one *client) bool { return slices.Contains(excluded, one.id) }), nil
}

// What there is not.
var (
	noConnection     = dataplane.NotFound("Warning.Connection.NotExisted", "There is no such connection.")
	noGroup          = dataplane.NotFound("Warning.Group.NotExisted", "There is nobody in the group.")
	noUser           = dataplane.NotFound("Warning.User.NotExisted", "The user has no connection.")
	userNotInGroup   = dataplane.NotFound("Info.User.NotInGroup", "The user is not in the group.")
	targetConnection = dataplane.NotFound("Error.Connection.NotExisted", "There is no such connection.")
)

// exists answers 200 if there is somebody.
func (s *Service) exists(of target, missing *dataplane.Problem) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		hub, err := hubOf(c)
		if err != nil {
			return err
		}
		if len(of(s, hub, c)) == 0 {
			return missing
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}
