package relay

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// Types of TLS records (RFC 8446 §5.1).
const (
	changeCipher = 20
	dataRecord   = 23
)

// Descriptions of alerts (RFC 8446 §6).
const (
	closeNotify       = 0
	unexpectedMessage = 10
	badRecordMAC      = 20
	recordOverflow    = 22
	protocolVersion   = 70
	internalError     = 80
	userCanceled      = 90
	noRenegotiation   = 100
)

// records is a record layer of TLS made by hand, for what crypto/tls does not
// say: new keys, odd records, alerts, nonsense. It takes over from a tls.Conn
// that has done the handshake, with the keys of its key log.
type records struct {
	net.Conn // the bed
	source   *bufio.Reader
	version  uint16
	in, out  protection
	left     []byte // data that came and has not been read
	body     []byte // of the last record that came
	sealed   []byte // the last records that were sent
	hello    []byte // the ClientHello of the handshake
	updates  int    // new keys that came
}

// protection is the keys of one direction.
type protection struct {
	aead   cipher.AEAD
	iv     [12]byte
	secret []byte // of TLS 1.3
	seq    uint64
	nonce  [12]byte
	extra  [13]byte // additional data
}

// keyed sets key and nonce.
func (p *protection) keyed(key, iv []byte) {
	block, err := aes.NewCipher(key)
	if err == nil {
		p.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(err)
	}
	copy(p.iv[:], iv)
}

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1 without context.
func expandLabel(secret []byte, label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(6+len(label))), "tls13 "+label...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), size)
	if err != nil {
		panic(err)
	}
	return b
}

// begin takes the keys of a traffic secret (RFC 8446 §7.3).
func (p *protection) begin(secret []byte) {
	p.secret, p.seq = secret, 0
	p.keyed(expandLabel(secret, "key", 16), expandLabel(secret, "iv", 12))
}

// next takes the next keys (RFC 8446 §7.2).
func (p *protection) next() { p.begin(expandLabel(p.secret, "traffic upd", 32)) }

// hellos is what passed during a handshake.
type hellos struct{ in, out []byte }

// randoms returns those of the client and of the server. Both hellos are the
// first message of the first record.
func (h *hellos) randoms(d side) (c, s []byte) {
	c, s = h.out[11:43], h.in[11:43]
	if d == upstream {
		c, s = s, c
	}
	return c, s
}

// expand12 is the PRF of RFC 5246 §5.
func expand12(secret []byte, label string, seed []byte, size int) []byte {
	mac := func(p ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(bytes.Join(p, nil))
		return h.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	var out []byte
	for a := mac(seed); len(out) < size; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:size]
}

// byHand is secure with a far end whose records are made by hand.
func byHand(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
	t.Helper()
	return tunedByHand(t, d, version, near, tcp)
}

// tunedByHand is byHand with other configurations.
func tunedByHand(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn, tune ...tuning) (*tls.Conn, *far) {
	t.Helper()
	var log bytes.Buffer
	said := new(hellos)
	tune = append(tune, func(near, far *tls.Config) {
		near.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		// Nothing may come behind the handshake that is not ours to read.
		near.SessionTicketsDisabled, far.SessionTicketsDisabled = true, true
		far.KeyLogWriter = &log
	})
	nearTLS, f := secureOver(t, d, version, near, &bed{TCPConn: tcp, hellos: said}, tune...)
	f.bed.hellos = nil
	if suite := nearTLS.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 && suite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 {
		t.Skipf("this machine prefers %s", tls.CipherSuiteName(suite))
	}
	r := &records{Conn: f.bed, source: bufio.NewReaderSize(f.bed, 64<<10), version: version}
	fromClient, fromServer := &r.out, &r.in
	r.hello = said.out
	if d == upstream {
		fromClient, fromServer = fromServer, fromClient
		r.hello = said.in
	}
	r.hello = r.hello[5 : 5+int(binary.BigEndian.Uint16(r.hello[3:]))]
	secrets := make(map[string][]byte)
	for line := range strings.Lines(log.String()) {
		words := strings.Fields(line)
		secret, err := hex.DecodeString(words[2])
		if err != nil {
			t.Fatal(err)
		}
		secrets[words[0]] = secret
	}
	if version == tls.VersionTLS13 {
		fromClient.begin(secrets["CLIENT_TRAFFIC_SECRET_0"])
		fromServer.begin(secrets["SERVER_TRAFFIC_SECRET_0"])
	} else {
		c, s := said.randoms(d)
		block := expand12(secrets["CLIENT_RANDOM"], "key expansion", append(append([]byte(nil), s...), c...), 40)
		fromClient.keyed(block[:16], block[32:36])
		fromServer.keyed(block[16:32], block[36:40])
		fromClient.seq, fromServer.seq = 1, 1 // behind Finished
	}
	f.Conn = r
	return nearTLS, f
}

// prepare sets nonce and additional data for a record.
func (p *protection) prepare(version uint16, header []byte, size int) (nonce, extra []byte) {
	p.nonce = p.iv
	if version == tls.VersionTLS13 {
		seq := binary.BigEndian.Uint64(p.nonce[4:]) ^ p.seq
		binary.BigEndian.PutUint64(p.nonce[4:], seq)
		extra = append(p.extra[:0], header...)
	} else {
		extra = binary.BigEndian.AppendUint64(p.extra[:0], p.seq)
		extra = append(extra, header[:3]...)
		extra = binary.BigEndian.AppendUint16(extra, uint16(size))
	}
	return p.nonce[:], extra
}

