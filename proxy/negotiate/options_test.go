package negotiate

import (
	"errors"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

func TestNewRefuses(t *testing.T) {
	good := newRig(t, azure.WebPubSub, nil).n.o
	for name, change := range map[string]func(*Options){
		"no pick": func(o *Options) { o.Pick = nil }, "no upstreams": func(o *Options) { o.Upstreams = nil },
		"nil upstream":  func(o *Options) { o.Upstreams = []Upstream{{}} },
		"twice":         func(o *Options) { o.Upstreams = append(o.Upstreams, o.Upstreams[0]) },
		"no connection": func(o *Options) { o.Upstreams = []Upstream{{Upstream: o.Upstreams[0].Upstream}} },
		"no keys":       func(o *Options) { o.Keys = nil }, "empty key": func(o *Options) { o.Keys = []azure.Key{{}} },
		"bad hub": func(o *Options) { o.Hubs = []string{"1"} }, "lifetime": func(o *Options) { o.Lifetime = -1 },
		"long lifetime": func(o *Options) { o.Lifetime = 2 * maxLifetime },
		"empty public":  func(o *Options) { o.Public = []azure.Base{{}} }, "blank group": func(o *Options) { o.Groups = []string{" "} },
		"many roles": func(o *Options) { o.Roles = make([]string, maxList+1) }, "unknown via": func(o *Options) { o.Via = 7 },
		"roles of SignalR": func(o *Options) { o.Service, o.Roles = azure.SignalR, []string{"a"} },
		"unknown user":     func(o *Options) { o.User = 7 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), ownText) || strings.Contains(err.Error(), eastText) {
			t.Errorf("%s: the error shows a key: %v", name, err)
		}
	}
	for _, v := range []Via{ViaProxy, ViaDirect} {
		if back, err := ParseVia(v.String()); err != nil || back != v {
			t.Errorf("%v is read back as %v, %v", v, back, err)
		}
	}
	if _, err := ParseVia("both"); err == nil || !strings.Contains(err.Error(), "proxy, direct") {
		t.Errorf("unknown via: %v", err)
	}
	if err := error(&Refusal{400, "no"}); err.Error() != "no" || errors.Is(err, pool.ErrNoUpstream) {
		t.Error("a refusal is something else")
	}
}
