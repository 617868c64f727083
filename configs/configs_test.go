package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/certtest"
	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/proxy"
)

// examples says for each file how many upstreams of each role it has.
var examples = map[string]struct{ primaries, secondaries int }{
	"minimal.yaml":            {1, 1},
	"active-passive.yaml":     {2, 1},
	"active-active-east.yaml": {1, 1},
	"active-active-west.yaml": {1, 1},
	"tls.yaml":                {1, 1},
	"azure-webpubsub.yaml":    {1, 1},
	"azure-signalr.yaml":      {2, 1},
}

// notExamples are the other files of the directory.
var notExamples = []string{"doc.go", "configs_test.go"}

// etc and etcSecrets are where examples have their files.
const (
	etc        = "/etc/pointsman/tls/"
	etcSecrets = "/etc/pointsman/secrets/"
)

// service is an access key or, with a host before it, a connection string.
func service(host string) string {
	key := strings.Repeat("not a real key ", 3)
	if host == "" {
		return key
	}
	return "Endpoint=https://" + host + ";AccessKey=" + key + ";Version=1.0;"
}

// environ is what examples say that they need, by the name of the file.
var environ = map[string][]string{
	"azure-signalr.yaml": {
		"Azure__SignalR__ConnectionString__one=" + service("one.service.signalr.net"),
		"Azure__SignalR__ConnectionString__two=" + service("two.service.signalr.net"),
		"Azure__SignalR__ConnectionString__far__secondary=" + service("far.service.signalr.net"),
		"POINTSMAN_ACCESS_KEYS=" + service(""),
	},
}

// load reads an example, with files of this test in the place of those that it
// names.
func load(t *testing.T, name string) *config.Config {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, name, string(data))
}

// parse is load for a text.
func parse(t *testing.T, name, text string) *config.Config {
	t.Helper()
	if strings.Contains(text, etc) {
		text = strings.ReplaceAll(text, etc, secrets(t)+"/")
	}
	if strings.Contains(text, etcSecrets) {
		text = strings.ReplaceAll(text, etcSecrets, services(t)+"/")
	}
	c, err := config.Parse(name, []byte(text), environ[name])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// secrets returns a directory with the files that examples name.
func secrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca := certtest.New(t, "Internal")
	for name, host := range map[string]string{
		"chat.example.org": "chat.example.org", "wildcard.example.net": "*.example.net", "router": "router.internal.example.org",
	} {
		ca.Renew(t, certtest.Wish{Names: []string{host}}, filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	}
	if err := os.Rename(ca.File(t), filepath.Join(dir, "internal-ca.crt")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// services returns a directory with the connection strings and keys that examples
// name.
func services(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"east.connection": service("east.webpubsub.azure.com"), "west.connection": service("west.webpubsub.azure.com"), "access-key": service(""),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestExamples(t *testing.T) {
	for name, want := range examples {
		t.Run(name, func(t *testing.T) {
			c := load(t, name)
			got := want
			got.primaries, got.secondaries = 0, 0
			for _, u := range c.Upstreams {
				if u.Role == config.RolePrimary {
					got.primaries++
				} else {
					got.secondaries++
				}
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if w := c.Warnings(); len(w) > 0 {
				t.Errorf("an example must not be warned about: %q", w)
			}
			o, err := c.Build(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := proxy.Check(o); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExamplesOfTheGuide: those in docs/azure.md are right, too.
func TestExamplesOfTheGuide(t *testing.T) {
	data, err := os.ReadFile("../docs/azure.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "```yaml\n")[1:]
	if len(blocks) != 4 {
		t.Errorf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		o, err := parse(t, fmt.Sprintf("example %d", i+1), text).Build(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := proxy.Check(o); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
}

// TestEveryFileIsLoaded finds examples that were added without a row above.
func TestEveryFileIsLoaded(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := examples[e.Name()]; !ok && !slices.Contains(notExamples, e.Name()) {
			t.Errorf("%s is in no test", filepath.Join("configs", e.Name()))
		}
	}
}

// TestActiveActiveIsMirrored: swapping the names of the regions turns one file
// into the other.
func TestActiveActiveIsMirrored(t *testing.T) {
	east, west := load(t, "active-active-east.yaml"), load(t, "active-active-west.yaml")
	swap := map[string]string{"east": "west", "west": "east"}
	for i := range east.Upstreams {
		u := &east.Upstreams[i]
		u.Name = swap[u.Name]
		u.URL = "ws://" + u.Name + ".example.org:9001"
	}
	for _, r := range east.Routes {
		for i, name := range r.Upstreams {
			r.Upstreams[i] = swap[name]
		}
	}
	if diff := cmp.Diff(east, west); diff != "" {
		t.Errorf("-east, swapped +west\n%s", diff)
	}
}
