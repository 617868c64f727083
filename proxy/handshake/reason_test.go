package handshake

import (
	"errors"
	"strings"
	"testing"
)

// TestRefusalReasons checks which rule refuses a request, where another rule would refuse it with the same status, and the
// rules that hold for plain requests, where no rule about upgrades stands behind them.
func TestRefusalReasons(t *testing.T) {
	f := func(head string, l Limits, want *Refusal) {
		t.Helper()
		var r Request
		err := ParseRequest([]byte(head), l, &r)
		var got *Refusal
		if !errors.As(err, &got) || got != want {
			t.Errorf("%q: %v, want %v", head, err, want)
		}
	}
	post := func(lines ...string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	f("get / HTTP/1.1\r\nHost: a\r\n\r\n", Limits{}, refuseMethod)
	f("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Limits{}, refuseMethod)
	f("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", Limits{}, refuseUnknown)
	f("GET http:///x HTTP/1.0\r\n\r\n", Limits{}, refuseTarget)
	f("GET http://a/x HTTP/1.0\r\n\r\n", Limits{}, refuseAuthority)
	f("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Limits{}, refuseFragment)
	f("GET /a?#b HTTP/1.1\r\nHost: a\r\n\r\n", Limits{}, refuseFragment)
	f("GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", Limits{}, refuseClimb)
	f(post("Content-Length: 5", "Transfer-Encoding: chunked"), Limits{}, refuseBothFramings)
	f(post("Transfer-Encoding: chunked", "Content-Length: 0"), Limits{}, refuseBothFramings)
	f(post("Content-Length: 5", "Content-Length: 5"), Limits{}, refuseTwoLengths)
	f(post("Content-Length: 5, 5"), Limits{}, refuseLength)
	f(post("Content-Length: -1"), Limits{}, refuseLength)
	f(post("Content-Length: 1000000000000000000"), Limits{}, refuseLength)
	f(post("Transfer-Encoding: chunked, chunked"), Limits{}, refuseCoding)
	f(post("Transfer-Encoding: chunked, identity"), Limits{}, refuseCoding)
	f(post("Transfer-Encoding: ,"), Limits{}, refuseCoding)
	f(post("Transfer-Encoding: identity"), Limits{}, refuseCodingName)
	f(post("Transfer-Encoding: \"chunked\""), Limits{}, refuseCodingName)
	f(post("Transfer-Encoding:\tchunked"), Limits{}, fieldRefusals[faultValue])
	f(post("Transfer-Encoding:\vchunked"), Limits{}, fieldRefusals[faultValue])
	f("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Limits{}, refuseCoding10)
	f(post("X-A: b", " c"), Limits{}, fieldRefusals[faultFold])
	f(post("X-A : b"), Limits{}, fieldRefusals[faultName])
	f(post("X-A"), Limits{}, fieldRefusals[faultLine])
	f(post("Connection: a b"), Limits{}, refuseConnection)
	f(post("X-A: b"), Limits{Size: 30}, refuseHeadSize)
	f("GET /abc HTTP/1.1\r\nHost: a\r\n\r\n", Limits{Target: 3}, refuseTargetLength)
	f(post("X-A: b"), Limits{Fields: 1}, refuseFieldCount)
	f(post("Connection: a, b"), Limits{Options: 1}, refuseOptionCount)
}

// TestUpgradeReasons is the same for what CheckUpgrade refuses.
func TestUpgradeReasons(t *testing.T) {
	f := func(head string, want *Refusal) {
		t.Helper()
		var r Request
		if err := ParseRequest([]byte(head), Limits{Protocols: 2}, &r); err != nil {
			t.Errorf("%q: %v", head, err)
			return
		}
		var got *Refusal
		if err := r.CheckUpgrade(); !errors.As(err, &got) || got != want {
			t.Errorf("%q: %v, want %v", head, err, want)
		}
	}
	f("GET / HTTP/1.1\r\nHost: a\r\n\r\n", refusePlain)
	f(swap("GET", "POST"), refuseMethod)
	f(swap("HTTP/1.1", "HTTP/1.0"), refuseUpgrade10)
	f(swap("keep-alive", "Host"), refuseNominated)
	f(add("Expect: 100-continue"), refuseExpect)
	f(add("Content-Length: 1"), refuseBody)
	f(add("Transfer-Encoding: chunked"), refuseBody)
	f(swap("websocket", "h2c"), refuseUpgrade)
	f(swap("Version: 13", "Version: 8"), refuseWSVersion)
	f(swap(sampleKey, ""), refuseKey)
	f(add("Sec-WebSocket-Protocol: a b"), refuseProtocols)
	f(add("Sec-WebSocket-Protocol: a, a"), refuseTwice)
	f(add("Sec-WebSocket-Protocol: a, b, c"), refuseProtocolCount)
}

// TestBadAnswerReasons is the same for answers.
func TestBadAnswerReasons(t *testing.T) {
	offer := strings.ReplaceAll(list(17), "p", "e")
	f := func(head string, want *BadAnswer) {
		t.Helper()
		_, err := answerTo(t, add("Sec-WebSocket-Extensions: "+offer), head)
		var got *BadAnswer
		if !errors.As(err, &got) || got != want {
			t.Errorf("%q: %v, want %v", head, err, want)
		}
	}
	with := func(lines ...string) string {
		return strings.TrimSuffix(goodAnswer, "\r\n") + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	f(strings.Replace(goodAnswer, "Sec-WebSocket-Accept", "X-Accept", 1), badNoAccept)
	f(strings.Replace(goodAnswer, "s3pP", "S3pP", 1), badAccept)
	f(with("Sec-WebSocket-Accept: "+sampleAccept), badAccepts)
	f(strings.Replace(goodAnswer, "HTTP/1.1", "HTTP/1.0", 1), bad10)
	f(strings.Replace(goodAnswer, "HTTP/1.1", "HTTP/1.2", 1), badStatusLine)
	f(with("Content-Length: 5"), badBody)
	f(with("Sec-WebSocket-Protocol: a"), badProtocol)
	f(with("Sec-WebSocket-Extensions: x"), badExtension)
	f(with("Sec-WebSocket-Extensions: "+offer), badExtensions)
	if got, want := badAccept.Error(), "bad answer of the upstream: status 101 with a wrong Sec-WebSocket-Accept"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}

	// One less is not too many.
	sixteen, _, _ := strings.Cut(offer, ", e16")
	if _, err := answerTo(t, add("Sec-WebSocket-Extensions: "+offer), with("Sec-WebSocket-Extensions: "+sixteen)); err != nil {
		t.Errorf("16 extensions: %v", err)
	}
}
