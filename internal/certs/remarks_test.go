package certs

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const day = 24 * time.Hour

// TestStage at moments around its borders.
func TestStage(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name string
		life time.Duration
		acme bool
		at   time.Duration // from the beginning
		want stage
	}{
		{"before", 90 * day, false, -time.Second, early},
		{"young", 90 * day, false, 0, valid},
		{"a third left, but weeks", 90 * day, false, 70 * day, valid},
		{"14 days left", 90 * day, false, 76 * day, valid},
		{"less", 90 * day, false, 76*day + time.Second, ending},
		{"last moment", 90 * day, false, 90 * day, ending},
		{"after", 90 * day, false, 90*day + time.Second, expired},
		{"short", 6 * day, false, 4 * day, valid},
		{"short, a third left", 6 * day, false, 4*day + time.Second, ending},
		{"renewed, a third left", 6 * day, true, 4*day + time.Second, valid},
		{"renewed, a sixth left", 6 * day, true, 5*day + time.Second, ending},
		{"renewed, 14 days left", 90 * day, true, 76*day + time.Second, ending},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := testCertificate(t, begin, row.life)
			if !row.acme {
				c.file = "a.crt"
			}
			if got := c.stage(begin.Add(row.at)); got != row.want {
				t.Errorf("%v; want %v", got, row.want)
			}
		})
	}
}

func testCertificate(t *testing.T, begin time.Time, life time.Duration) *certificate {
	t.Helper()
	c, err := parse(nobody.issue(t, wish{names: []string{"a.test"}}))
	if err != nil {
		t.Fatal(err)
	}
	c.tls.Leaf.NotBefore, c.tls.Leaf.NotAfter = begin, begin.Add(life)
	return c
}

// TestWarnsOnce lives through the last weeks of a certificate, and those of its
// successor.
func TestWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		pair := ca.pair(t, wish{names: []string{"a.test"}, to: 20 * day})
		var log journal
		k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
		k.pace.look = day // There is little to see.
		running(t, k)
		expect := func(soon, over int) {
			t.Helper()
			synctest.Wait()
			if s, o := log.count("ends soon"), log.count("has expired"); s != soon || o != over {
				t.Errorf("told %d times that it ends, %d times that it has; want %d and %d\n%s", s, o, soon, over, log.String())
			}
		}
		time.Sleep(12 * day)
		expect(0, 0)
		time.Sleep(2 * day)
		expect(1, 0)
		time.Sleep(5 * day)
		expect(1, 0)
		time.Sleep(2 * day)
		expect(1, 1)
		time.Sleep(2 * day)
		expect(1, 1)
		cert, key := ca.issue(t, wish{names: []string{"a.test"}, to: 60 * time.Hour, from: -9 * day})
		pair.write(t, cert, key)
		time.Sleep(4 * day)
		expect(2, 2)
	})
}

// TestRemarks of certificates that are loaded although something is odd.
func TestRemarks(t *testing.T) {
	ca := newAuthority(t, "Test")
	for _, row := range []struct {
		name string
		w    wish
		want string
	}{
		{"good", wish{names: []string{"a.test"}}, ""},
		{"expired", wish{names: []string{"a.test"}, from: -2 * day, to: -day}, "has expired"},
		{"early", wish{names: []string{"a.test"}, from: day}, "is not valid yet"},
		{"ending", wish{names: []string{"a.test"}, from: -80 * day, to: 10 * day}, "ends soon"},
		{"nameless", wish{subject: "a.test"}, "no subject alternative name"},
		{"for clients", wish{names: []string{"a.test"}, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "not meant for servers"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log journal
			pair := ca.pair(t, row.w)
			k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
			if err := k.Reload(); err != nil {
				t.Fatal(err)
			}
			if err := k.Apply(Options{Pairs: []Pair{pair}}); err != nil {
				t.Fatal(err)
			}
			want := 1
			if row.want == "" {
				want = 0
			}
			if n := log.count("WARN"); n != want || !strings.Contains(log.String(), row.want) {
				t.Errorf("%d warnings; want %d with %q\n%s", n, want, row.want, log.String())
			}
		})
	}
}

// TestReadableKey: the mode of a key file is looked at, that of a certificate is
// nobody's business.
func TestReadableKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	ca := newAuthority(t, "Test")
	for _, row := range []struct {
		name      string
		cert, key os.FileMode
		want      int
	}{
		{"private", 0o644, 0o600, 0},
		{"for the group", 0o644, 0o640, 0},
		{"for all", 0o644, 0o644, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			pair := ca.pair(t, wish{names: []string{"a.test"}})
			if err := os.Chmod(pair.CertFile, row.cert); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(pair.KeyFile, row.key); err != nil {
				t.Fatal(err)
			}
			var log journal
			keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
			if n := log.count("can be read by everybody"); n != row.want {
				t.Errorf("told %d times; want %d\n%s", n, row.want, log.String())
			}
		})
	}
}

// secrets returns forms in which a key might get into a text.
func secrets(t *testing.T, keyFile string) []string {
	t.Helper()
	block, _ := pem.Decode(mustRead(t, keyFile))
	inner := block.Bytes[len(block.Bytes)/3:]
	return []string{base64.StdEncoding.EncodeToString(block.Bytes)[:40], base64.StdEncoding.EncodeToString(inner)[:24], "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY"}
}
