package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someToken = "0123456789abcdef"

// TestToken: where it may come from, and that a dump leads back to it.
func TestToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("token", "\n  "+someToken+"\r\n\n")
	long := strings.Repeat("~", longestToken)
	for _, row := range []struct {
		name, file string
		environ    []string
		want       Admin
	}{
		{"none", two, nil, Admin{"127.0.0.1:9090", "", ""}},
		{"in the file", two + "admin: {address: \":1\", token: " + someToken + "}", nil, Admin{":1", someToken, ""}},
		{"in quotes", two + "admin: {token: '0123!\"#$%&,}{[]*'}", nil, Admin{"127.0.0.1:9090", "0123!\"#$%&,}{[]*", ""}},
		{"in the environment instead", two + "admin: {token: abcdef0123456789}", []string{"POINTSMAN_ADMIN_TOKEN=" + someToken}, Admin{"127.0.0.1:9090", someToken, ""}},
		{"of digits", two + "admin: {token: 01234567890123456789}", nil, Admin{"127.0.0.1:9090", "01234567890123456789", ""}},
		{"longest", two + "admin:\n  token: \"" + long + "\"\n", nil, Admin{"127.0.0.1:9090", Secret(long), ""}},
		{"in the environment", two, []string{"POINTSMAN_ADMIN_TOKEN=" + someToken}, Admin{"127.0.0.1:9090", someToken, ""}},
		{"beside an address from the environment", two + "admin: {address: \":1\", token: " + someToken + "}", []string{"POINTSMAN_ADMIN=:2"}, Admin{":2", someToken, ""}},
		{"beside an address alone", two + "admin: unix:/run/p.sock", []string{"POINTSMAN_ADMIN_TOKEN=" + someToken}, Admin{"unix:/run/p.sock", someToken, ""}},
		{"in a file of its own", two + "admin: {token_file: " + file + "}", nil, Admin{"127.0.0.1:9090", someToken, file}},
		{"in a file of its own, by the environment", two, []string{"POINTSMAN_ADMIN_TOKEN_FILE=" + file}, Admin{"127.0.0.1:9090", someToken, file}},
		{"in a file of the full size", two + "admin: {token_file: " + write("long", long) + "}", nil, Admin{"127.0.0.1:9090", Secret(long), filepath.Join(dir, "long")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := Parse("test.yaml", []byte(row.file), row.environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.Admin != row.want {
				t.Errorf("admin %q %q %q, want %q %q %q", c.Admin.Address, string(c.Admin.Token), c.Admin.TokenFile,
					row.want.Address, string(row.want.Token), row.want.TokenFile)
			}
			again, err := Parse("dump.yaml", []byte(c.YAML()), nil)
			switch {
			case c.Admin.Token != "" && c.Admin.TokenFile == "":
				if err == nil || !strings.Contains(err.Error(), `key "admin.token"`) {
					t.Errorf("a dump without its token is taken for a file: %v", err)
				}
			case err != nil:
				t.Errorf("the dump is refused: %v", err)
			case again.Admin != c.Admin:
				t.Errorf("the dump means %q", again.Admin.Address)
			}
		})
	}
}

// TestTokenFileMistakes: none is shown with what stands in the file.
func TestTokenFileMistakes(t *testing.T) {
	dir := t.TempDir()
	for name, row := range map[string]struct{ content, says string }{
		"empty":     {"", "is empty"},
		"short":     {"hunter2", "too short"},
		"two lines": {"hunter2hunter2hunter2\nhunter2", "a space"},
		"not ASCII": {"hunter2hunter2hunter2\xff", "ASCII"},
		"long":      {strings.Repeat("hunter2", 600), "larger than 4KiB"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		problems := problemsOf(t, two, "POINTSMAN_ADMIN_TOKEN_FILE="+path)
		p := problems[0]
		if len(problems) != 1 || p.Key != "POINTSMAN_ADMIN_TOKEN_FILE" || p.Value == "" || !strings.Contains(p.Message, row.says) {
			t.Errorf("%s: %v, want one problem that says %q", name, problems, row.says)
		}
		if strings.Contains(problems.Error(), "hunter2") {
			t.Errorf("%s: the token is shown:\n%v", name, problems)
		}
	}
}

func TestTokenOverFlags(t *testing.T) {
	c, err := FromFlags(Flags{Admin: "unix:/run/p.sock", Primary: []string{"ws://10.0.0.1"}}, []string{"POINTSMAN_ADMIN=:1", "POINTSMAN_ADMIN_TOKEN=" + someToken})
	if err != nil || c.Admin != (Admin{Address: "unix:/run/p.sock", Token: someToken}) {
		t.Errorf("admin %+v, %v", c, err)
	}
}

func TestAdminNetwork(t *testing.T) {
	for address, want := range map[string][2]string{
		"127.0.0.1:9090":   {"tcp", "127.0.0.1:9090"},
		":0":               {"tcp", ":0"},
		"unix:/run/p.sock": {"unix", "/run/p.sock"},
	} {
		if network, where := (Admin{Address: address}).Network(); network != want[0] || where != want[1] {
			t.Errorf("%s is %s %s", address, network, where)
		}
	}
}
