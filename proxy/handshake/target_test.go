package handshake

import "testing"

// TestNormalPath is the definition of the normal form by example.
func TestNormalPath(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		var r Request
		if err := ParseRequest([]byte(target(path)), Limits{}, &r); err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		if string(r.Path) != path {
			t.Errorf("%s: raw path is %s", path, r.Path)
		}
		if got := string(r.NormalPath([]byte("x/y"))); got != "x/y"+want {
			t.Errorf("%s: %s, want %s behind x/y", path, got, want)
		}
		again := Request{Path: []byte(want)}
		if got := string(again.NormalPath(nil)); got != want {
			t.Errorf("%s: the form of the form is %s", path, got)
		}
	}
	f("/", "/")
	f("/chat", "/chat")
	f("/chat/", "/chat/")
	f("//", "/")
	f("//chat///room//", "/chat/room/")
	f("/.", "/")
	f("/./chat/.", "/chat/")
	f("/a/..", "/")
	f("/a/../", "/")
	f("/a/b/../c", "/a/c")
	f("/a/b/..", "/a/")
	f("/a/b/../../c", "/c")
	f("/a//../c", "/c")
	f("/a/%2e%2e/c", "/c")
	f("/a/.%2E/c", "/c")
	f("/%63h%61t", "/chat")
	f("/%7Euser/%2D%5f", "/~user/-_")
	f("/a%2fb", "/a%2Fb")
	f("/a%2Fb/../c", "/c")
	f("/a%c3%a4", "/a%C3%A4")
	f("/a%20b%25", "/a%20b%25")
	f("/a;v=1/b;w", "/a;v=1/b;w")
	f("/a/.;x/b", "/a/.;x/b")
	f("/a/..;x/b", "/a/..;x/b")
	f("/...", "/...")
	f("/..a/.b", "/..a/.b")
	f("/a|b^c`{d}", "/a|b^c`{d}")
	f("/!$&'()*+,;=:@", "/!$&'()*+,;=:@")
}

// TestNormalPathOfStar checks the one target without a path.
func TestNormalPathOfStar(t *testing.T) {
	r := Request{Path: []byte("*")}
	if got := string(r.NormalPath(nil)); got != "*" {
		t.Errorf("got %s", got)
	}
}

// TestTargetParts checks where a target is cut.
func TestTargetParts(t *testing.T) {
	f := func(tgt, path, query string, hasQuery bool) {
		t.Helper()
		var r Request
		if err := ParseRequest([]byte(target(tgt)), Limits{}, &r); err != nil {
			t.Errorf("%s: %v", tgt, err)
			return
		}
		if string(r.Target) != tgt || string(r.Path) != path || string(r.Query) != query || (r.Query != nil) != hasQuery {
			t.Errorf("%s: target %s, path %s, query %q", tgt, r.Target, r.Path, r.Query)
		}
	}
	f("/a", "/a", "", false)
	f("/a?", "/a", "", true)
	f("/a?b?c=/../d", "/a", "b?c=/../d", true)
	f("http://router.example:8080", "/", "", false)
	f("https://ROUTER.example:8080?q", "/", "q", true)
	f("ws://router.example:8080/x/?q", "/x/", "q", true)
}
