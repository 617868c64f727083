package azure

import (
	"errors"
	"net/url"
	"strings"
)

// maxAudience is the longest audience that is looked at, in bytes.
const maxAudience = 4 << 10

// Resource is what a token is for, but for the place: a hub's client endpoint, or one path of the REST API. Together with a [Base] it
// gives a URL and an audience. Values are made by the functions of this package and may be compared.
type Resource struct {
	service Service
	kind    resourceKind
	path    string // escaped, begins with a slash; as it is asked for
	hub     string // as it was written; "" with restResource
}

type resourceKind uint8

const (
	clientResource resourceKind = iota
	mqttResource
	socketIOResource
	restResource
)

// ClientResource is where clients of a hub connect: /client/hubs/{hub} of Web PubSub, or /client/?hub={hub} of SignalR, whose hub is
// written in lower case as the SDK does. The error is [ErrHub].
func ClientResource(s Service, hub string) (Resource, error) {
	if err := CheckHub(hub); err != nil {
		return Resource{}, err
	}
	r := Resource{service: s, kind: clientResource, path: "/client/hubs/" + url.PathEscape(hub), hub: hub}
	if s == SignalR {
		r.hub = lowerASCII(hub)
		r.path = "/client/"
	}
	return r, nil
}

// MQTTResource is where MQTT clients of a Web PubSub hub connect: /clients/mqtt/hubs/{hub}. The error is [ErrHub].
func MQTTResource(hub string) (Resource, error) {
	return extraResource(mqttResource, "/clients/mqtt/hubs/", hub)
}

// SocketIOResource is the path of Socket.IO clients of a Web PubSub hub: /clients/socketio/hubs/{hub}. The error is [ErrHub].
func SocketIOResource(hub string) (Resource, error) {
	return extraResource(socketIOResource, "/clients/socketio/hubs/", hub)
}

func extraResource(kind resourceKind, prefix, hub string) (Resource, error) {
	if err := CheckHub(hub); err != nil {
		return Resource{}, err
	}
	return Resource{service: WebPubSub, kind: kind, path: prefix + url.PathEscape(hub), hub: hub}, nil
}

// RESTResource is one path of the REST API, as it stands in the request: escaped, without the query.
func RESTResource(s Service, escapedPath string) Resource {
	return Resource{service: s, kind: restResource, path: escapedPath}
}

// ErrNotClientPath means that a path is none where clients connect.
var ErrNotClientPath = errors.New("not a path of clients")

// ErrManyHubs means that the query of a request names a hub more than once, which the services answer with 400.
var ErrManyHubs = errors.New("more than one hub")

// ParseClientResource finds out which hub a client asks for. path is escaped and without the query. Known are:
//
//	/client/?hub={hub}, /client?hub={hub}               both services
//	/client/negotiate?hub={hub}                         SignalR
//	/client/hubs/{hub}                                  Web PubSub
//	/clients/mqtt/hubs/{hub}                            Web PubSub
//	/clients/socketio/hubs/{hub} and paths below it     Web PubSub
//
// The error is [ErrNotClientPath], [ErrManyHubs], or [ErrHub] also when the hub is missing.
func ParseClientResource(s Service, path, rawQuery string) (Resource, error) {
	if path == "/client" || path == "/client/" || s == SignalR && path == "/client/negotiate" {
		hubs := queryValues(rawQuery, "hub")
		if len(hubs) > 1 {
			return Resource{}, ErrManyHubs
		}
		if len(hubs) == 0 {
			return Resource{}, ErrHub
		}
		return ClientResource(s, hubs[0])
	}
	if s != WebPubSub {
		return Resource{}, ErrNotClientPath
	}
	for _, known := range []struct {
		prefix string
		below  bool
		make   func(string) (Resource, error)
	}{
		{"/client/hubs/", false, func(hub string) (Resource, error) { return ClientResource(WebPubSub, hub) }},
		{"/clients/mqtt/hubs/", false, MQTTResource},
		{"/clients/socketio/hubs/", true, SocketIOResource},
	} {
		escaped, ok := strings.CutPrefix(path, known.prefix)
		if !ok {
			continue
		}
		escaped, rest, more := strings.Cut(escaped, "/")
		if more && rest != "" && !known.below {
			return Resource{}, ErrNotClientPath
		}
		hub, err := url.PathUnescape(escaped)
		if err != nil {
			return Resource{}, ErrHub
		}
		return known.make(hub)
	}
	return Resource{}, ErrNotClientPath
}

