package config

import (
	"testing"
	"time"
)

func TestByteSize(t *testing.T) {
	for _, row := range []struct {
		size ByteSize
		text string
	}{
		{0, "0"}, {1, "1"}, {125, "125"}, {KiB, "1KiB"}, {KiB + 1, "1025"}, {1536, "1536"}, {16 * MiB, "16MiB"}, {1024 * GiB, "1024GiB"},
	} {
		if got := row.size.String(); got != row.text {
			t.Errorf("%d is %q, want %q", int64(row.size), got, row.text)
		}
		if got, err := parseSize(row.text); got != row.size || err != nil {
			t.Errorf("parseSize(%q) = %d, %v", row.text, int64(got), err)
		}
	}
	for _, text := range []string{"", " 1", "1 KiB", "1kib", "1KB", "1.5MiB", "+1", "0x10", "8589934592GiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, int64(got))
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1ms", 1500 * time.Millisecond: "1.5s", 30 * time.Second: "30s", time.Minute: "1m",
		90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m", 61 * time.Minute: "1h1m", time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "24h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
		if back, err := parseDuration(want); back != d || err != nil {
			t.Errorf("parseDuration(%q) = %v, %v", want, back, err)
		}
	}
}

func TestMatchCovers(t *testing.T) {
	for _, row := range []struct {
		m, other Match
		want     bool
	}{
		{Match{"", "/"}, Match{"", "/"}, true},
		{Match{"", "/"}, Match{"h", "/a"}, true},
		{Match{"h", "/"}, Match{"", "/"}, false},
		{Match{"h", "/"}, Match{"h", "/a"}, true},
		{Match{"h", "/"}, Match{"g", "/"}, false},
		{Match{"", "/a"}, Match{"", "/a/"}, true},
		{Match{"", "/a/"}, Match{"", "/a"}, true},
		{Match{"", "/a"}, Match{"", "/a/b"}, true},
		{Match{"", "/a"}, Match{"", "/ab"}, false},
		{Match{"", "/a/b"}, Match{"", "/a"}, false},
		{Match{"*.h", "/"}, Match{"a.h", "/"}, true},
		{Match{"*.h", "/"}, Match{"*.a.h", "/"}, true},
		{Match{"*.a.h", "/"}, Match{"*.h", "/"}, false},
		{Match{"*.h", "/"}, Match{"h", "/"}, false},
		{Match{"*.h", "/"}, Match{"ah", "/"}, false},
		{Match{"*.h", "/"}, Match{"", "/"}, false},
		{Match{"a.h", "/"}, Match{"*.h", "/"}, false},
	} {
		if got := row.m.covers(row.other); got != row.want {
			t.Errorf("%+v covers %+v: %v, want %v", row.m, row.other, got, row.want)
		}
	}
}
