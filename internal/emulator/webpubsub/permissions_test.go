package webpubsub

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRoles(t *testing.T) {
	for _, tt := range []struct {
		role  string
		which permission
		group string
		want  bool
	}{
		{"webpubsub.joinLeaveGroup", joinLeaveGroup, "g", true},
		{"webpubsub.joinLeaveGroup", joinLeaveGroup, "", true},
		{"webpubsub.joinLeaveGroup", sendToGroup, "g", false},
		{"webpubsub.joinLeaveGroup.g", joinLeaveGroup, "g", true},
		{"webpubsub.joinLeaveGroup.g", joinLeaveGroup, "G", false},
		{"webpubsub.joinLeaveGroup.g", joinLeaveGroup, "", false},
		{"webpubsub.sendToGroup.a.b", sendToGroup, "a.b", true},
		{"webpubsub.sendToGroup.*", sendToGroup, "g", false},
		{"webpubsub.sendToGroups.*", sendToGroup, "g", true},
		{"webpubsub.sendToGroups.*", sendToGroup, "a.b", false},
		{"webpubsub.sendToGroups.**", sendToGroup, "a.b", true},
		{"webpubsub.sendToGroups.**", sendToGroup, "", false},
		{"webpubsub.sendToGroups.a.*.c", sendToGroup, "a.b.c", true},
		{"webpubsub.sendToGroups.a.*.c", sendToGroup, "a.b.b.c", false},
		{"webpubsub.sendToGroups.a.**.c", sendToGroup, "a.b.b.c", true},
		{"webpubsub.sendToGroups.r?om", sendToGroup, "room", true},
		{"webpubsub.sendToGroups.r?om", sendToGroup, "r.om", false},
		{"webpubsub.sendToGroups.rööm*", sendToGroup, "rööm1", true},
		{"webpubsub.sendToGroup", sendToGroup, "g", true},
		{"WebPubSub.sendToGroup", sendToGroup, "g", false},
		{"webpubsub.sendToGroupX", sendToGroup, "g", false},
		{"admin", sendToGroup, "g", false},
	} {
		var p permissions
		p.addRoles([]string{tt.role})
		if got := p.allows(tt.which, tt.group); got != tt.want {
			t.Errorf("%s: %s of %q is %v", tt.role, tt.which, tt.group, got)
		}
	}
}

func TestGrantsAreBounded(t *testing.T) {
	var p permissions
	var roles []string
	for i := range maxGrants {
		roles = append(roles, "webpubsub.sendToGroup."+itoa(i), "webpubsub.sendToGroups."+itoa(i)+"*")
	}
	p.addRoles(roles)
	g := p.of[sendToGroup]
	if n := len(g.groups) + len(g.patterns); n != maxGrants {
		t.Errorf("%d grants, want %d", n, maxGrants)
	}
	if err := p.grant(sendToGroup, "more"); err == nil {
		t.Error("one more was granted")
	}
	if err := p.grant(sendToGroup, ""); err != nil || !p.allows(sendToGroup, "more") {
		t.Errorf("all: %v", err)
	}
}

// TestMatchesLikeRegexp: the pattern language is one of regular expressions.
func TestMatchesLikeRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*?]{0,10}`).Draw(t, "pattern")
		group := rapid.StringMatching(`[ab.]{0,12}`).Draw(t, "group")
		expression := regexp.QuoteMeta(pattern)
		expression = strings.ReplaceAll(expression, `\*\*`, `.{0,}`)
		expression = strings.ReplaceAll(expression, `\*`, `[^.]{0,}`)
		expression = strings.ReplaceAll(expression, `\?`, `[^.]`)
		want := regexp.MustCompile(`^(?s:` + expression + `)$`).MatchString(group)
		if got := matches(pattern, group); got != want {
			t.Fatalf("%q matches %q: %v", pattern, group, got)
		}
	})
}

// No pattern takes long, whatever it looks like.
func TestMatchesIsBounded(t *testing.T) {
	began := time.Now()
	if matches(strings.Repeat("*a", 500), strings.Repeat("a", 1000)+"b") {
		t.Error("matches")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}
