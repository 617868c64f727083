package http2

import (
	"encoding/binary"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
)

// raw is a frame as bytes.
func raw(kind h2.FrameType, flags h2.Flags, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, byte(flags)), stream)
	return string(head) + payload
}

// number is 4 bytes of a payload.
func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// setting is one of a SETTINGS frame.
func setting(id h2.SettingID, value uint32) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(id))) + number(value)
}

const (
	endHeaders = h2.FlagHeadersEndHeaders
	endStream  = h2.FlagDataEndStream
	padded     = h2.FlagDataPadded
)

// TestOffences breaks the protocol of the connection. It ends, with a word for why,
// and so do its streams.
func TestOffences(t *testing.T) {
	// A session is open on stream 1.
	for _, row := range []struct {
		name string
		send string
		code h2.ErrCode
	}{
		{"request on an even stream", raw(h2.FrameHeaders, endHeaders, 2, "\x82\x87\x84"), h2.ErrCodeProtocol},
		{"request on stream 0", raw(h2.FrameHeaders, endHeaders, 0, "\x82\x87\x84"), h2.ErrCodeProtocol},
		{"data on stream 0", raw(h2.FrameData, 0, 0, "x"), h2.ErrCodeProtocol},
		{"data on an idle stream", raw(h2.FrameData, 0, 5, "x"), h2.ErrCodeProtocol},
		{"data on a stream of ours", raw(h2.FrameData, 0, 2, "x"), h2.ErrCodeProtocol},
		{"more padding than data", raw(h2.FrameData, padded, 1, "\x05x"), h2.ErrCodeProtocol},
		{"reset of an idle stream", raw(h2.FrameRSTStream, 0, 5, number(8)), h2.ErrCodeProtocol},
		{"reset of stream 0", raw(h2.FrameRSTStream, 0, 0, number(8)), h2.ErrCodeProtocol},
		{"short reset", raw(h2.FrameRSTStream, 0, 1, "x"), h2.ErrCodeFrameSize},
		{"update of an idle stream", raw(h2.FrameWindowUpdate, 0, 5, number(8)), h2.ErrCodeProtocol},
		{"update of a stream of ours by nothing", raw(h2.FrameWindowUpdate, 0, 4, number(0)), h2.ErrCodeProtocol},
		{"update by nothing", raw(h2.FrameWindowUpdate, 0, 0, number(0)), h2.ErrCodeProtocol},
		{"update by too much", raw(h2.FrameWindowUpdate, 0, 0, number(mostWindow)), h2.ErrCodeFlowControl},
		{"short update", raw(h2.FrameWindowUpdate, 0, 0, "x"), h2.ErrCodeFrameSize},
		{"windows beyond the limit", raw(h2.FrameWindowUpdate, 0, 1, number(1<<30)) + raw(h2.FrameSettings, 0, 0, setting(h2.SettingInitialWindowSize, mostWindow)), h2.ErrCodeFlowControl},
		{"push", raw(h2.FramePushPromise, h2.FlagPushPromiseEndHeaders, 1, number(2)+"\x82\x87\x84"), h2.ErrCodeProtocol},
		{"large frame", raw(h2.FrameData, 0, 1, strings.Repeat("x", maxFrame+1)), h2.ErrCodeFrameSize},
		{"window size beyond the limit", raw(h2.FrameSettings, 0, 0, setting(h2.SettingInitialWindowSize, 1<<31)), h2.ErrCodeFlowControl},
		{"frame size below the limit", raw(h2.FrameSettings, 0, 0, setting(h2.SettingMaxFrameSize, 1)), h2.ErrCodeProtocol},
		{"push neither on nor off", raw(h2.FrameSettings, 0, 0, setting(h2.SettingEnablePush, 2)), h2.ErrCodeProtocol},
		{"settings of a stream", raw(h2.FrameSettings, 0, 1, ""), h2.ErrCodeProtocol},
		{"half a setting", raw(h2.FrameSettings, 0, 0, "xxx"), h2.ErrCodeFrameSize},
		{"acknowledgement with settings", raw(h2.FrameSettings, h2.FlagSettingsAck, 0, setting(h2.SettingEnablePush, 0)), h2.ErrCodeFrameSize},
		{"very many settings", raw(h2.FrameSettings, 0, 0, strings.Repeat(setting(h2.SettingEnablePush, 0), mostSettings+1)), h2.ErrCodeEnhanceYourCalm},
		{"short ping", raw(h2.FramePing, 0, 0, "x"), h2.ErrCodeFrameSize},
		{"ping of a stream", raw(h2.FramePing, 0, 1, "12345678"), h2.ErrCodeProtocol},
		{"short priority", raw(h2.FramePriority, 0, 1, "x"), h2.ErrCodeFrameSize},
		{"short good-bye", raw(h2.FrameGoAway, 0, 0, "x"), h2.ErrCodeFrameSize},
		{"continuation of nothing", raw(h2.FrameContinuation, endHeaders, 1, "\x82"), h2.ErrCodeProtocol},
		{"head that is interrupted", raw(h2.FrameHeaders, 0, 3, "\x82") + raw(h2.FramePing, 0, 0, "12345678"), h2.ErrCodeProtocol},
		{"head that goes on elsewhere", raw(h2.FrameHeaders, 0, 3, "\x82") + raw(h2.FrameContinuation, endHeaders, 5, "\x87\x84"), h2.ErrCodeProtocol},
		{"field that is not in the table", raw(h2.FrameHeaders, endHeaders, 3, "\xff\xff\xff\xff\x0f"), h2.ErrCodeCompression},
		{"head cut short", raw(h2.FrameHeaders, endHeaders, 3, "\x40\x0ax"), h2.ErrCodeCompression},
		{"table larger than allowed", raw(h2.FrameHeaders, endHeaders, 3, "\x3f\xff\xff\xff\x07\x82\x87\x84"), h2.ErrCodeCompression},
		{"very long field", raw(h2.FrameHeaders, endHeaders, 3, "\x82\x87\x84\x40\x01x\x7f\xff\xff\xff\x07"), h2.ErrCodeCompression},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, Options{}, echo)
			r.open()
			r.offer(row.send)
			if e := r.wantsGoAway(row.code); e.number > 3 {
				t.Errorf("got %v", e)
			}
			r.wantsEnd()
			if r.ended() == nil {
				t.Error("the connection ended in good order")
			}
		})
	}
}

