package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/certtest"
)

// TestCheckTLS: check reads what serve would read, names the place of what is
// wrong, and warns of what serve would warn of.
func TestCheckTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t, "Test")
	cert, key := ca.Files(t, here)
	expired, expiredKey := ca.Files(t, certtest.Wish{Names: []string{"old.test"}, From: -48 * time.Hour, To: -time.Hour})
	_, otherKey := ca.Files(t, here)
	caFile := ca.File(t)
	const rest = "upstreams:\n- name: east\n  url: wss://10.0.0.1\n"
	for _, row := range []struct {
		name, text     string
		code           int
		stdout, stderr string
	}{
		{"good", secureListener(cert, key, "") + rest + fmt.Sprintf("  tls: {ca: %q, cert: %q, key: %q}\n", caFile, cert, key), exitOK, "is right: 1 upstreams, 1 routes", ""},
		{"key of another", secureListener(cert, otherKey, "") + rest, exitFailed, "",
			":1:" + fmt.Sprint(len("listen: [{address: \"127.0.0.1:0\", tls: {certificates: [{cert: , key: ")+len(cert)+3) + ": key \"listen[0].tls.certificates[0].key\""},
		{"missing authorities", secureListener(cert, key, "") + rest + "  tls:\n    ca: /does/not/exist\n", exitFailed, "", ":6:9: key \"upstreams[0].tls.ca\": value \"/does/not/exist\": cannot be used: "},
		{"not verified", rest + "  tls: {insecure: true}\n", exitOK, "is right", "warning: upstream east: TLS CERTIFICATE IS NOT VERIFIED"},
		{"expired", secureListener(expired, expiredKey, "") + rest, exitOK, "is right", "level=WARN msg=\"certificate has expired\" listener=127.0.0.1:0 certificate=old.test"},
		{"expired client certificate", rest + fmt.Sprintf("  tls: {cert: %q, key: %q}\n", expired, expiredKey), exitOK, "is right", "msg=\"client certificate has expired\" upstream=east"},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pointsman.yaml")
			if err := os.WriteFile(file, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := tryLive(t, "check", file)
			if code != row.code || !strings.Contains(stdout, row.stdout) || !strings.Contains(stderr, row.stderr) {
				t.Errorf("exit code %d\nstdout: %s\nstderr: %s\nwant %d, %q and %q", code, stdout, stderr, row.code, row.stdout, row.stderr)
			}
		})
	}
}
