package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/proxy/drain"
)

// TestBadBodies: 400 names the field, its value, and what was expected.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(1)
	const (
		aShare    = ` is not a share above 0 and up to all, such as "20%" or 0.2`
		aTime     = ` is not a time above 0 and up to 10000h0m0s, such as `
		aNetwork  = ` is not an address or a network, such as "10.1.2.3" or "10.1.0.0/16"`
		aPath     = ` is not the beginning of a path without query, such as "/chat/"`
		drainKeys = "expected share, count, older_than, path, client, rate, order, close_code, reason, deadline, then, force"
	)
	for _, row := range []struct{ order, body, want string }{
		{"drain", `{"share":"20"}`, `share: "20"` + aShare},
		{"drain", `{"share":20}`, `share: 20` + aShare},
		{"drain", `{"share":0}`, `share: 0` + aShare},
		{"drain", `{"share":"0%"}`, `share: "0%"` + aShare},
		{"drain", `{"share":"100.1%"}`, `share: "100.1%"` + aShare},
		{"drain", `{"share":"-5%"}`, `share: "-5%"` + aShare},
		{"drain", `{"share":"NaN%"}`, `share: "NaN%"` + aShare},
		{"drain", `{"share":"%"}`, `share: "%"` + aShare},
		{"drain", `{"share":1e999}`, `share: 1e999` + aShare},
		{"drain", `{"share":null}`, `share: null` + aShare},
		{"drain", `{"share":[0.2]}`, `share: [0.2]` + aShare},
		{"drain", `{"count":0}`, `count: 0 is not a whole number from 1 to 1000000000`},
		{"drain", `{"count":-1}`, `count: -1 is not a whole number`},
		{"drain", `{"count":1.5}`, `count: 1.5 is not a whole number`},
		{"drain", `{"count":"3"}`, `count: "3" is not a whole number`},
		{"drain", `{"count":99999999999999999999}`, `count: 99999999999999999999 is not a whole number`},
		{"drain", `{"count":null}`, `count: null is not a whole number`},
		{"drain", `{"count":5,"share":"10%"}`, `share and count exclude each other`},
		{"drain", `{"older_than":"5"}`, `older_than: "5"` + aTime + `"5m"`},
		{"drain", `{"older_than":5}`, `older_than: 5` + aTime + `"5m"`},
		{"drain", `{"older_than":"0s"}`, `older_than: "0s"` + aTime + `"5m"`},
		{"drain", `{"older_than":"-5m"}`, `older_than: "-5m"` + aTime + `"5m"`},
		{"drain", `{"older_than":"20000h"}`, `older_than: "20000h"` + aTime + `"5m"`},
		{"drain", `{"older_than":"1e9h"}`, `older_than: "1e9h"` + aTime + `"5m"`},
		{"drain", `{"deadline":"soon"}`, `deadline: "soon"` + aTime + `"10m"`},
		{"drain", `{"path":"chat"}`, `path: "chat"` + aPath},
		{"drain", `{"path":""}`, `path: ""` + aPath},
		{"drain", `{"path":"/chat?room=1"}`, `path: "/chat?room=1"` + aPath},
		{"drain", `{"path":"/a\nb"}`, `path: "/a\nb"` + aPath},
		{"drain", `{"path":"/` + strings.Repeat("x", 5000) + `"}`, `path: "/` + strings.Repeat("x", 58) + `…` + aPath},
		{"drain", `{"client":"10.0.0.0/33"}`, `client: "10.0.0.0/33"` + aNetwork},
		{"drain", `{"client":"host.example"}`, `client: "host.example"` + aNetwork},
		{"drain", `{"client":"fe80::1%eth0"}`, `client: "fe80::1%eth0"` + aNetwork},
		{"drain", `{"client":""}`, `client: ""` + aNetwork},
		{"drain", `{"rate":0}`, `rate: 0 is not a whole number from 1 to 100000`},
		{"drain", `{"rate":100001}`, `rate: 100001 is not a whole number from 1 to 100000`},
		{"drain", `{"order":"idle"}`, `order: "idle" is not "idle-first", "oldest-first" or "random"`},
		{"drain", `{"order":0}`, `order: 0 is not "idle-first", "oldest-first" or "random"`},
		{"drain", `{"close_code":999}`, `close_code: 999 is not a whole number from 1000 to 4999`},
		{"drain", `{"close_code":1005}`, `close code 1005 is not allowed on the wire`},
		{"drain", `{"close_code":70000}`, `close_code: 70000 is not a whole number from 1000 to 4999`},
		{"drain", `{"reason":"` + strings.Repeat("é", 62) + `"}`, ` is not a text of at most 123 bytes without control characters`},
		{"drain", `{"reason":"a\u001b[2Jb"}`, `reason: "a\u001b[2Jb" is not a text`},
		{"drain", `{"then":"stay"}`, `then: "stay" is not "leave" or "close"`},
		{"drain", `{"force":"true"}`, `force: "true" is not true or false`},
		{"drain", `{"force":1}`, `force: 1 is not true or false`},
		{"drain", `{"force":null}`, `force: null is not true or false`},
		{"drain", `{"rate":0,"force":1}`, `rate: 0 is not a whole number from 1 to 100000; force: 1 is not true or false`},
		{"drain", `{"shares":"20%"}`, `unknown field "shares"; ` + drainKeys},
		{"drain", `{"Share":"20%"}`, `unknown field "Share"; ` + drainKeys},
		{"drain", `{"upstream":"west"}`, `unknown field "upstream"; ` + drainKeys},
		{"drain", `{"` + strings.Repeat("x", 999) + `":1}`, `unknown field "` + strings.Repeat("x", 59) + `…; ` + drainKeys},
		{"disable", `{"because":"x"}`, `unknown field "because"; expected why, force`},
		{"disable", `{"why":"` + strings.Repeat("x", 201) + `"}`, `is not a text of at most 200 bytes`},
		{"enable", `{"force":true}`, `unknown field "force"; expected none`},
		{"failover", "", `for is missing; expected a time such as "30s"`},
		{"failover", `{"rate":5}`, `for is missing; expected a time such as "30s"`},
		{"failover", `{"for":"30"}`, `for: "30"` + aTime + `"30s"`},
		{"failover", `{"for":"30s","rate":-1}`, `rate: -1 is not a whole number`},

		{"drain", `[]`, "the body is no JSON object: it begins with ["},
		{"drain", `"x"`, "the body is no JSON object: it begins with x"},
		{"drain", `null`, "the body is no JSON object"},
		{"drain", ` `, "the body is no JSON object: it ends too early"},
		{"drain", `{`, "the body is no JSON object: it ends too early"},
		{"drain", `{"rate"`, "the body is no JSON object"},
		{"drain", `{"rate":`, "the body is no JSON object: it ends too early"},
		{"drain", `{"rate":1`, "the body is no JSON object"},
		{"drain", `{"rate":1,}`, "the body is no JSON object"},
		{"drain", `{rate:1}`, "the body is no JSON object"},
		{"drain", `{"rate":1} {}`, "the body is no JSON object: something follows it"},
		{"drain", `{"rate":1}x`, "the body is no JSON object: something follows it"},
		{"drain", `{"rate":01}`, "the body is no JSON object"},
		{"drain", `{"rate":+1}`, "the body is no JSON object"},
		{"drain", `{"rate":1,"rate":2}`, `the body is no JSON object: it has the field "rate" twice`},
		{"drain", "{\"reason\":\"\xff\"}", "the body is no JSON object: it is not UTF-8"},
		{"drain", "\x00", "the body is no JSON object"},
		{"drain", strings.Repeat("[", 60000), "the body is no JSON object: it begins with ["},
		{"drain", `{"share":` + strings.Repeat("[", 60000) + `}`, "the body is no JSON object"},
		{"drain?force=true", "", "a query changes nothing here"},
		{"drain?", "", ""},
	} {
		name := row.order + " " + shorten(row.body)
		t.Run(name, func(t *testing.T) {
			if row.want == "" {
				return
			}
			var got Refusal
			if status := r.post("/upstreams/east/"+row.order, row.body, &got); status != 400 || !strings.Contains(got.Error, row.want) {
				t.Errorf("got %d, %s\nwant %s", status, got.Error, row.want)
			}
			if len(got.Error) > 400 || !utf8.ValidString(got.Error) {
				t.Errorf("the answer is too long or broken: %s", got.Error)
			}
		})
	}
	many := new(strings.Builder)
	for i := range 6000 {
		fmt.Fprintf(many, `,"%d":0`, i)
	}
	var got Refusal
	if status := r.post("/upstreams/east/drain", "{"+many.String()[1:]+"}", &got); status != 400 ||
		!strings.HasPrefix(got.Error, `unknown field "0"; `) || !strings.HasSuffix(got.Error, "; and 5988 more") || len(got.Error) > 2000 {
		t.Errorf("many mistakes: %d, %s", status, got.Error)
	}
	var all Drains
	if r.get("/drains", &all); len(all.Drains) > 0 || r.look().Upstreams[0].State != Healthy {
		t.Errorf("one of these was obeyed: %+v", all)
	}
}

