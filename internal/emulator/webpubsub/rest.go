package webpubsub

import (
	"net/http"
	"slices"

	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/filter"
)

// The versions of the REST API that were published as stable.
var versions = []string{"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"}

// since returns the versions from one on.
func since(first string) []string { return versions[slices.Index(versions, first):] }

// routes is the table of calls.
func (s *Service) routes() []dataplane.Route {
	var table []dataplane.Route
	add := func(first, method, path string, do func(http.ResponseWriter, *dataplane.Call) error) {
		table = append(table, dataplane.Route{Method: method, Path: path, Versions: since(first), Do: do})
	}
	const (
		hub        = "/api/hubs/{hub}"
		connection = hub + "/connections/{connectionId}"
		group      = hub + "/groups/{group}"
		user       = hub + "/users/{userId}"
		permission = hub + "/permissions/{permission}/connections/{connectionId}"
		first      = "2021-10-01"
	)
	add(first, http.MethodPost, hub+"/:send", s.send(allOfHub))
	add(first, http.MethodPost, group+"/:send", s.send(allOfGroup))
	add(first, http.MethodPost, user+"/:send", s.send(allOfUser))
	add(first, http.MethodPost, connection+"/:send", s.send(oneConnection))

	add(first, http.MethodPost, hub+"/:closeConnections", s.closeAll(allOfHub))
	add(first, http.MethodPost, group+"/:closeConnections", s.closeAll(allOfGroup))
	add(first, http.MethodPost, user+"/:closeConnections", s.closeAll(allOfUser))
	add(first, http.MethodDelete, connection, s.closeAll(oneConnection))

	add(first, http.MethodHead, group, s.exists(allOfGroup, "Warning.Group.NotExisted"))
	add(first, http.MethodHead, user, s.exists(allOfUser, "Warning.User.NotExisted"))
	add(first, http.MethodHead, connection, s.exists(oneConnection, "Warning.Connection.NotExisted"))

	add(first, http.MethodPost, hub+"/:generateToken", s.generateToken)

	add(first, http.MethodPut, group+"/connections/{connectionId}", s.addConnection)
	add(first, http.MethodDelete, group+"/connections/{connectionId}", s.leaveGroup(oneConnection))
	add(first, http.MethodPut, user+"/groups/{group}", s.addUser)
	add(first, http.MethodDelete, user+"/groups/{group}", s.leaveGroup(allOfUser))
	add(first, http.MethodDelete, user+"/groups", s.leaveAllGroups(allOfUser))
	add("2022-11-01", http.MethodDelete, connection+"/groups", s.leaveAllGroups(oneConnection))
	add("2023-07-01", http.MethodPost, hub+"/:addToGroups", s.manyGroups(func(c *client, group string) error {
		return s.enterGroup(c, group)
	}))
	add("2023-07-01", http.MethodPost, hub+"/:removeFromGroups", s.manyGroups(func(c *client, group string) error {
		s.roster.Exit(c.hub, c.id, group)
		return nil
	}))
	add("2024-12-01", http.MethodGet, group+"/connections", s.listGroup)

	add(first, http.MethodPut, permission, s.grant)
	add(first, http.MethodHead, permission, s.checkPermission)
	add(first, http.MethodDelete, permission, s.revoke)
	return table
}

// A target says which clients a call is about; nobody is fine.
type target func(*Service, *dataplane.Call) []*client

func allOfHub(s *Service, c *dataplane.Call) []*client {
	return s.members(c, s.roster.All(fold(c.Name("hub"))))
}

func allOfGroup(s *Service, c *dataplane.Call) []*client {
	return s.members(c, s.roster.Group(fold(c.Name("hub")), c.Name("group")))
}

func allOfUser(s *Service, c *dataplane.Call) []*client {
	return s.members(c, s.roster.User(fold(c.Name("hub")), c.Name("userId")))
}

func oneConnection(s *Service, c *dataplane.Call) []*client {
	if e, ok := s.roster.Get(fold(c.Name("hub")), c.Name("connectionId")); ok {
		return []*client{e.Member}
	}
	return nil
}

// filterOf reads the parameter filter, or a filter that came in a body.
func filterOf(text string) (filter.Filter, error) {
	f, err := filter.Parse(text)
	if err != nil {
		p := dataplane.BadRequest("%s.", err)
		p.Code = "InvalidFilter"
		return f, p
	}
	return f, nil
}

var errNoConnection = dataplane.NotFound("Error.Connection.NotExisted", "There is no such connection.")

// exists answers 200 if there is somebody, and 404 with the code if not.
func (s *Service) exists(of target, code string) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		if len(of(s, c)) == 0 {
			return dataplane.NotFound(code, "There is nobody.")
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}
