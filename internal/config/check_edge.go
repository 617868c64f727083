package config

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/pointsman/pointsman/internal/certs"
	"github.com/pointsman/pointsman/pool"
)

// checkLimits reports limits that contradict each other, or have no use.
func (d *decoder) checkLimits(c *Config) {
	l := c.Limits
	d.order(l.MemoryLow > 0 && l.MemoryHigh == 0, "limits.memory_low", "limits.memory_high",
		"limits.memory_low (%s) is given without limits.memory_high; expected both or none", l.MemoryLow)
	d.order(l.MemoryHigh > 0 && l.MemoryLow >= l.MemoryHigh, "limits.memory_low", "limits.memory_high",
		"limits.memory_low (%s) is not below limits.memory_high (%s); expected less than that", l.MemoryLow, l.MemoryHigh)
	d.order(l.Sessions > 0 && l.SessionsPerAddress > l.Sessions, "limits.sessions_per_address", "limits.sessions",
		"limits.sessions_per_address (%d) is above limits.sessions (%d), so it bounds nothing; expected at most that", l.SessionsPerAddress, l.Sessions)
	d.order(l.MessageBurst > 0 && l.MessagesPerSecond == 0, "limits.message_burst", "limits.messages_per_second",
		"limits.message_burst (%d) is given without limits.messages_per_second; expected both or none", l.MessageBurst)
	d.order(l.ByteBurst > 0 && l.BytesPerSecond == 0, "limits.byte_burst", "limits.bytes_per_second",
		"limits.byte_burst (%s) is given without limits.bytes_per_second; expected both or none", l.ByteBurst)
	if l.CloseOnExcess && l.MessagesPerSecond == 0 && d.usable("limits.on_excess", "limits.messages_per_second") {
		d.order(l.BytesPerSecond == 0, "limits.on_excess", "limits.bytes_per_second",
			"limits.on_excess is close, and nothing is bounded; expected limits.messages_per_second or limits.bytes_per_second")
	}
	for i, u := range c.Upstreams {
		key := fmt.Sprintf("upstreams[%d].proxy_protocol", i)
		d.order(c.Pool.Spares > 0 && u.ProxyProtocol != pool.NoProxyHeader, key, "pool.spares",
			"the header names the client, and pool.spares (%d)%s are connections without a client yet; expected none, or no spares",
			c.Pool.Spares, d.line("pool.spares"))
	}
}

// checkTLS reports what is wrong about TLS. It reads every file that is named.
func (d *decoder) checkTLS(c *Config) {
	for i := range c.Listen {
		l, path := &c.Listen[i], fmt.Sprintf("listen[%d]", i)
		d.checkListenerTLS(l, path+".tls")
		d.order(l.HTTP2 && !l.TLS.On(), path+".http2", path+".tls", "is true without tls; expected both, since browsers and most clients speak HTTP/2 with TLS only")
		plain := slices.ContainsFunc(c.Listen, func(l Listener) bool { return !l.TLS.On() })
		d.order(l.TLS.ACME.On() && l.TLS.ACME.Challenge == ChallengeHTTP && !plain, path+".tls.acme.challenge", path+".tls.acme.challenge",
			"is http-01, and every listener speaks TLS; expected one without tls, which port 80 of the domains leads to, or tls-alpn-01")
	}
	for i := range c.Upstreams {
		d.checkUpstreamTLS(&c.Upstreams[i], fmt.Sprintf("upstreams[%d]", i))
	}
}

func (d *decoder) checkListenerTLS(l *Listener, path string) {
	certificates, acme := path+".certificates", path+".acme"
	if has(d.origins, path) && !l.TLS.On() && !has(d.origins, acme) && d.usable(path, certificates) {
		d.reject(path, d.at(path), "has neither certificates nor acme; expected at least one of them, or no tls")
		return
	}
	for i, pair := range l.TLS.Certificates {
		at := fmt.Sprintf("%s[%d]", certificates, i)
		d.checkPair(at+".cert", at+".key", pair.Cert, pair.Key)
	}
	d.checkAuthorities(path+".client_ca", l.TLS.ClientCA)
	if !has(d.origins, acme) || !d.usable(acme) {
		return
	}
	a := &l.TLS.ACME
	info, err := os.Stat(a.Storage)
	for _, row := range []struct {
		wrong     bool
		name, say string
	}{
		{!a.On(), ".domains", "is missing; expected the names to obtain certificates for"},
		{a.Storage == "", ".storage", "is missing; expected a directory that outlives this process"},
		{err == nil && !info.IsDir(), ".storage", "is not a directory; expected one, or a path where one can be made"},
		{!a.AcceptTerms, ".accept_terms", "is not true; expected that you agree to the terms of service of the directory"},
	} {
		if key := acme + row.name; row.wrong && d.usable(key) {
			d.reject(key, d.at(key), "%s", row.say)
		}
	}
	d.checkAuthorities(acme+".ca", a.CA)
}

func (d *decoder) checkUpstreamTLS(u *Upstream, path string) {
	section := path + ".tls"
	if !has(d.origins, section) || !d.usable(section, path+".url") {
		return
	}
	if !u.encrypted() {
		d.reject(section, d.at(section), "is for an upstream without TLS; expected a url that begins with wss://, or no tls")
		return
	}
	t := u.TLS
	ca, cert, key := section+".ca", section+".cert", section+".key"
	d.order(t.Cert != "" && t.Key == "", cert, key, "is given without key; expected both or none")
	d.order(t.Key != "" && t.Cert == "", key, cert, "is given without cert; expected both or none")
	d.order(t.Insecure && t.CA != "", section+".insecure", ca, "is true, so nothing is verified and ca%s has no use; expected one of them", d.line(ca))
	d.checkAuthorities(ca, t.CA)
	if t.Cert != "" && t.Key != "" {
		d.checkPair(cert, key, t.Cert, t.Key)
	}
}

// checkPair reads a certificate and its key, and reports the one that is at
// fault.
func (d *decoder) checkPair(certPath, keyPath, cert, key string) {
	if cert == "" || key == "" || !d.usable(certPath, keyPath) {
		return
	}
	var fault *certs.Fault
	err := certs.CheckPair(certs.Pair{CertFile: cert, KeyFile: key})
	switch {
	case !errors.As(err, &fault):
	case fault.InKey:
		d.reject(keyPath, d.at(keyPath), "cannot be used: %v; expected a file with the key of the certificate, in PEM", err)
	default:
		d.reject(certPath, d.at(certPath), "cannot be used: %v; expected a file with a certificate and its issuers, in PEM", err)
	}
}

// checkAuthorities reads a file of authorities, if one is named.
func (d *decoder) checkAuthorities(path, file string) {
	if file == "" || !d.usable(path) {
		return
	}
	if err := certs.CheckAuthorities(file); err != nil {
		d.reject(path, d.at(path), "cannot be used: %v; expected a file with certificates of authorities, in PEM", err)
	}
}