// TestLargeBodies is the first part of row 84.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	padded := func(n int) string { return `{"why":"x"` + strings.Repeat(" ", n-11) + "}" }
	if status := r.post("/upstreams/east/disable", padded(longestBody), nil); status != 200 {
		t.Errorf("largest body: %d", status)
	}
	r.upstreams[0].Enable()
	head := "POST /upstreams/east/disable HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"one more byte":     head + "Content-Length: 65537\r\n\r\n" + padded(longestBody+1),
		"1 GiB":             head + "Content-Length: 1073741824\r\n\r\n",
		"1 GiB, if wanted":  head + "Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n",
		"chunks":            head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 4096)+"\r\n", 17),
		"one chunk of 1 GB": head + "Transfer-Encoding: chunked\r\n\r\n40000000\r\n",
		"for a GET":         strings.Replace(head, "POST", "GET", 1) + "Content-Length: 65537\r\n\r\n" + padded(longestBody+1),
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := r.raw(text)
			defer conn.Close()
			answer, err := in.ReadString('\n')
			if strings.Contains(answer, " 100 ") {
				_, _ = in.ReadString('\n')
				answer, err = in.ReadString('\n')
			}
			if err != nil && err != io.EOF || !strings.HasPrefix(answer, "HTTP/1.1 413 ") {
				t.Errorf("got %q, %v", answer, err)
			}
		})
	}
	if u := r.look().Upstreams[0]; u.Disabled {
		t.Errorf("got %+v", u)
	}
}