// Hub returns the hub of a client resource as it was written, "" for a path of the REST API.
func (r Resource) Hub() string { return r.hub }

// Path returns the escaped path, without a query.
func (r Resource) Path() string { return r.path }

// RawQuery returns the query that belongs to the resource, "hub={hub}" for clients of SignalR and "" for all others.
func (r Resource) RawQuery() string {
	if r.service == SignalR && r.kind == clientResource {
		return "hub=" + url.QueryEscape(r.hub)
	}
	return ""
}

// URL returns where the resource is found at base, with the scheme http or https.
func (r Resource) URL(base Base) string {
	if q := r.RawQuery(); q != "" {
		return base.String() + r.path + "?" + q
	}
	return base.String() + r.path
}

// WebSocketURL is [Resource.URL] with the scheme ws or wss.
func (r Resource) WebSocketURL(base Base) string {
	return "ws" + strings.TrimPrefix(r.URL(base), "http")
}

// Audience returns the audience of a token for the resource at an endpoint. It never has the path of a base. With SignalR it
// leaves out the port, with Web PubSub it keeps it, each as its SDK does; with the real services there is none.
func (r Resource) Audience(endpoint Base) string {
	if r.service == SignalR {
		endpoint.port = defaultPort(endpoint.scheme)
	}
	endpoint.path = ""
	return r.URL(endpoint)
}

// Accepts reports whether audience is one for the resource at endpoint. Compared are scheme, host, port and path, each segment
// unescaped, a slash at the end or none; the query is not, but for the hub of a client of SignalR. A port that is missing is right,
// because some SDKs leave it out. Names of hubs are compared without regard to case where clients connect.
func (r Resource) Accepts(audience string, endpoint Base) bool {
	if len(audience) > maxAudience {
		return false
	}
	u, err := url.Parse(audience)
	if err != nil || u.User != nil || !strings.EqualFold(u.Scheme, endpoint.scheme) || !strings.EqualFold(u.Hostname(), endpoint.host) {
		return false
	}
	if u.Port() != "" {
		if port, err := parsePort(u.Port()); err != nil || port != endpoint.port {
			return false
		}
	}
	fold := r.kind != restResource
	if !samePath(u.EscapedPath(), endpoint.path+r.path, fold) && !samePath(u.EscapedPath(), r.path, fold) {
		return false
	}
	if r.service == SignalR && r.kind == clientResource {
		hubs := queryValues(u.RawQuery, "hub")
		return len(hubs) == 1 && SameHub(hubs[0], r.hub)
	}
	return true
}

// samePath compares two escaped paths segment by segment, so that an escaped slash is no slash.
func samePath(a, b string, fold bool) bool {
	as, bs := strings.Split(strings.TrimSuffix(a, "/"), "/"), strings.Split(strings.TrimSuffix(b, "/"), "/")
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		x, err := url.PathUnescape(as[i])
		if err != nil {
			return false
		}
		y, err := url.PathUnescape(bs[i])
		if err != nil {
			return false
		}
		if x != y && (!fold || lowerASCII(x) != lowerASCII(y)) {
			return false
		}
	}
	return true
}

// queryValues returns the values of a parameter, whose name is compared without regard to case as the services do. Pairs that
// cannot be unescaped are passed over.
func queryValues(rawQuery, name string) []string {
	var values []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		if err != nil || lowerASCII(key) != name {
			continue
		}
		if value, err = url.QueryUnescape(value); err == nil {
			values = append(values, value)
		}
	}
	return values
}