// appendSealed appends a record. In TLS 1.3 it gets padding.
func (r *records) appendSealed(b []byte, kind byte, p []byte, padding int) []byte {
	start := len(b)
	o := &r.out
	b = append(b, kind, 3, 3, 0, 0)
	size := len(p)
	if r.version == tls.VersionTLS13 {
		b[start] = dataRecord
		size += 1 + padding
		binary.BigEndian.PutUint16(b[start+3:], uint16(size+o.aead.Overhead()))
		nonce, extra := o.prepare(r.version, b[start:], 0)
		b = append(append(b, p...), kind)
		for range padding {
			b = append(b, 0)
		}
		b = o.aead.Seal(b[:start+5], nonce, b[start+5:], extra)
	} else {
		binary.BigEndian.PutUint16(b[start+3:], uint16(8+size+o.aead.Overhead()))
		nonce, extra := o.prepare(r.version, b[start:], size)
		binary.BigEndian.PutUint64(nonce[4:], o.seq)
		b = binary.BigEndian.AppendUint64(b, o.seq)
		body := len(b)
		b = append(b, p...)
		b = o.aead.Seal(b[:body], nonce, b[body:], extra)
	}
	o.seq++
	return b
}

// next reads a record.
func (r *records) next() (kind byte, p []byte, err error) {
	if cap(r.body) == 0 {
		r.body = make([]byte, 5+18<<10)
	}
	header := r.body[:5]
	if _, err := io.ReadFull(r.source, header); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint16(header[3:]))
	if size > 18<<10 || header[1] != 3 || header[2] != 3 {
		return 0, nil, fmt.Errorf("record header %x", header)
	}
	p = r.body[5 : 5+size]
	if _, err := io.ReadFull(r.source, p); err != nil {
		return 0, nil, fmt.Errorf("inside a record: %w", err)
	}
	kind = header[0]
	if r.version == tls.VersionTLS13 {
		if kind != dataRecord {
			return 0, nil, fmt.Errorf("record of type %d", kind)
		}
		nonce, extra := r.in.prepare(r.version, header, 0)
		if p, err = r.in.aead.Open(p[:0], nonce, p, extra); err != nil {
			return 0, nil, err
		}
		for len(p) > 0 && p[len(p)-1] == 0 {
			p = p[:len(p)-1]
		}
		if len(p) == 0 {
			return 0, nil, errors.New("record without type")
		}
		kind, p = p[len(p)-1], p[:len(p)-1]
	} else {
		nonce, extra := r.in.prepare(r.version, header, size-8-r.in.aead.Overhead())
		copy(nonce[4:], p[:8])
		if p, err = r.in.aead.Open(p[8:8], nonce, p[8:], extra); err != nil {
			return 0, nil, err
		}
	}
	r.in.seq++
	return kind, p, nil
}

// alertError is a fatal alert, or a warning, that came.
type alertError byte

func (a alertError) Error() string { return fmt.Sprintf("alert %d", byte(a)) }

// Read implements [net.Conn]: data that came. The good-bye is the end.
func (r *records) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		kind, b, err := r.next()
		switch {
		case err != nil:
			return 0, err
		case kind == dataRecord:
			r.left = b
		case kind == alertRecord && len(b) == 2 && b[1] == closeNotify:
			return 0, io.EOF
		case kind == alertRecord && len(b) == 2:
			return 0, alertError(b[1])
		case kind == handshakeRecord && bytes.Equal(b, keyUpdate(false)):
			r.in.next()
			r.updates++
		default:
			return 0, fmt.Errorf("record of type %d: %x", kind, b)
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// Write implements [net.Conn]: data in records as large as may be.
func (r *records) Write(p []byte) (int, error) {
	r.sealed = r.sealed[:0]
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxPlaintext)
		r.sealed = r.appendSealed(r.sealed, dataRecord, rest[:n], 0)
		rest = rest[n:]
	}
	if _, err := r.Conn.Write(r.sealed); err != nil {
		return 0, err
	}
	return len(p), nil
}

// maxPlaintext is the most a record holds (RFC 8446 §5.1).
const maxPlaintext = 16 << 10

// CloseWrite says good-bye.
func (r *records) CloseWrite() error {
	_, err := r.Conn.Write(r.alert(closeNotify))
	return err
}

// Close says good-bye and closes the connection.
func (r *records) Close() error { return errors.Join(r.CloseWrite(), r.Conn.Close()) }

// record is one record.
func (r *records) record(kind byte, p []byte) []byte { return r.appendSealed(nil, kind, p, 0) }

// alert is one in a record: a warning if it is no error.
func (r *records) alert(description byte) []byte {
	level := byte(2)
	if description == closeNotify || description == userCanceled || description == noRenegotiation {
		level = 1
	}
	return r.record(alertRecord, []byte{level, description})
}

// keyUpdate is the message that announces new keys, and may ask for some.
func keyUpdate(asks bool) []byte {
	b := []byte{24, 0, 0, 1, 0}
	if asks {
		b[4] = 1
	}
	return b
}

// update is the record with that message; what follows has the new keys.
func (r *records) update(asks bool) []byte {
	b := r.record(handshakeRecord, keyUpdate(asks))
	r.out.next()
	return b
}
