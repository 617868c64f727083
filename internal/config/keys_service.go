package config

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

const (
	aKey  = "an access key: the text of any length that the services call by that name, better 32 characters or more"
	aHub  = "the name of a hub: a letter, then up to 127 letters, digits or any of _`,.[]"
	aBase = "a URL such as https://chat.example or https://chat.example/prefix"
	year  = 365 * day
)

// connectionKeys are those by which an upstream is an instance of an Azure
// service.
func connectionKeys() []field[Upstream] {
	inline := text("connection_string", "a connection string: Endpoint=https://...;AccessKey=...;Version=1.0;",
		"The upstream is an instance of Azure SignalR Service or Azure Web PubSub, reached as this says; in place of `url`. Clients connect to its ClientEndpoint, REST calls and `http` probes go to its ServerEndpoint, and both default to its Endpoint. Only access keys are supported. Better in a file of its own, or in the environment, than here, where more people read it.",
		func(u *Upstream) *string { return (*string)(&u.ConnectionString) }, asText)
	inline.secret = true
	inline.initial = "no connection string"
	inline.get = func(u *Upstream) string { return quote(u.ConnectionString.String()) }
	inline.omit = func(u *Upstream) bool { return u.ConnectionString == "" || u.ConnectionStringFile != "" }
	file := optionalPath("connection_string_file",
		"File that holds the connection string and nothing else but white space around it. A changed file is read at the next reload."+relative,
		func(u *Upstream) *string { return &u.ConnectionStringFile })
	return []field[Upstream]{inline, file}
}

func asText(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", errors.New("is empty")
	}
	return s, nil
}

// accessKeys are the keys of a route, or of all routes.
func accessKeys[T any](doc string, at func(*T) *[]Secret, files func(*T) *[]string) []field[T] {
	inline := listOf("access_keys", "a list of one or two access keys", aKey,
		doc+" Two are what rotation needs: the first signs, and tokens of both are taken. A reload changes them. Better in files of their own than here, where more people read them.",
		readKey, Secret.String, at, true)
	inline.initial = "no key"
	inline.secret = true
	inline.omit = func(t *T) bool { return len(*at(t)) == 0 || len(*files(t)) > 0 }
	paths := list("access_key_files", "a list of paths of one or two files", filePath,
		"Files that hold one access key each and nothing else but white space around it, in place of `access_keys`. Changed files are read at the next reload."+relative,
		readPath, asIs, files)
	paths.initial = "no file"
	return []field[T]{inline, paths}
}

func readKey(s string) (Secret, error) {
	k, err := azure.ParseKey(s)
	return Secret(k.Reveal()), err
}

// commonAccessKeys are those of routes that have none of their own. Their
// variables hold them with commas between.
func commonAccessKeys() []field[Config] {
	keys := accessKeys("Access keys of this router, for routes that have none of their own and need some: the applications' connection string for this router has one of them. The variable holds one, or two with a comma between.",
		func(c *Config) *[]Secret { return &c.AccessKeys }, func(c *Config) *[]string { return &c.AccessKeyFiles })
	keys[0].set = func(c *Config, s string) (err error) {
		c.AccessKeys, err = split(s, readKey)
		return err
	}
	keys[1].set = func(c *Config, s string) (err error) {
		c.AccessKeyFiles, err = split(s, readPath)
		return err
	}
	return keys
}

