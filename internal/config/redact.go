package config

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const redacted = "***"

// span is a range of bytes, [from, to).
type span struct{ from, to int }

// secretWord finds keys, of any program, whose value is a secret: someone may
// put one into this file by mistake, and the report quotes its line.
var secretWord = regexp.MustCompile(`(?i)(passw|secret|token|access_?key|connection_?string|credential|authorization)[a-z0-9_-]*["']?\s*[:=]`)

// secretFile finds keys of files that hold a secret: their names are none.
var secretFile = regexp.MustCompile(`(?i)_files?["']?\s*[:=]$`)

// privateKey finds the beginning of a key in PEM, which somebody may put where
// the file of one belongs.
var privateKey = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)

// secretSpans finds what may be a secret in a line or value: user information
// of a URL, however malformed, its query and fragment, the values of keys that
// sound secret, what follows the beginning of a private key, and every
// occurrence of the known secrets. The spans are in order and do not overlap.
//
// It errs on the side of hiding: a password may itself hold "/", "@" or spaces.
func secretSpans(text string, known []string) []span {
	spans := append(userInfo(text), query(text)...)
	for _, m := range secretWord.FindAllStringIndex(text, -1) {
		if secretFile.MatchString(text[m[0]:m[1]]) {
			continue
		}
		from := m[1]
		for from < len(text) && text[from] == ' ' {
			from++
		}
		spans = append(spans, span{from, valueEnd(text, from, strings.ContainsAny(text[:m[0]], "{["))})
	}
	if m := privateKey.FindStringIndex(text); m != nil {
		spans = append(spans, span{m[1], len(text)})
	}
	for _, secret := range known {
		for from := 0; ; {
			at := strings.Index(text[from:], secret)
			if at < 0 {
				break
			}
			spans = append(spans, span{from + at, from + at + len(secret)})
			from += at + len(secret)
		}
	}
	spans = slices.DeleteFunc(spans, func(s span) bool { return s.from >= s.to })
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	merged := spans[:0]
	for _, s := range spans {
		if last := len(merged) - 1; last >= 0 && s.from <= merged[last].to {
			merged[last].to = max(merged[last].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// valueEnd is where the value that begins at from ends; flow says that it stands
// in a list or section on one line.
func valueEnd(text string, from int, flow bool) int {
	if from < len(text) && strings.IndexByte("\"'", text[from]) >= 0 {
		end := from + 1
		for end < len(text) && text[end] != text[from] {
			if text[end] == '\\' && text[from] == '"' {
				end++ // What follows does not end the text.
			}
			end++
		}
		return min(end+1, len(text))
	}
	if !flow || from < len(text) && strings.IndexByte("{[|>", text[from]) >= 0 {
		return len(text)
	}
	return until(text, from, ",}")
}

// userInfo finds all that may stand before the "@" of a URL, and without an "@"
// what stands where a port should but is none: the "@" may have been forgotten
// or stand on the next line.
func userInfo(text string) []span {
	scheme := strings.Index(text, "://")
	at := strings.LastIndexByte(text, '@')
	switch {
	case at >= 0 && scheme >= 0 && scheme+3 <= at:
		return []span{{scheme + 3, at}}
	case at >= 0:
		// After the first colon, be it of a key or of "user:password".
		return []span{{1 + strings.IndexByte(text[:at], ':'), at}}
	case scheme < 0:
		return nil
	}
	end := until(text, scheme+3, " \t\"'/,}")
	host := scheme + 3
	if bracket := strings.IndexByte(text[host:end], ']'); bracket >= 0 {
		host += bracket
	}
	colon := strings.IndexByte(text[host:end], ':')
	if port := host + colon + 1; colon >= 0 && !digits.MatchString(text[port:end]) {
		return []span{{port, until(text, port, " \t\"'")}}
	}
	return nil
}

// query finds what follows "?" or "#" in a URL.
func query(text string) []span {
	var spans []span
	scheme := strings.Index(text, "://")
	if scheme < 0 {
		return nil
	}
	for i := scheme + 3; i < len(text); i++ {
		comment := text[i] == '#' && strings.IndexByte(" \t", text[i-1]) >= 0
		switch {
		case comment:
			return spans
		case text[i] == '?' || text[i] == '#':
			end := until(text, i+1, " \t\"'")
			spans = append(spans, span{i + 1, end})
			i = end
		}
	}
	return spans
}

// until is the offset of the first of chars at or after from, or the end.
func until(text string, from int, chars string) int {
	if n := strings.IndexAny(text[from:], chars); n >= 0 {
		return from + n
	}
	return len(text)
}

// redact hides the secrets of text.
func redact(text string) string {
	out, _ := redactAt(text, 0, nil)
	return out
}

// redactAt hides the secrets of text, and the known ones, and returns where the
// byte offset has moved to.
func redactAt(text string, offset int, known []string) (string, int) {
	var b strings.Builder
	done, moved := 0, offset
	for _, s := range secretSpans(text, known) {
		switch {
		case offset >= s.to:
			moved += len(redacted) - (s.to - s.from)
		case offset > s.from:
			moved -= offset - s.from
		}
		b.WriteString(text[done:s.from])
		b.WriteString(redacted)
		done = s.to
	}
	b.WriteString(text[done:])
	return b.String(), moved
}

// redactURL hides the secrets of a URL. One that has passed the checks has none
// and comes back as it was, even with an "@" in its path.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return text
	}
	return redact(text)
}
