package relay

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// script makes records of strangers' bytes: what follows a first byte is a kind
// of record, a length and the content. It returns the data in them.
func (r *records) script(b []byte) (raw, data []byte) {
	for len(b) > 2 {
		kind, size := b[0], min(int(b[1]), len(b)-2)
		p := b[2 : 2+size]
		b = b[2+size:]
		switch kind % 12 {
		case 0, 1, 2, 3:
			raw = append(raw, r.record(dataRecord, p)...)
			data = append(data, p...)
		case 4:
			raw = r.appendSealed(raw, dataRecord, p, int(kind)*40)
			data = append(data, p...)
		case 5, 6:
			if r.version == tls.VersionTLS13 {
				raw = append(raw, r.update(kind%2 == 0)...)
			}
		case 7:
			raw = append(raw, r.record(handshakeRecord, p)...)
		case 8:
			raw = append(raw, r.record(alertRecord, p)...)
		case 9:
			raw = append(raw, r.record(kind, p)...)
		case 10:
			raw = append(raw, p...)
		case 11:
			raw = append(raw, r.alert(kind)...)
		}
	}
	return raw, data
}

// FuzzRecords lets a side of TLS say anything. What arrives at the other side is
// the beginning of the data in it, and then no more than a Close frame; the
// session ends. As for FuzzSession, see that making inputs smaller does not take
// up the time.
func FuzzRecords(f *testing.F) {
	hello := string(masked(textFrame, "hello"))
	f.Add([]byte("\x00\x0b"+hello+"\x05\x00\x00\x0b"+hello+"\x06\x00\x04\x0b"+hello), false, false)
	f.Add([]byte("\x00\x05"+hello[:5]+"\x08\x02\x01\x00\x00\x06"+hello[5:]), true, true)
	f.Add([]byte("\x00\x02\x81\x00\x07\x05\x18\x00\x00\x01\x00\x00\x02\x81\x00"), true, false)
	f.Add([]byte("\x00\x02\x81\x00\x07\x04\x00\x00\x00\x00\x00\x02\x81\x00"), true, true)
	f.Add([]byte("\x00\x0b"+hello+"\x0a\x05\x17\x03\x03\x00\x00\x00\x0b"+hello), false, true)
	f.Add([]byte("\x0a\x06\x14\x03\x03\x00\x01\x01\x00\x0b"+hello), false, false)
	f.Add([]byte("\x0b\x00\x00\x09\x01?"), false, false)
	var rigs [2][2]*rig
	for d := range rigs {
		for i, version := range bothVersions {
			rigs[d][i] = startSecured(f, Options{MaxFrame: fuzzMaxFrame, Loops: 1}, side(d), version, byHand)
		}
	}
	f.Fuzz(func(t *testing.T, script []byte, fromUpstream, old bool) {
		d, version := client, 0
		if fromUpstream {
			d = upstream
		}
		if old {
			version = 1
		}
		r := rigs[d][version]
		h := r.hand(t, d)
		if err := h.other.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		raw, data := h.records.script(script)
		go func() {
			_, _ = h.odd.conn.bed.Write(raw) // it may be refused at some time
			_ = h.odd.conn.tcp.CloseWrite()
		}()
		heard := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, h.odd.conn.tcp)
			close(heard)
		}()
		arrived, err := io.ReadAll(h.other.in)
		if err != nil {
			t.Errorf("%s: %v", h.other.name, err)
		}
		n := 0
		for n < min(len(arrived), len(data)) && arrived[n] == data[n] {
			n++
		}
		// The data that did not arrive may begin like the Close frame.
		for k := n; ; k-- {
			err := checkArrived(h.other, arrived, verdict{deliver: arrived[:k], boundary: true}, perhaps, false)
			if err == nil {
				break
			}
			if k == 0 || n-k > wsframe.MaxControl {
				t.Errorf("%d bytes were sent, of which %d arrived: %v", len(data), n, err)
				break
			}
		}
		<-heard
		h.hangUp()
		h.anyEnd()
		r.mu.Lock()
		r.links = r.links[:0]
		r.mu.Unlock()
	})
}
