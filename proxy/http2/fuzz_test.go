package http2

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// FuzzConn has a stranger send whatever it likes behind a proper greeting. The
// connection ends, and nothing is left of it.
func FuzzConn(f *testing.F) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range tunnel("cookie", "a=1") {
		_ = encoder.WriteField(field)
	}
	open := raw(h2.FrameHeaders, endHeaders, 1, block.String())
	for _, seed := range []string{
		"", open, open + raw(h2.FrameData, 0, 1, "hello"), open + raw(h2.FrameData, endStream, 1, "bye"),
		open + raw(h2.FrameRSTStream, 0, 1, number(8)), open + raw(h2.FrameData, padded, 1, "\x02hello"),
		raw(h2.FrameHeaders, 0, 1, block.String()[:10]) + raw(h2.FrameContinuation, endHeaders, 1, block.String()[10:]),
		open + raw(h2.FrameWindowUpdate, 0, 1, number(1000)) + raw(h2.FrameSettings, 0, 0, setting(h2.SettingInitialWindowSize, 0)),
		raw(h2.FramePing, 0, 0, "12345678") + raw(h2.FrameGoAway, 0, 0, number(0)+number(0)),
		raw(h2.FrameHeaders, endHeaders|h2.FlagHeadersEndStream, 1, "\x82\x87\x84") + raw(h2.FramePriority, 0, 1, number(0)+"x"),
		open + raw(h2.FrameHeaders, endHeaders|h2.FlagHeadersEndStream, 1, "\x40\x01x\x01y"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		client, server := net.Pipe()
		c := New(server, Options{Streams: 3, HeadSize: 2000})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.Run(echo)
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, client)
		}()
		_, _ = io.WriteString(client, h2.ClientPreface+raw(h2.FrameSettings, 0, 0, ""))
		_, _ = client.Write(p)
		client.Close()
		<-read
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("Run did not return")
		}
		if len(c.streams) != 0 || c.live != 0 || c.out != nil {
			t.Errorf("%d streams are left, %d of them live; something waits to be written: %v", len(c.streams), c.live, c.out != nil)
		}
	})
}

// FuzzHead has a stranger send whatever head it likes. What comes out of it is one
// request of HTTP/1.1 with the same fields, or none.
func FuzzHead(f *testing.F) {
	for _, fields := range [][]hpack.HeaderField{
		tunnel("cookie", "a=1", "cookie", "b=2", "origin", "https://a"),
		list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x?y", "accept", "*/*"),
		list(":method", "GET", ":scheme", "https", ":path", "/ HTTP/1.1\r\nx: y", "host", "a"),
		list(":method", "CONNECT", ":authority", "a:1"), tunnel("x", "y\r\nz: 1"), tunnel("x:y", "z"), tunnel("host", "a b"),
	} {
		var lines []string
		for _, field := range fields {
			lines = append(lines, field.Name, field.Value)
		}
		f.Add(strings.Join(lines, "\x00"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts := strings.Split(text, "\x00")
		fields := list(parts[:len(parts)&^1]...)
		var block, wire bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for _, field := range fields {
			_ = encoder.WriteField(field)
		}
		frames := h2.NewFramer(&wire, &wire)
		frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = frames.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		frame, err := frames.ReadFrame()
		if err != nil {
			return
		}
		h, err := translate(frame.(*h2.MetaHeadersFrame), 1<<20)
		if err != nil || h.fault != nil {
			return
		}
		limits := handshake.Limits{Size: 1 << 20, Target: 1 << 20, Fields: 1 << 20, Options: 1 << 20}
		if end, err := handshake.RequestEnd(h.bytes, 0, limits); err != nil {
			return // no request for HTTP/1.1 either
		} else if end != len(h.bytes) {
			t.Fatalf("the head ends after %d of %d bytes:\n%q", end, len(h.bytes), h.bytes)
		}
		var request handshake.Request
		if handshake.ParseRequest(h.bytes, limits, &request) != nil {
			return
		}
		value := func(name string) string {
			if i := slices.IndexFunc(fields, func(f hpack.HeaderField) bool { return f.Name == name }); i >= 0 {
				return fields[i].Value
			}
			return ""
		}
		method := value(":method")
		if method == "CONNECT" {
			method = "GET" // a plain one is not parsed
		}
		if string(request.Method) != method || string(request.Target) != value(":path") {
			t.Errorf("asked for %s %q, got %s %q", method, value(":path"), request.Method, request.Target)
		}
		want := map[string]int{"host": 1}
		if value(":protocol") != "" {
			want["connection"], want["upgrade"], want["sec-websocket-key"] = 1, 1, 1
		}
		for _, field := range fields {
			switch {
			case field.IsPseudo(), field.Name == "host", field.Name == "sec-websocket-key", strings.Contains(field.Name, "_"):
			case field.Name == "cookie":
				want["cookie"] = 1
			default:
				want[field.Name]++
			}
		}
		for _, field := range request.Fields {
			if want[string(field.Name)]--; want[string(field.Name)] < 0 {
				t.Errorf("there is a field %q that was not sent", field.Name)
			}
		}
		for name, n := range want {
			if n > 0 {
				t.Errorf("the field %q is missing", name)
			}
		}
	})
}
