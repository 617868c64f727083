package azure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyDoesNotShow(t *testing.T) {
	key := mustKey(t, keyText)
	c := mustConnection(t, "Endpoint=https://x;AccessKey="+keyText)
	type inside struct{ c ConnectionString }
	e := Endpoint{Name: "east", Connection: c}
	i := Issuer{Keys: []Key{key}}
	v, err := NewVerifier(VerifierOptions{Issuers: []Issuer{i}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, value := range []any{key, &key, c, &c, inside{c}, &inside{c}, e, i, []Key{key}, map[string]Key{"a": key}, *v, v} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		log.Info("a", "value", value)
		text, err := json.Marshal(value)
		if err == nil {
			out.Write(text)
		}
	}
	secrets := []string{keyText, keyText[:12], fmt.Sprintf("%x", keyText[:12]), strings.Trim(fmt.Sprint([]byte(keyText[:6])), "[]")}
	for _, secret := range secrets {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the key shows as %s in %s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), hidden) {
		t.Error("nothing was printed")
	}
	if key.Reveal() != keyText {
		t.Error("the key is another")
	}
}

func TestParseKey(t *testing.T) {
	for _, text := range []string{"", "  ", "a\x00b", "a\nb", strings.Repeat("a", maxKey+1)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%.10q of %d bytes is taken", text, len(text))
		}
	}
	if k := mustKey(t, " a b= \n"); k.Reveal() != "a b=" || !k.Short() {
		t.Errorf("got %q", k.Reveal())
	}
	if mustKey(t, keyText).Short() {
		t.Error("a long key is short")
	}
}

func TestKeyEqual(t *testing.T) {
	a, b, c := mustKey(t, keyText), mustKey(t, keyText), mustKey(t, otherText)
	if !a.Equal(b) || a.Equal(c) || a.Equal(Key{}) || (Key{}).Equal(a) || !(Key{}).Equal(Key{}) {
		t.Error("keys are compared wrongly")
	}
}
