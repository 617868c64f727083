package handshake

import "bytes"

// longestMethod is above the length of every registered method (the longest is UPDATEREDIRECTREF).
const longestMethod = 32

// preface is how an HTTP/2 client begins (RFC 9113 §3.4), proxied how a header of version 1 of the PROXY protocol does, which
// looks like a method.
const (
	preface = "PRI * HTTP/2.0\r\n"
	proxied = "PROXY "
)

// RequestEnd looks for the end of the request head at the start of b. It returns the length of the head, the blank line
// included, or 0 if it is not complete yet. from is the number of bytes that an earlier call with the same l has already
// seen (0 at first), so that a head which arrives in pieces is scanned once.
//
// It fails with a [*Refusal] as soon as b can never become a head within the limits: it does not begin with a method (a TLS
// hello, an HTTP/2 preface, a PROXY header), holds a NUL, a bare CR or a bare LF (400), or is too long (414 if its target is,
// else 431). So a buffer of l.Size bytes is enough. Bytes behind the head are not judged.
func RequestEnd(b []byte, from int, l Limits) (int, error) {
	l = l.filled()
	if from <= longestMethod {
		if err := checkStart(b); err != nil {
			return 0, err
		}
	}
	n, ok := scanEnd(b, from)
	if !ok {
		return 0, refuseControlByte
	}
	// The target is looked at first: a request line that fills the whole head is 414, not 431.
	if len(b) > l.Target && (n == 0 || n > l.Size) && !targetFits(b, l) {
		return 0, refuseTargetLength
	}
	if tooLong(n, len(b), l) {
		return 0, refuseHeadSize
	}
	return n, nil
}

// tooLong reports whether a head of n bytes, or an incomplete one of which size bytes are there, breaks the limit.
func tooLong(n, size int, l Limits) bool { return n > l.Size || n == 0 && size >= l.Size }

// AnswerEnd is [RequestEnd] for an upstream's answer. Its errors are of type [*BadAnswer].
func AnswerEnd(b []byte, from int, l Limits) (int, error) {
	l = l.filled()
	const start = "HTTP/1."
	if n := min(len(b), len(start)); string(b[:n]) != start[:n] {
		return 0, badNotHTTP
	}
	n, ok := scanEnd(b, from)
	if !ok {
		return 0, badControlByte
	}
	if tooLong(n, len(b), l) {
		return 0, badHeadSize
	}
	return n, nil
}

// checkStart judges the first bytes of a request.
func checkStart(b []byte) error {
	for i, c := range b {
		if c == ' ' && i > 0 {
			break
		}
		if !is(c, classToken) {
			return refuseNotHTTP
		}
		if i >= longestMethod {
			return refuseUnknown
		}
	}
	if len(b) >= len(preface) && string(b[:len(preface)]) == preface {
		return refuseHTTP2
	}
	if len(b) >= len(proxied) && string(b[:len(proxied)]) == proxied {
		return refuseNotHTTP
	}
	return nil
}

// targetFits reports whether the target of the request line at the start of b is, so far, within its limit.
func targetFits(b []byte, l Limits) bool {
	sp := bytes.IndexByte(b, ' ')
	if sp < 0 {
		return true
	}
	target := b[sp+1:]
	if n := bytes.IndexAny(target[:min(len(target), l.Target+1)], " \r"); n >= 0 {
		return true
	}
	return len(target) <= l.Target
}

// scanEnd looks for CRLF CRLF from position from on; ok is false if there is a NUL, a bare CR or a bare LF before it.
func scanEnd(b []byte, from int) (n int, ok bool) {
	i := min(max(from-1, 0), len(b)) // the last byte seen may be a CR that waits for its LF
	for i < len(b) {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return 0, isClean(b[i:len(b)-1]) && b[len(b)-1] != 0
		}
		lf += i
		if lf == 0 || b[lf-1] != '\r' || lf > i && !isClean(b[i:lf-1]) {
			return 0, false
		}
		if lf >= 3 && b[lf-2] == '\n' {
			return lf + 1, true
		}
		i = lf + 1
	}
	return 0, true
}

// isClean reports whether b is free of CR and NUL.
func isClean(b []byte) bool {
	return bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, 0) < 0
}
