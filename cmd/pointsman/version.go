package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by a release build:
//
//	go build -ldflags "-X main.version=v1.2.3" ./cmd/pointsman
//
// Other builds take the module version that Go records.
var version string

// build says which pointsman this is.
type build struct {
	Version   string `json:"version"`            // "devel" when nothing better is known
	Revision  string `json:"revision,omitempty"` // commit
	Modified  bool   `json:"modified,omitempty"` // built from a changed checkout
	GoVersion string `json:"go_version"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
}

// currentBuild returns what is known about this binary.
func currentBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return newBuild(version, info)
}

func newBuild(version string, info *debug.BuildInfo) build {
	b := build{
		Version:   version,
		GoVersion: runtime.Version(),
		OS:        runtime.GOOS,
		Arch:      runtime.GOARCH,
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is the one line of "pointsman version".
func (b build) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "pointsman %s (%s, %s/%s", b.Version, b.GoVersion, b.OS, b.Arch)
	if b.Revision != "" {
		fmt.Fprintf(&s, ", commit %.12s", b.Revision)
	}
	if b.Modified {
		s.WriteString(" with changes")
	}
	s.WriteString(")")
	return s.String()
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the Go version and the platform",
		Example: "  pointsman version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := currentBuild()
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(b)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), b)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}
