package handshake

// methods is the IANA HTTP method registry, without "*" and PRI, which are reserved and never sent as methods.
var methods = [...]string{
	"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "QUERY",
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
	"MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "REBIND",
	"REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
}

// lookupMethod reports whether b is a registered method in any case of letters, and whether the case is right.
func lookupMethod(b []byte) (known, exact bool) {
	for _, m := range methods {
		if equalFold(b, m) {
			return true, string(b) == m
		}
	}
	return false, false
}
