package azure

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

func TestClaimsKeepTheirBytes(t *testing.T) {
	const text = `{"b":12345678901234567890.10,"a":"é\u00e9","asrs.s.uid":"u","deep":{"x":[1,{"y":null}]},"e":1e3,"aud":["x","y"]}`
	var c Claims
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	out, err := c.MarshalJSON()
	if err != nil || string(out) != text {
		t.Errorf("got %s, %v", out, err)
	}
	d := c.clone()
	d.SetString(ClaimAudience, "z")
	d.SetString("new", "n")
	if got := c.Strings(ClaimAudience); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("the original has changed: %v", got)
	}
	if got, want := d.Names(), []string{"b", "a", "asrs.s.uid", "deep", "e", "aud", "new"}; !slices.Equal(got, want) {
		t.Errorf("names %v", got)
	}
}

func TestClaimsRefuse(t *testing.T) {
	for _, text := range []string{`[]`, `"a"`, `1`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`} {
		var c Claims
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s is taken as %v", text, c.Names())
		}
	}
	for _, text := range []string{``, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, `{"a":1`, `x`, `{"a":1}x`} {
		if err := json.Unmarshal([]byte(text), new(Claims)); err == nil {
			t.Errorf("%q is taken", text)
		}
		_ = new(Claims).UnmarshalJSON([]byte(text)) // by itself it must not panic
	}
}

func TestClaimsStrings(t *testing.T) {
	var c Claims
	if err := json.Unmarshal([]byte(`{"one":"a","many":["a",1,"b",null,["c"]],"no":1,"empty":[],"nil":null}`), &c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"one": {"a"}, "many": {"a", "b"}, "no": nil, "empty": nil, "nil": nil, "missing": nil} {
		if got := c.Strings(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if c.String("many") != "a" || c.String("no") != "" || c.Raw("missing") != nil || string(c.Raw("no")) != "1" {
		t.Error("single values are wrong")
	}
}

func TestClaimsUser(t *testing.T) {
	for _, row := range []struct {
		text         string
		pub, signalr string
	}{
		{`{}`, "", ""}, {`{"sub":"s"}`, "s", "s"}, {`{"nameid":"n"}`, "n", "n"}, {`{"nameid":"n","sub":"s"}`, "s", "n"},
		{`{"asrs.s.uid":"a","nameid":"n","sub":"s"}`, "s", "a"}, {`{"sub":7}`, "", ""},
	} {
		var c Claims
		if err := json.Unmarshal([]byte(row.text), &c); err != nil {
			t.Fatal(err)
		}
		if p, s := c.User(WebPubSub), c.User(SignalR); p != row.pub || s != row.signalr {
			t.Errorf("%s: %q and %q", row.text, p, s)
		}
	}
	for _, s := range []Service{WebPubSub, SignalR} {
		c := NewClaims("a", time.Unix(1000, 5e8), time.Minute+time.Millisecond)
		c.SetUser(s, "")
		c.SetStrings(ClaimRole, nil)
		if got, want := c.Names(), []string{"aud", "iat", "exp"}; !slices.Equal(got, want) {
			t.Errorf("names %v", got)
		}
		c.SetUser(s, "u")
		c.SetStrings(ClaimRole, []string{"r", "<&>"})
		if c.User(s) != "u" || !slices.Equal(c.Strings(ClaimRole), []string{"r", "<&>"}) {
			t.Errorf("%v: user %q, roles %v", s, c.User(s), c.Strings(ClaimRole))
		}
		if string(c.Raw(ClaimIssuedAt)) != "1000" || string(c.Raw(ClaimExpires)) != "1061" {
			t.Errorf("from %s to %s", c.Raw(ClaimIssuedAt), c.Raw(ClaimExpires))
		}
	}
}
