package azure

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyText   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"
	otherText = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh"
)

func mustKey(t testing.TB, text string) Key {
	t.Helper()
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustBase(t testing.TB, text string) Base {
	t.Helper()
	b, err := ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustConnection(t testing.TB, text string) ConnectionString {
	t.Helper()
	c, err := ParseConnectionString(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustClient(t testing.TB, s Service, hub string) Resource {
	t.Helper()
	r, err := ClientResource(s, hub)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
