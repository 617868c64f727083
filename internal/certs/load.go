package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// loaded is what all the files of some [Options] hold.
type loaded struct {
	sums      sums           // of exactly what was read
	pairs     []*certificate // as in Options.Pairs; nil where one is bad
	clientCAs *x509.CertPool // nil without a file
	wrong     []error        // as in Options.Pairs; nil where one is good
	clientCA  error          // what is wrong with the authorities
}

// load reads every file once. What it returns is good if its err is nil.
func load(o *Options) loaded {
	l := loaded{sums: sums{}, pairs: make([]*certificate, len(o.Pairs)), wrong: make([]error, len(o.Pairs))}
	for i, p := range o.Pairs {
		l.pairs[i], l.wrong[i] = l.sums.pair(p)
	}
	if o.ClientCA != "" {
		l.clientCAs, l.clientCA = l.sums.pool(o.ClientCA)
		if l.clientCA != nil {
			l.clientCA = fmt.Errorf("authorities of clients: %w", l.clientCA)
		}
	}
	return l
}

func (l *loaded) err() error {
	return errors.Join(append(l.wrong[:len(l.wrong):len(l.wrong)], l.clientCA)...)
}

// with returns l with the parts of old, of the same options, in place of those that
// are bad here.
func (l *loaded) with(old *loaded, o *Options) loaded {
	good := loaded{sums: sums{}, pairs: make([]*certificate, len(l.pairs)), wrong: make([]error, len(l.wrong))}
	keep := func(from *loaded, path string) { good.sums[path] = from.sums[path] }
	for i, p := range o.Pairs {
		from := l
		if l.wrong[i] != nil {
			from = old
		}
		good.pairs[i] = from.pairs[i]
		keep(from, p.CertFile)
		keep(from, p.KeyFile)
	}
	if o.ClientCA != "" {
		from := l
		if l.clientCA != nil {
			from = old
		}
		good.clientCAs = from.clientCAs
		keep(from, o.ClientCA)
	}
	return good
}

// trust returns a value that is another one if other clients may come in.
func (l *loaded) trust(o *Options) [sha256.Size]byte {
	if o.ClientCA == "" {
		return [sha256.Size]byte{}
	}
	return l.sums[o.ClientCA]
}

// pair reads a certificate and its key. The error is a [*Fault].
func (s sums) pair(p Pair) (*certificate, error) {
	certPEM, certErr := s.read(p.CertFile)
	keyPEM, keyErr := s.read(p.KeyFile)
	if certErr != nil {
		return nil, fault(false, "certificate: %w", certErr)
	}
	if keyErr != nil {
		return nil, fault(true, "key: %w", keyErr)
	}
	cert, err := parse(certPEM, keyPEM)
	if err != nil {
		var at *Fault
		return nil, fault(errors.As(err, &at) && at.InKey, "certificate %s with key %s: %w", p.CertFile, p.KeyFile, err)
	}
	cert.file, cert.keyFile = p.CertFile, p.KeyFile
	return cert, nil
}

// pool reads a file of authorities.
func (s sums) pool(path string) (*x509.CertPool, error) {
	data, err := s.read(path)
	if err != nil {
		return nil, err
	}
	pool, err := authorities(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pool, nil
}
