package handshake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestRefusalAnswer reads refusals with the HTTP and JSON parsers of the standard library.
func TestRefusalAnswer(t *testing.T) {
	for _, refusal := range []*Refusal{
		refuseRequestLine, refuseMethod, refusePlain, refuseWSVersion, refuseUnknown, refuseVersion,
		{Status: 503, Reason: "No \"upstream\" is \\ healthy\n\x7f ä.", Header: [][2]string{{"Retry-After", "3"}}},
		{Status: 500, Reason: strings.Repeat("long ", 200)},
	} {
		for _, method := range []string{"", "GET", "HEAD"} {
			b := refusal.AppendAnswer([]byte("before"), []byte(method))[len("before"):]
			res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
			if err != nil {
				t.Errorf("%v: %v", refusal, err)
				continue
			}
			if res.StatusCode != refusal.Status || !res.Close || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%v: read as %+v", refusal, res)
			}
			for _, h := range refusal.Header {
				if res.Header.Get(h[0]) != h[1] {
					t.Errorf("%v: %s is %q", refusal, h[0], res.Header.Get(h[0]))
				}
			}
			if up := res.Header.Get("Upgrade"); (up == "websocket") != (refusal.Status == 426) {
				t.Errorf("%v: Upgrade is %q", refusal, up)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Errorf("%v: body: %v", refusal, err)
			}
			if method == "HEAD" {
				if !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
					t.Errorf("%v: body after HEAD", refusal)
				}
				continue
			}
			var doc struct {
				Status int
				Error  string
			}
			if err := json.Unmarshal(body, &doc); err != nil || doc.Status != refusal.Status || doc.Error != refusal.Reason {
				t.Errorf("%v: body %q, %v", refusal, body, err)
			}
			if int64(len(body)) != res.ContentLength {
				t.Errorf("%v: length %d of %d", refusal, len(body), res.ContentLength)
			}
		}
	}
	if got, want := refuseHost.Error(), "refused with 400: The Host field is malformed."; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}