// TestStreamOffences breaks the protocol of a stream. The others do not notice.
func TestStreamOffences(t *testing.T) {
	// Sessions are open on streams 1 and 3; the client has ended its side of 1.
	for _, row := range []struct {
		name   string
		send   string
		stream uint32
		code   h2.ErrCode
	}{
		{"update by nothing", raw(h2.FrameWindowUpdate, 0, 3, number(0)), 3, h2.ErrCodeProtocol},
		{"update by too much", raw(h2.FrameWindowUpdate, 0, 3, number(mostWindow)), 3, h2.ErrCodeFlowControl},
		{"data behind the end", raw(h2.FrameData, 0, 1, "x"), 1, h2.ErrCodeStreamClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			streams := make(chan *Stream, 3)
			r := start(t, Options{}, handOver(streams))
			for range 3 {
				r.open()
				defer (<-streams).Close()
			}
			r.do(r.frames.WriteData(1, true, nil))
			r.offer(row.send)
			r.wantsReset(row.stream, row.code)
			r.offer(row.send) // it was on its way when we said so
			r.do(r.frames.WritePing(false, [8]byte{}))
			r.find(h2.FramePing)
		})
	}
}

// TestBadPreface begins a connection with something else than HTTP/2.
func TestBadPreface(t *testing.T) {
	settings := raw(h2.FrameSettings, 0, 0, "")
	for name, send := range map[string]string{
		"HTTP/1.1":         "GET / HTTP/1.1\r\nHost: example\r\n\r\n",
		"other preface":    strings.Replace(h2.ClientPreface, "SM", "XX", 1) + settings,
		"no settings":      h2.ClientPreface + raw(h2.FramePing, 0, 0, "12345678"),
		"a request first":  h2.ClientPreface + raw(h2.FrameHeaders, endHeaders|h2.FlagHeadersEndStream, 1, "\x82\x87\x84"),
		"settings answer":  h2.ClientPreface + raw(h2.FrameSettings, h2.FlagSettingsAck, 0, ""),
		"impossible frame": h2.ClientPreface + raw(h2.FrameSettings, 0, 1, ""),
	} {
		t.Run(name, func(t *testing.T) {
			r := wire(t, Options{}, func(s *Stream) {
				t.Error("a stream was opened")
				s.Close()
			})
			r.listen()
			r.offer(send)
			r.wantsGoAway(h2.ErrCodeProtocol)
			r.wantsEnd()
			if r.ended() == nil {
				t.Error("the connection ended in good order")
			}
		})
	}
}

// TestIgnored sends what need not be understood.
func TestIgnored(t *testing.T) {
	r := start(t, Options{}, echo)
	id := r.open()
	r.offer(raw(h2.FramePriority, 0, 7, number(3)+"\x10"))
	r.offer(raw(h2.FramePriorityUpdate, 0, 0, number(1)+"u=1"))
	r.offer(raw(0xee, 0xff, 1, "whatever"))
	r.offer(raw(h2.FrameSettings, 0, 0, setting(0xeeee, 1)+setting(h2.SettingHeaderTableSize, 0)+setting(h2.SettingMaxHeaderListSize, 100)))
	r.offer(raw(h2.FrameSettings, h2.FlagSettingsAck, 0, ""))
	r.offer(raw(h2.FrameGoAway, 0, 0, number(0)+number(0)+"bye"))
	r.offer(raw(h2.FramePing, h2.FlagPingAck, 0, "no ping "))
	r.say(id, "hello")
	if e := r.find(h2.FrameData); e.data != "hello" {
		t.Errorf("got %v", e)
	}
}
