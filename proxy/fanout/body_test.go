package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestBodies(t *testing.T) {
	long := strings.Repeat("a", 100)
	broken := io.MultiReader(strings.NewReader("abc"), brokenReader{})
	for _, row := range []struct {
		name, kind string
		body       io.Reader
		length     int64
		status     int
	}{
		{"text", "text/plain; charset=utf-8", strings.NewReader("é"), 2, 202},
		{"empty text", "text/plain", nil, 0, 202},
		{"empty body", "text/plain", strings.NewReader(""), 0, 202},
		{"at the limit", "application/octet-stream", strings.NewReader(long[:99]), 99, 202},
		{"at the limit, chunked", "application/octet-stream", strings.NewReader(long[:99]), -1, 202},
		{"byte by byte", "application/json", byteByByte{strings.NewReader(`{"a":1}`)}, -1, 202},
		{"too long", "application/octet-stream", strings.NewReader(long), 100, 413},
		{"too long by its head", "application/octet-stream", brokenReader{}, 1 << 40, 413},
		{"too long, chunked", "application/octet-stream", strings.NewReader(long), -1, 413},
		{"endless", "application/octet-stream", endless{}, -1, 413},
		{"shorter than promised", "application/octet-stream", strings.NewReader("abc"), 4, 400},
		{"nothing of what was promised", "application/octet-stream", nil, 4, 400},
		{"broken off", "application/octet-stream", broken, -1, 400},
		{"no type", "", strings.NewReader("a"), 1, 415},
		{"other type", "text/html", strings.NewReader("a"), 1, 415},
		{"type is rubbish", "text/plain; =", strings.NewReader("a"), 1, 415},
		{"text is no UTF-8", "text/plain", strings.NewReader("\xff"), 1, 400},
		{"no JSON", "application/json", strings.NewReader("{"), 1, 400},
		{"JSON is no UTF-8", "application/json", strings.NewReader("\"\xff\""), 3, 400},
		{"empty JSON", "application/json", nil, -1, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, azure.WebPubSub, func(o *Options) { o.MaxBody = 99 }, func(t *testing.T, r *rig) {
				c, q := r.find("POST", sendAll)
				q.Body, q.Length = row.body, row.length
				if row.kind != "" {
					q.Fields = [][2]string{{"Content-Type", row.kind}}
				}
				a := r.f.Do(context.Background(), c, q)
				took := r.took()
				if a.Status != row.status || (took == all) != (row.status == 202) || (took == "") != (row.status != 202) {
					t.Errorf("answered %d %s, calls %q", a.Status, a.Body, took)
				}
				if row.status != 202 && (a.header(azure.ErrorCodeField) == "" || !json.Valid(a.Body)) {
					t.Errorf("answered %s %v", a.Body, a.Fields)
				}
			})
		})
	}
	bubble(t, azure.SignalR, nil, func(t *testing.T, r *rig) {
		c, q := r.find("POST", sendAll)
		q.Body, q.Fields = strings.NewReader("a"), [][2]string{{"Content-Type", "text/plain"}}
		if a := r.f.Do(context.Background(), c, q); a.Status != 415 || r.took() != "" {
			t.Errorf("SignalR has no text: %d", a.Status)
		}
		c, q = r.find("POST", "/api/hubs/chat/:execute?api-version=2024-12-01")
		q.Body, q.Fields = strings.NewReader(`[{"a":1}]`), [][2]string{{"Content-Type", "application/json"}}
		if a := r.f.Do(context.Background(), c, q); a.Status != 202 || r.took() != all {
			t.Errorf("execute: %d", a.Status)
		}
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type byteByByte struct{ r io.Reader }

func (o byteByByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(len(b), 1)]) }
