package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// field is one thing that the body of a POST may say.
type field struct {
	name     string
	expected string // in words, for whoever got it wrong
	// read takes the value and returns false if it is not what is expected.
	read func(json.RawMessage) bool
}

const (
	// longestShown is how much of a wrong value is repeated.
	longestShown = 60
	// mostMistakes is how many mistakes of one body are told.
	mostMistakes = 12
)

// orders reads the body of a POST, which may be missing, into fields. It
// returns the body in short, for the log. The error names the mistakes.
func (v *visit) orders(fields ...field) (short string, err error) {
	ctx := v.ctx
	if len(ctx.URI().QueryString()) > 0 {
		return "", refuse(fasthttp.StatusBadRequest, "a query changes nothing here; put parameters into a JSON body")
	}
	body := ctx.Request.Body()
	kind := string(ctx.Request.Header.ContentType())
	if len(body) > 0 || kind != "" {
		switch media, _, err := mime.ParseMediaType(kind); {
		case err == nil && media == "application/json":
		case media == "application/x-www-form-urlencoded", media == "multipart/form-data", media == "text/plain":
			// These three are what a form on any web page can send without asking.
			return "", refuse(fasthttp.StatusForbidden, "forms may not change anything here; expected content type application/json")
		default:
			return "", refuse(fasthttp.StatusUnsupportedMediaType, "content type %q is not application/json", kind)
		}
	}
	if len(body) == 0 {
		return "", nil
	}
	given, err := object(body)
	if err != nil {
		return "", refuse(fasthttp.StatusBadRequest, "the body is no JSON object: %v", err)
	}
	var wrong []string
	for _, pair := range given {
		if text := pair.readInto(fields); text != "" {
			wrong = append(wrong, text)
		}
	}
	if n := len(wrong) - mostMistakes; n > 0 {
		wrong = append(wrong[:mostMistakes], fmt.Sprintf("and %d more", n))
	}
	if len(wrong) > 0 {
		return "", refuse(fasthttp.StatusBadRequest, "%s", strings.Join(wrong, "; "))
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, body) // it has been read already
	return compact.String(), nil
}

// pair is a name and its value.
type pair struct {
	name  string
	value json.RawMessage
}

// readInto returns what is wrong with the pair, if anything.
func (p pair) readInto(fields []field) string {
	var names []string
	for _, f := range fields {
		if f.name != p.name {
			names = append(names, f.name)
			continue
		}
		if f.read(p.value) {
			return ""
		}
		return fmt.Sprintf("%s: %s is not %s", p.name, shorten(string(p.value)), f.expected)
	}
	if len(fields) == 0 {
		return fmt.Sprintf("unknown field %s; expected none", shorten(strconv.Quote(p.name)))
	}
	return fmt.Sprintf("unknown field %s; expected %s", shorten(strconv.Quote(p.name)), strings.Join(names, ", "))
}

func shorten(s string) string {
	if len(s) <= longestShown {
		return s
	}
	cut := longestShown
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// object reads one JSON object. Unlike encoding/json alone it refuses a name
// that is given twice, and text that is not UTF-8.
func object(body []byte) ([]pair, error) {
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("it is not UTF-8")
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.UseNumber()
	switch first, err := in.Token(); {
	case err != nil:
		return nil, fmt.Errorf("%w", plainEOF(err))
	case first != json.Delim('{'):
		return nil, fmt.Errorf("it begins with %s", shorten(fmt.Sprint(first)))
	}
	var pairs []pair
	seen := make(map[string]bool)
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, plainEOF(err)
		}
		p := pair{name: name.(string)}
		if seen[p.name] {
			return nil, fmt.Errorf("it has the field %s twice", shorten(strconv.Quote(p.name)))
		}
		seen[p.name] = true
		if err := in.Decode(&p.value); err != nil {
			return nil, plainEOF(err)
		}
		pairs = append(pairs, p)
	}
	if _, err := in.Token(); err != nil {
		return nil, plainEOF(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows it")
	}
	return pairs, nil
}

// plainEOF says an early end in words.
func plainEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("it ends too early")
	}
	return err
}

// decoded reads a value as it is: no null, no other type.
func decoded[T any](raw json.RawMessage) (value T, ok bool) {
	ok = string(raw) != "null" && json.Unmarshal(raw, &value) == nil
	return value, ok
}

// text is a string that get accepts.
func text[T any](name, expected string, into *T, get func(string) (T, bool)) field {
	return field{name, expected, func(raw json.RawMessage) bool {
		s, ok := decoded[string](raw)
		if !ok {
			return false
		}
		value, ok := get(s)
		if ok {
			*into = value
		}
		return ok
	}}
}

// words is a short text for people.
func words(name string, into *string, most int) field {
	return text(name, fmt.Sprintf("a text of at most %d bytes without control characters", most), into, func(s string) (string, bool) {
		return s, len(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
	})
}

// duration is a time above zero.
func duration(name, example string, into *time.Duration) field {
	return text(name, fmt.Sprintf("a time above 0 and up to %v, such as %q", longestTime, example), into, func(s string) (time.Duration, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && d > 0 && d <= longestTime
	})
}

// longestTime is more than any session or drain needs.
const longestTime = 10_000 * time.Hour

// integer is a whole number from least to most.
func integer[T int | uint16](name string, least, most T, into *T) field {
	return field{name, fmt.Sprintf("a whole number from %d to %d", least, most), func(raw json.RawMessage) bool {
		n, ok := decoded[T](raw)
		if ok = ok && n >= least && n <= most; ok {
			*into = n
		}
		return ok
	}}
}

// toggle is true or false.
func toggle(name string, into *bool) field {
	return field{name, "true or false", func(raw json.RawMessage) (ok bool) {
		*into, ok = decoded[bool](raw)
		return ok
	}}
}

// share is a percentage or a fraction. All is told by 0, as drains have it.
func share(name string, into *float64) field {
	return field{name, `a share above 0 and up to all, such as "20%" or 0.2`, func(raw json.RawMessage) bool {
		value, ok := decoded[float64](raw)
		if s, isText := decoded[string](raw); isText {
			number, percent := strings.CutSuffix(s, "%")
			parsed, err := strconv.ParseFloat(number, 64)
			value, ok = parsed/100, percent && err == nil
		}
		if ok = ok && value > 0 && value <= 1; ok && value < 1 {
			*into = value
		}
		return ok
	}}
}

// longestPath is the longest beginning of a path, in bytes.
const longestPath = 2048

// path is the beginning of a path.
func path(name string, into *string) field {
	return text(name, `the beginning of a path without query, such as "/chat/"`, into, func(s string) (string, bool) {
		return s, strings.HasPrefix(s, "/") && len(s) <= longestPath && !strings.ContainsFunc(s, func(r rune) bool {
			return r <= ' ' || r == '?' || r == '#' || r == 0x7f
		})
	})
}

// network is an address, or many.
func network(name string, into *netip.Prefix) field {
	return text(name, `an address or a network, such as "10.1.2.3" or "10.1.0.0/16"`, into, func(s string) (netip.Prefix, bool) {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			return netip.PrefixFrom(a, a.BitLen()), true
		}
		p, err := netip.ParsePrefix(s)
		if a := p.Addr(); err == nil && a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p, err == nil
	})
}

// choice is a word that T knows.
func choice[T any](name, expected string, into *T, unmarshal func(*T, []byte) error) field {
	return text(name, expected, into, func(s string) (value T, ok bool) {
		return value, unmarshal(&value, []byte(s)) == nil
	})
}
