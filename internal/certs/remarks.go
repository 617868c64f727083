package certs

import (
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/internal/certtext"
)

// remark tells the log what is odd about the certificates in use, each thing once
// while it lasts. It needs the lock.
func (k *Keeper) remark() {
	said := map[remark]struct{}{}
	say := func(c *certificate, text, about string, args ...any) {
		r := remark{text, about}
		if _, found := k.said[r]; !found {
			k.logger.With(c.attrs()...).Warn(text, args...)
		}
		said[r] = struct{}{}
	}
	now := time.Now()
	for _, c := range k.all() {
		id := hex.EncodeToString(c.fingerprint[:]) + c.file
		for _, text := range c.remarks() {
			say(c, text, id)
		}
		leaf := c.tls.Leaf
		switch c.stage(now) {
		case early:
			say(c, "certificate is not valid yet", id, "not_before", leaf.NotBefore)
		case ending:
			say(c, "certificate ends soon", id, "not_after", leaf.NotAfter)
		case expired:
			say(c, "certificate has expired", id, "not_after", leaf.NotAfter)
		}
		if c.keyFile != "" && worldReadable(c.keyFile) {
			say(c, "key file can be read by everybody on this machine", c.keyFile, "key_file", c.keyFile)
		}
	}
	k.said = said
}

// attrs tells a certificate from others in the log.
func (c *certificate) attrs() []any {
	attrs := []any{slog.String("certificate", certtext.Title(c.tls.Leaf))}
	if c.file != "" {
		attrs = append(attrs, slog.String("file", c.file))
	}
	return attrs
}
