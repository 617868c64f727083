package config

import (
	"fmt"
	"strings"
)

// Key describes one key of the file.
type Key struct {
	// Path is the whole key; "[]" stands for each item of a list.
	Path string
	// Type says what the key takes.
	Type string
	// Default is the value without the key, as YAML, or a word such as
	// "required".
	Default string
	// Env is the environment variable that overrides the key; empty if none does.
	Env string
	// Doc is one or two sentences: the meaning, and when to change it.
	Doc string
}

// Keys returns every key, in the order of the reference.
func Keys() []Key {
	return describe(configKeys(), Default(), "", true)
}

// needsRestart stands in the doc of each key that a running process cannot
// change, or not in every way.
const needsRestart = "needs a restart"

// describe turns a table into keys; zero holds the defaults.
func describe[T any](fields []field[T], zero T, prefix string, env bool) []Key {
	var out []Key
	for _, f := range fields {
		k := Key{
			Path:    prefix + f.name,
			Type:    strings.TrimPrefix(strings.TrimPrefix(f.expected, "a "), "an "),
			Default: f.initial,
			Doc:     f.doc,
		}
		switch {
		case f.required:
			k.Default = "required"
		case f.initial == "" && f.get != nil:
			k.Default = f.get(&zero)
		}
		if env && f.set != nil {
			k.Env = f.variable()
		}
		if f.restart != nil && !strings.Contains(k.Doc, needsRestart) {
			k.Doc += " A change " + needsRestart + "."
		}
		out = append(out, k)
		for _, item := range f.items {
			item.Path = prefix + item.Path
			out = append(out, item)
		}
	}
	return out
}

const referenceHead = `# Configuration

This page is generated from the table of keys in ` + "`internal/config`" + `; a test keeps it true.

The file is YAML. ` + "`pointsman check FILE`" + ` does what ` + "`serve`" + ` does before it opens a port, and reports every
mistake in the file at once, with line, column and what was expected. Ready-made files are in ` + "`configs/`" + `.

- Only ` + "`upstreams`" + ` is required. Unknown and duplicate keys are mistakes, so a typo cannot pass as a default.
- Durations are Go durations with a unit: ` + "`500ms`, `2s`, `1m30s`, `1h`" + `.
- Sizes are plain bytes or a whole number with ` + "`KiB`, `MiB` or `GiB`" + `.
- Anchors, aliases, merge keys, tags and several documents in one file are refused. A file has at most 1 MiB.
- Precedence, weakest first: default, file, environment variable, command-line flag.
- Lists, and what stands in them, come from the file only. ` + "`POINTSMAN_LISTEN`" + ` holds one address and replaces all of
  ` + "`listen`" + `; ` + "`POINTSMAN_ACCESS_KEYS`" + ` and ` + "`POINTSMAN_ACCESS_KEY_FILES`" + ` hold one or two, with a comma between.
- The variables in which the Azure SDKs look for connection strings (` + "`Azure__SignalR__ConnectionString__<name>__<role>`" + `
  and the like) add upstreams, or give those in the file that have the name their connection string. See
  [azure.md](azure.md).
- Files of certificates, keys and connection strings are read by ` + "`check`" + `, too, and what is wrong with them is
  reported at their key.
- A changed file takes effect by SIGHUP, or by itself (` + "`reload.watch`" + `), except the keys that say otherwise. Flags and
  environment stay as they were at the start.
- An unknown ` + "`POINTSMAN_`" + ` variable is a mistake too. The variables that Kubernetes adds for a service called
  ` + "`pointsman`" + ` (` + "`POINTSMAN_SERVICE_HOST`, `POINTSMAN_PORT_8080_TCP`" + ` and the like) are ignored.
`

// Reference returns docs/configuration.md: a page with a table for each section
// of the file.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	var titles []string
	rows := make(map[string][]Key)
	for _, k := range Keys() {
		title := sectionTitle(k.Path)
		if rows[title] == nil {
			titles = append(titles, title)
		}
		rows[title] = append(rows[title], k)
	}
	for _, title := range titles {
		fmt.Fprintf(&b, "\n## %s\n\n| key | takes | default | environment | meaning |\n| --- | --- | --- | --- | --- |\n", title)
		for _, k := range rows[title] {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Path, cell(k.Type), defaultCell(k.Default), code(k.Env), cell(k.Doc))
		}
	}
	return b.String()
}

// sectionTitle is the heading that a key stands under.
func sectionTitle(path string) string {
	if head, _, ok := strings.Cut(path, "[]."); ok {
		return "Each of `" + head + "`"
	}
	if head, _, ok := strings.Cut(path, "."); ok {
		return "`" + head + "`"
	}
	return "Top level"
}

// defaultCell shows a value as code and a remark as text.
func defaultCell(s string) string {
	if s == "required" || strings.Contains(s, " ") || s == "all" {
		return cell(s)
	}
	return code(s)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// cell escapes what would end a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
