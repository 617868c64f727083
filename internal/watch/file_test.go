package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriteInPlace(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	for _, content := range []string{"b", "c", "longer", "", "d"} {
		write(t, path, content)
		r.expect(content) // A write empties the file first, and that may be told.
	}
}

func TestAppend(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, content := range []string{"ab", "abb", "abbb"} {
		if _, err := f.WriteString("b"); err != nil {
			t.Fatal(err)
		}
		r.only(content)
	}
}

func TestRenameOver(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	for _, content := range []string{"b", "c", "", "d"} {
		replace(t, path, content)
		r.only(content)
	}
}

// TestDeleteAndCreate: to be gone is no news, to come back with other content is.
func TestDeleteAndCreate(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	for _, content := range []string{"b", "c", "d"} {
		remove(t, path)
		replace(t, path, content)
		r.only(content)
	}
}

// TestSameContent is told in no way of putting it there.
func TestSameContent(t *testing.T) {
	path, dir := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	replace(t, path, "a")
	remove(t, path)
	replace(t, path, "a")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	move(t, path, filepath.Join(dir, "away"))
	move(t, filepath.Join(dir, "away"), path)
	write(t, filepath.Join(dir, "other"), "x")
	replace(t, path, "b")
	r.only("b")
}

// TestLinkToFile: the link is swapped, and so is what it leads to.
func TestLinkToFile(t *testing.T) {
	path, dir := fresh(t)
	first, second := filepath.Join(dir, "1", "file"), filepath.Join(dir, "2", "file")
	makeDir(t, filepath.Dir(first))
	makeDir(t, filepath.Dir(second))
	write(t, first, "a")
	write(t, second, "b")
	link(t, first, path)
	r := start(t, watched(t, path))
	link(t, second, path)
	r.only("b")
	replace(t, second, "c")
	r.only("c")
	link(t, filepath.Join("1", "file"), path)
	r.only("a")
	replace(t, first, "d")
	r.only("d")
}

// TestLinkToDirectory is what Kubernetes does: the file leads over ..data, which
// is swapped, and the directory it led to is deleted.
func TestLinkToDirectory(t *testing.T) {
	path, dir := fresh(t)
	publish := func(version, content string) {
		makeDir(t, filepath.Join(dir, version))
		write(t, filepath.Join(dir, version, "pointsman.yaml"), content)
		link(t, version, filepath.Join(dir, "..data"))
	}
	publish("..1", "a")
	link(t, filepath.Join("..data", "pointsman.yaml"), path)
	r := start(t, watched(t, path))
	publish("..2", "b")
	remove(t, filepath.Join(dir, "..1"))
	r.only("b")
	publish("..3", "b") // the same
	remove(t, filepath.Join(dir, "..2"))
	publish("..4", "c")
	remove(t, filepath.Join(dir, "..3"))
	r.only("c")
	replace(t, filepath.Join(dir, "..4", "pointsman.yaml"), "d")
	r.only("d")
}

// TestLinkOnTheWay: a directory far above the file is a link.
func TestLinkOnTheWay(t *testing.T) {
	_, dir := fresh(t)
	for _, version := range []string{"blue", "green"} {
		makeDir(t, filepath.Join(dir, version, "etc", "p"))
		write(t, filepath.Join(dir, version, "etc", "p", "file"), version)
	}
	link(t, "blue", filepath.Join(dir, "current"))
	r := start(t, watched(t, filepath.Join(dir, "current", "etc", "p", "file")))
	link(t, "green", filepath.Join(dir, "current"))
	r.only("green")
	replace(t, filepath.Join(dir, "green", "etc", "p", "file"), "changed")
	r.only("changed")
}

// TestDirectoryReplaced: the directory of the file is deleted and made again, and
// then changes places with another.
func TestDirectoryReplaced(t *testing.T) {
	_, dir := fresh(t)
	home, path := filepath.Join(dir, "home"), filepath.Join(dir, "home", "file")
	makeDir(t, home)
	write(t, path, "a")
	r := start(t, watched(t, path))
	remove(t, home)
	makeDir(t, home)
	replace(t, path, "b")
	r.only("b")
	makeDir(t, filepath.Join(dir, "next"))
	write(t, filepath.Join(dir, "next", "file"), "c")
	move(t, home, filepath.Join(dir, "last"))
	move(t, filepath.Join(dir, "next"), home)
	r.only("c")
	replace(t, path, "d")
	r.only("d")
}

// TestNotThereYet: neither the file nor its directory.
func TestNotThereYet(t *testing.T) {
	_, dir := fresh(t)
	path := filepath.Join(dir, "a", "b", "file")
	r := start(t, watched(t, path))
	makeDir(t, filepath.Dir(path))
	replace(t, path, "a")
	r.only("a")
}

// TestChangeBeforeRun is told, because New has seen the file before.
func TestChangeBeforeRun(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	f := watched(t, path)
	replace(t, path, "b")
	start(t, f).only("b")
}

func TestRelativePath(t *testing.T) {
	path, dir := fresh(t)
	t.Chdir(dir)
	write(t, path, "a")
	r := start(t, watched(t, "pointsman.yaml"))
	t.Chdir("/")
	replace(t, path, "b")
	r.only("b")
}

// TestLargeFile: beyond the bound nothing is read.
func TestLargeFile(t *testing.T) {
	path, _ := fresh(t)
	large := strings.Repeat("a", largest)
	write(t, path, large)
	r := start(t, watched(t, path))
	replace(t, path, large+"b")
	replace(t, path, large[1:])
	r.only(large[1:])
}

// TestStorm writes a hundred times in a second: few calls, and the last content
// is told.
func TestStorm(t *testing.T) {
	t.Parallel() // It waits most of the time.
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 {
		<-tick.C
		write(t, path, fmt.Sprint("version ", i))
	}
	calls := 1 + len(r.expect("version 99"))
	// Between two looks lies a time of quiet.
	if most := 2 + int(time.Since(begin)/quiet); calls > most {
		t.Errorf("%d calls for 100 writes in %v, want at most %d", calls, time.Since(begin), most)
	}
}

// TestEndlessStorm is told while it goes on.
func TestEndlessStorm(t *testing.T) {
	t.Parallel() // It waits most of the time.
	path, _ := fresh(t)
	write(t, path, "a")
	r := start(t, watched(t, path))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			replace(t, path, fmt.Sprint("version ", i))
		case <-r.told:
			return
		case <-limit:
			t.Fatalf("nothing was told within %v of %d changes", patience, i)
		}
	}
}

func TestPace(t *testing.T) {
	var p pace
	begin := time.Now()
	f := func(after, want time.Duration) {
		t.Helper()
		if got := p.wait(begin.Add(after)); got != want {
			t.Errorf("after %v: wait %v, want %v", after, got, want)
		}
	}
	f(0, quiet)
	f(quiet/2, quiet)
	f(latest-quiet, quiet)
	f(latest-quiet/2, quiet/2)
	f(latest, 0)
	f(latest+quiet, 0)
	p.done()
	f(5*latest, quiet)
	f(6*latest, 0)
}

func TestNewRefuses(t *testing.T) {
	path, dir := fresh(t)
	write(t, path, "a")
	for name, bad := range map[string]string{
		"nothing":      "",
		"a directory":  dir,
		"a device":     os.DevNull,
		"below a file": filepath.Join(path, "file"),
	} {
		if f, err := New(bad, nil); err == nil || f != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := New(path, nil); err == nil {
			t.Error("a file that cannot be read is accepted")
		}
	}
}
