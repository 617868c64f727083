package negotiate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/internal/azure"
)

const version1 = ` {"negotiateVersion":1,"connectionId":"pub", "connectionToken" : "secret" ,"availableTransports":[` +
	`{"transport":"WebSockets","transferFormats":["Text","Binary"]}],"more":1.0e2,"useStatefulReconnect":true}` + "\n"

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAdapt(t *testing.T) {
	a := newAffinity(t, AffinityOptions{Keys: []azure.Key{key(t, ownText)}})
	pinned := strings.Replace(version1, `"secret"`, `"`+a.Pin("secret", "east")+`"`, 1)
	const version0 = `{"connectionId":"pub0","availableTransports":[]}`
	gz := packed(t, version1)
	for _, row := range []struct {
		name     string
		in       UpstreamAnswer
		want     string
		pin      bool
		unpacked bool
	}{
		{"version 1", UpstreamAnswer{200, "application/json", "", []byte(version1)}, pinned, true, false},
		{"with a charset", UpstreamAnswer{200, "Application/JSON; charset=utf-8", "identity", []byte(version1)}, pinned, true, false},
		{"packed", UpstreamAnswer{200, "application/json", "GZIP", gz}, pinned, true, true},
		{"byte order mark", UpstreamAnswer{200, "application/json", "", []byte("\ufeff" + version1)}, pinned, true, false},
		{"version 0", UpstreamAnswer{200, "application/json", "", []byte(version0)}, version0, true, false},
		{"version 0 with a token", UpstreamAnswer{200, "application/json", "", []byte(`{"connectionToken":"t","connectionId":"pub1"}`)},
			`{"connectionToken":"t","connectionId":"pub1"}`, true, false},
		{"null token", UpstreamAnswer{200, "application/json", "", []byte(`{"negotiateVersion":1,"connectionToken":null}`)},
			`{"negotiateVersion":1,"connectionToken":null}`, false, false},
		{"redirect", UpstreamAnswer{200, "application/json", "", []byte(`{"url":"https://x","accessToken":"t"}`)},
			`{"url":"https://x","accessToken":"t"}`, false, false},
		{"error", UpstreamAnswer{200, "application/json", "", []byte(`{"error":"no","connectionId":"x"}`)},
			`{"error":"no","connectionId":"x"}`, false, false},
		{"old SignalR", UpstreamAnswer{200, "application/json", "", []byte(`{"ProtocolVersion":"1.5","connectionId":"x"}`)},
			`{"ProtocolVersion":"1.5","connectionId":"x"}`, false, false},
		{"something else", UpstreamAnswer{200, "application/json", "", []byte(`{}`)}, `{}`, false, false},
		{"404", UpstreamAnswer{404, "application/json", "", []byte(`rubbish`)}, `rubbish`, false, false},
		{"a page", UpstreamAnswer{200, "text/html", "", []byte(`<html>`)}, `<html>`, false, false},
		{"no type", UpstreamAnswer{200, "", "", []byte(version1)}, version1, false, false},
		{"other packing", UpstreamAnswer{200, "application/json", "br", []byte("\x00")}, "\x00", false, false},
		{"32 levels", UpstreamAnswer{200, "application/json", "", []byte(`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]",
			31) + `}`)},
			`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, false, false},
		{"brackets in texts", UpstreamAnswer{200, "application/json", "", []byte(`{"a":"\"` + strings.Repeat("[", 99) + `"}`)},
			`{"a":"\"` + strings.Repeat("[", 99) + `"}`, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := a.Adapt(row.in, "east")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, string(got.Body)); diff != "" {
				t.Error(diff)
			}
			if got.Pinned != row.pin || got.Unpacked != row.unpacked {
				t.Errorf("pinned %v, unpacked %v", got.Pinned, got.Unpacked)
			}
		})
	}
	for _, id := range []string{"pub0", "pub1"} {
		if bare, to, found := a.Find(id, regions); bare != id || to != "east" || !found {
			t.Errorf("%s leads to %q", id, to)
		}
	}
}

func TestAdaptRefuses(t *testing.T) {
	a := newAffinity(t, AffinityOptions{})
	bomb := packed(t, `{"a":"`+strings.Repeat("a", 10<<20)+`"}`)
	for name, body := range map[string]string{
		"empty": "", "truncated": version1[:60], "no JSON": "<html>", "a list": "[]", "a text": `"a"`, "two values": "{}{}",
		"too long": `{"a":"` + strings.Repeat("a", MaxUpstreamAnswer) + `"}`, "33 levels": `{"a":` + strings.Repeat("[",
			32) + strings.Repeat("]", 32) + `}`,
		"10,000 levels":         strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
		"a name twice":          `{"connectionToken":"a","negotiateVersion":1,"connectionToken":"b"}`,
		"a name twice, escaped": `{"connectionToken":"a","negotiateVersion":1,"\u0063onnectionToken":"b"}`,
		"token is a number":     `{"connectionToken":1,"negotiateVersion":1}`,
		"empty token":           `{"connectionToken":"","negotiateVersion":1}`,
		"version is a text":     `{"connectionToken":"a","negotiateVersion":"1"}`, "id is a list": `{"connectionId":["a"]}`,
	} {
		got, err := a.Adapt(UpstreamAnswer{200, "application/json", "", []byte(body)}, "east")
		if !errors.Is(err, ErrUpstreamAnswer) || got.Body != nil {
			t.Errorf("%s: %q, %v", name, got.Body, err)
		}
	}
	for name, body := range map[string][]byte{"bomb": bomb, "no gzip": []byte("{}"), "cut": packed(t, version1)[:30]} {
		if len(body) > MaxUpstreamAnswer {
			t.Fatalf("%s is too long to test anything: %d bytes", name, len(body))
		}
		if _, err := a.Adapt(UpstreamAnswer{200, "application/json", "gzip", body}, "east"); !errors.Is(err, ErrUpstreamAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a.Pinned() != 0 {
		t.Errorf("%d ids are remembered", a.Pinned())
	}
}