// TestValues checks what good values mean.
func TestValues(t *testing.T) {
	t.Parallel()
	var got struct {
		share  float64
		client netip.Prefix
		time   time.Duration
		order  drain.Order
	}
	read := func(f field, value string) {
		t.Helper()
		if !f.read(json.RawMessage(value)) {
			t.Errorf("%s %s is refused", f.name, value)
		}
	}
	for value, want := range map[string]float64{
		`"20%"`: 0.2, `0.2`: 0.2, `"0.5%"`: 0.005, `1e-3`: 0.001, `"99.9%"`: 0.9990000000000001,
		`1`: 0, `1.0`: 0, `"100%"`: 0, // all
	} {
		got.share = 0
		if read(share("share", &got.share), value); got.share != want {
			t.Errorf("share %s is %v", value, got.share)
		}
	}
	for value, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "10.1.0.0/16": "10.1.0.0/16", "::1": "::1/128", "2001:db8::/32": "2001:db8::/32",
		"::ffff:10.1.2.3": "10.1.2.3/32", "::ffff:10.1.0.0/112": "10.1.0.0/16", "::/0": "::/0",
	} {
		if read(network("client", &got.client), `"`+value+`"`); got.client != netip.MustParsePrefix(want) {
			t.Errorf("client %s is %v", value, got.client)
		}
	}
	if read(duration("for", "1s", &got.time), `"1h30m"`); got.time != 90*time.Minute {
		t.Errorf("1h30m is %v", got.time)
	}
	if read(choice("order", "", &got.order, (*drain.Order).UnmarshalText), `"random"`); got.order != drain.Random {
		t.Errorf("random is %v", got.order)
	}
}

// FuzzOrders: whatever a body holds, it is understood as encoding/json would, or
// refused in a short and printable way.
func FuzzOrders(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"share":"20%"}`, `{"count":3,"force":true}`, `{"client":"::1/64","why":"\u00e9"}`, `{"rate":1,"rate":2}`, `{"for":"1h"`, `[1]`, "", "\xff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx := new(fasthttp.RequestCtx)
		ctx.Request.SetBody(body)
		ctx.Request.Header.SetContentType("application/json")
		var plan drain.Plan
		var why string
		var lasting time.Duration
		v := &visit{ctx: ctx}
		short, err := v.orders(
			share("share", &plan.Selection.Share), integer("count", 1, 100, &plan.Selection.Count),
			network("client", &plan.Selection.Client), path("path", &plan.Selection.Path),
			words("why", &why, longestWhy), duration("for", "1s", &lasting), toggle("force", &plan.Force),
		)
		if err != nil {
			if text := err.Error(); !utf8.ValidString(text) || text == "" || len(text) > 200+len(body) {
				t.Errorf("%q gives %q", body, text)
			}
			return
		}
		if len(body) == 0 {
			return
		}
		var other struct {
			Share  json.RawMessage `json:"share"`
			Count  int             `json:"count"`
			Client string          `json:"client"`
			Path   string          `json:"path"`
			Why    string          `json:"why"`
			For    string          `json:"for"`
			Force  bool            `json:"force"`
		}
		if err := json.Unmarshal(body, &other); err != nil {
			t.Fatalf("%q is accepted, but %v", body, err)
		}
		if other.Count != plan.Selection.Count || other.Path != plan.Selection.Path || other.Why != why || other.Force != plan.Force ||
			(other.For != "") != (lasting > 0) || (other.Client != "") != plan.Selection.Client.IsValid() {
			t.Errorf("%q is understood as %+v, %q, %v", body, plan, why, lasting)
		}
		if s := plan.Selection.Share; s < 0 || s >= 1 {
			t.Errorf("%q gives share %v", body, s)
		}
		if !json.Valid([]byte(short)) || len(short) > len(body) {
			t.Errorf("%q is logged as %q", body, short)
		}
	})
}
