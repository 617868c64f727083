package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ClientOptions says how TLS is done with an upstream. The zero value is good for
// one that the system's authorities vouch for.
type ClientOptions struct {
	// CAFile is a PEM file of the authorities that the upstream's certificate is
	// judged by, instead of those of the system.
	CAFile string
	// ServerName is the name, or address, that the upstream's certificate has to be
	// for, and that it is asked for. Empty leaves it to the caller, who knows which
	// host it is that he dials: crypto/tls demands a name.
	ServerName string
	// CertFile and KeyFile are the certificate for upstreams that want one (mutual
	// TLS), as in [Pair]. Both or none. They are read again when they change.
	CertFile, KeyFile string
	// MinVersion is the oldest version spoken, [tls.VersionTLS12] or
	// [tls.VersionTLS13]. Zero means 1.2.
	MinVersion uint16
	// ALPN are the protocols offered, the preferred one first.
	ALPN []string
	// Insecure takes every certificate. See [ClientOptions.Warning].
	Insecure bool
	// Logger gets what the operator should know of CertFile; nil discards.
	Logger *slog.Logger
}

// Warning returns what has to be logged of these options, empty if nothing has.
// The caller adds which upstream it is.
func (o ClientOptions) Warning() string {
	if !o.Insecure {
		return ""
	}
	return "TLS CERTIFICATE IS NOT VERIFIED: whoever is on the way can read and change everything; give the authority's file instead"
}

// Client returns the settings for connections to an upstream. It reads the files;
// the error names the one that cannot be used, and why. The settings may be
// cloned, and the clones share the sessions that can be resumed and the
// certificate. Nothing is started.
func Client(options ClientOptions) (*tls.Config, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("tls to upstream: %w", err)
	}
	config := &tls.Config{
		ServerName:                  options.ServerName,
		MinVersion:                  max(options.MinVersion, tls.VersionTLS12),
		NextProtos:                  slices.Clone(options.ALPN),
		InsecureSkipVerify:          options.Insecure,
		ClientSessionCache:          tls.NewLRUClientSessionCache(sessionsKept),
		Renegotiation:               tls.RenegotiateNever,
		DynamicRecordSizingDisabled: true,
	}
	if options.CAFile != "" {
		roots, err := sums{}.pool(options.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls to upstream: authorities: %w", err)
		}
		config.RootCAs = roots
	}
	if options.CertFile != "" {
		own, err := newOwnCertificate(options)
		if err != nil {
			return nil, fmt.Errorf("tls to upstream: %w", err)
		}
		config.GetClientCertificate = own.get
		config.ClientSessionCache = &ownSessions{own: own}
	}
	return config, nil
}

func (o *ClientOptions) check() error {
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("client certificate: name both its file and its key file")
	case o.Insecure && o.CAFile != "":
		return fmt.Errorf("authorities %s: they have no use if no certificate is verified", o.CAFile)
	}
	if err := checkVersion(o.MinVersion); err != nil {
		return err
	}
	return checkALPN(o.ALPN)
}

// lookAgain is how often the files of a client certificate are looked at, at
// most: upstreams may be dialled thousands of times in a second.
const lookAgain = 2 * time.Second

// ownCertificate is the certificate that we show to upstreams. It needs no
// goroutine: those who want it see to it that it is up to date.
type ownCertificate struct {
	pair   Pair
	logger *slog.Logger

	mu      sync.Mutex
	current *certificate
	sums    sums      // of current
	looked  time.Time // when the files were last looked at
	bad     sums      // of what the last look found and cannot be used
	told    bool      // that it was found
}

func newOwnCertificate(o ClientOptions) (*ownCertificate, error) {
	c := &ownCertificate{pair: Pair{CertFile: o.CertFile, KeyFile: o.KeyFile}, logger: o.Logger, sums: sums{}, looked: time.Now()}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	current, err := c.sums.pair(c.pair)
	if err != nil {
		return nil, fmt.Errorf("client %w", err)
	}
	c.current = current
	c.remark()
	return c, nil
}

// get is GetClientCertificate. It does not ask which authorities the upstream
// would like: there is one certificate, and somebody has decided to show it.
func (c *ownCertificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.now().tls, nil
}

// now returns the certificate as it is now.
func (c *ownCertificate) now() *certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookAgain {
		c.looked = now
		c.look()
	}
	return c.current
}

// look reads the files again if they have changed. It needs the lock.
func (c *ownCertificate) look() {
	found := sums{}
	next, err := found.pair(c.pair)
	switch {
	case found.equal(c.sums):
		c.bad = nil
	case err == nil:
		c.current, c.sums, c.bad = next, found, nil
		c.logger.Info("client certificate reloaded", c.current.attrs()...)
		c.remark()
	case !found.equal(c.bad):
		c.bad, c.told = found, false // Perhaps one file is still to come.
	case !c.told:
		c.told = true
		c.logger.Warn("client certificate not reloaded, the one in use is kept", "error", err)
	}
}

// remark tells the log what is odd about a certificate that was just read.
func (c *ownCertificate) remark() {
	log, leaf := c.logger.With(c.current.attrs()...), c.current.tls.Leaf
	switch c.current.stage(time.Now()) {
	case early:
		log.Warn("client certificate is not valid yet", "not_before", leaf.NotBefore)
	case ending:
		log.Warn("client certificate ends soon", "not_after", leaf.NotAfter)
	case expired:
		log.Warn("client certificate has expired", "not_after", leaf.NotAfter)
	}
	if worldReadable(c.pair.KeyFile) {
		log.Warn("key file can be read by everybody on this machine", "key_file", c.pair.KeyFile)
	}
}