// split reads what stands between commas.
func split[E any](s string, read func(string) (E, error)) ([]E, error) {
	var all []E
	for part := range strings.SplitSeq(s, ",") {
		e, err := read(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// serviceKeys are those of routes with one of the Azure protocols.
func serviceKeys() []field[Route] {
	keys := accessKeys("Access keys of this route, with one of the Azure protocols: the applications' connection string for this router has one of them. With `http: pass` they sign what leads clients back to their upstream, so that several routers understand each other.",
		func(r *Route) *[]Secret { return &r.AccessKeys }, func(r *Route) *[]string { return &r.AccessKeyFiles })
	keys[0].initial, keys[1].initial = "the top-level `access_keys`", "the top-level `access_key_files`"
	hubs := list("hubs", "a list of names of hubs such as [chat]", aHub,
		"Hubs that clients may ask for, in any case of letters. With exactly one it is that of clients who name none.",
		func(s string) (string, error) { return s, notA(azure.CheckHub(s), "is not a name of a hub") }, asIs,
		func(r *Route) *[]string { return &r.Hubs })
	hubs.initial = "all"
	public := text("public_url", aBase,
		"URL by which clients and applications reach this route, its path included, if that is not what their requests say: behind a proxy that does not tell, or where clients come another way than applications.",
		func(r *Route) *string { return &r.PublicURL }, readBase)
	public.initial = "where each request came to"
	public.omit = func(r *Route) bool { return r.PublicURL == "" }
	keys = append(keys, hubs, public)
	keys = append(keys, negotiateKeys()...)
	groups := sections("group_prefix", "a list of {prefix, upstreams}",
		"Rules for groups, tried in order: messages to, and members of, a group whose name begins with the prefix are only on these upstreams.",
		groupPrefixKeys, func() GroupPrefix { return GroupPrefix{} }, func(r *Route) *[]GroupPrefix { return &r.GroupPrefixes })
	groups.initial = "groups are on all upstreams"
	expiry := toggle("close_at_expiry",
		"Ends a session with close code 1008 when the token expires that it was opened with.",
		func(r *Route) *bool { return &r.CloseAtExpiry })
	return append(keys,
		when(expiry, (*Route).forAzure),
		when(groups, func(r *Route) bool { return len(r.GroupPrefixes) > 0 }))
}

// forAzure says whether keys of the Azure protocols mean anything for r.
func (r *Route) forAzure() bool {
	_, ok := r.Protocol.Azure()
	return ok
}

// hosted says whether r stands for an Azure service, and not for servers of one's
// own. Its connection strings have to be read.
func (r *Route) hosted(c *Config) bool {
	return r.forAzure() && (r.Protocol != ProtocolSignalR || c.anyConnection(r.Upstreams))
}

// anyConnection reports whether one of these upstreams has a connection string.
func (c *Config) anyConnection(names []string) bool {
	for _, name := range names {
		if u := c.upstream(name); u != nil && u.ConnectionString != "" {
			return true
		}
	}
	return false
}

// upstream returns the one of this name, or nil.
func (c *Config) upstream(name string) *Upstream {
	for i := range c.Upstreams {
		if c.Upstreams[i].Name == name {
			return &c.Upstreams[i]
		}
	}
	return nil
}

func negotiateKeys() []field[Route] {
	via := choice("negotiate.via", []option[negotiate.Via]{{"proxy", negotiate.ViaProxy}, {"direct", negotiate.ViaDirect}},
		"Where clients that negotiate are led. `proxy`: to this router, so that it carries them, fails over within the handshake and leads them home. `direct`: to the upstream that was picked, with a token of that; then this router is in the way of no frame, and knows nothing of the connection.",
		func(r *Route) *negotiate.Via { return &r.Negotiate.Via })
	roles := list("negotiate.roles", "a list of roles such as [webpubsub.joinLeaveGroup]", "a role without blanks, such as webpubsub.sendToGroup.lobby",
		"Roles of Web PubSub that every client which negotiates gets.",
		readRole, asIs, func(r *Route) *[]string { return &r.Negotiate.Roles })
	roles.initial = "no role"
	groups := list("negotiate.groups", "a list of names of groups", aGroup,
		"Groups of Web PubSub that every client which negotiates is in from the start.",
		readGroup, asIs, func(r *Route) *[]string { return &r.Negotiate.Groups })
	groups.initial = "no group"
	user := toggle("negotiate.user_from_query",
		"Takes the user id from the parameter `userId`, or if there is none from the caller's token; false: from the token only.",
		func(r *Route) *bool { return &r.Negotiate.UserFromQuery })
	open := toggle("negotiate.open",
		"Answers negotiations without a token. Then whoever reaches the route can connect, and with `user_from_query` as any user.",
		func(r *Route) *bool { return &r.Negotiate.Open })
	lifetime := duration("negotiate.lifetime", time.Second, year, "",
		"Lifetime of the tokens that clients get.",
		func(r *Route) *time.Duration { return &r.Negotiate.Lifetime })
	var keys []field[Route]
	for _, f := range []field[Route]{via, roles, groups, user, open, lifetime} {
		keys = append(keys, when(f, (*Route).forAzure))
	}
	return keys
}

const aGroup = "the name of a group: 1 to 1024 characters, not all of them blank"

func readGroup(s string) (string, error) {
	if n := len([]rune(s)); strings.TrimSpace(s) == "" || n > 1024 {
		return "", errors.New("is not a name of a group")
	}
	return s, nil
}

// readRole is liberal: roles with patterns are newer than others.
func readRole(s string) (string, error) {
	if s == "" || len(s) > 2048 || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }) {
		return "", errors.New("is not a role")
	}
	return s, nil
}

func readBase(s string) (string, error) {
	b, err := azure.ParseBase(s)
	return b.String(), err
}

// notA replaces an error by words that do not repeat what is expected.
func notA(err error, message string) error {
	if err != nil {
		return errors.New(message)
	}
	return nil
}

func groupPrefixKeys() []field[GroupPrefix] {
	prefix := text("prefix", aGroup, "How the names of the groups begin, exactly.",
		func(g *GroupPrefix) *string { return &g.Prefix }, readGroup)
	prefix.required = true
	upstreams := list("upstreams", "a list of names of upstreams of the route", "the name of an upstream of the route",
		"The only upstreams that calls about these groups go to.",
		func(s string) (string, error) { return s, nil }, asIs, func(g *GroupPrefix) *[]string { return &g.Upstreams })
	upstreams.initial = "required"
	return []field[GroupPrefix]{prefix, upstreams}
}

func fanoutKeys() []field[Config] {
	return []field[Config]{
		duration("fanout.timeout", shortest, day, "",
			"Time that each upstream has for a call of the REST API. The answer waits for the slowest one.",
			func(c *Config) *time.Duration { return &c.Fanout.Timeout }),
		size("fanout.max_body", KiB, 64*MiB, "",
			"Largest body of such a call; above it callers get 413. The services take 1MiB. Memory is bounded by this times `backlog`, for each route.",
			func(c *Config) *ByteSize { return &c.Fanout.MaxBody }),
		integer("fanout.backlog", 1, 100_000, "",
			"Calls of a route that are under way at once; above it callers get 503.",
			func(c *Config) *int { return &c.Fanout.Backlog }),
		integer("fanout.retry", 0, mostRetries, "",
			"How often a failed call is tried again at an upstream, if that makes no difference: messages are sent once, unless nothing of them has left.",
			func(c *Config) *int { return &c.Fanout.Retry }),
	}
}

const mostRetries = 3
