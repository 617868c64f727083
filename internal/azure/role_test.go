package azure

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, row := range []struct {
		in, name string
		role     Role
	}{
		{"", "", Primary}, {"east", "east", Primary}, {"east:primary", "east", Primary}, {"East:SECONDARY", "East", Secondary},
		{" east : Secondary ", "east", Secondary}, {":secondary", "", Secondary}, {"primary", "primary", Primary},
		{"secondary:secondary", "secondary", Secondary}, {"a.b-c_d", "a.b-c_d", Primary},
	} {
		name, role, err := ParseName(row.in)
		if err != nil || name != row.name || role != row.role {
			t.Errorf("%q: got %q, %v, %v", row.in, name, role, err)
		}
	}
	for in, say := range map[string]string{
		"east:secondry": `role "secondry" is not one of primary, secondary`, "east:": `role ""`, "a:b:secondary": `role "b:secondary"`,
		"east:0": `role "0"`, "secondary": "<name>:secondary", "Secondary": "<name>:secondary", strings.Repeat("a",
			maxName+1): "longer than",
	} {
		if name, role, err := ParseName(in); err == nil {
			t.Errorf("%q: got %q, %v", in, name, role)
		} else if !strings.Contains(err.Error(), say) {
			t.Errorf("%q: error %q does not say %q", in, err, say)
		}
	}
}

func TestNamesOfRolesAndServices(t *testing.T) {
	for _, r := range []Role{Primary, Secondary} {
		if back, err := ParseRole(r.String()); err != nil || back != r {
			t.Errorf("%v is read back as %v, %v", r, back, err)
		}
	}
	for _, s := range []Service{WebPubSub, SignalR} {
		if back, err := ParseService(s.String()); err != nil || back != s {
			t.Errorf("%v is read back as %v, %v", s, back, err)
		}
	}
	if _, err := ParseService("socketio"); err == nil || !strings.Contains(err.Error(), "webpubsub, signalr") {
		t.Errorf("unknown service: %v", err)
	}
	if Role(7).String() != "role 7" || Service(7).String() != "service 7" {
		t.Error("unknown values have no text")
	}
}

func TestCheckHub(t *testing.T) {
	for _, good := range []string{"a", "chat", "Chat_1", "a`,.[]", "a" + strings.Repeat("b", 127)} {
		if err := CheckHub(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "1a", "_a", "a-b", "a/b", "a b", "é", "ché", "a\x00", "a%", "a" + strings.Repeat("b", 128)} {
		if err := CheckHub(bad); err != ErrHub {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if !SameHub("Chat", "cHAT") || SameHub("chat", "chats") || SameHub("k", "\u212a") {
		t.Error("hubs are compared wrongly")
	}
}
