package certs

import (
	"time"

	"github.com/pointsman/pointsman/internal/certtext"
)

// Status is what a [Keeper] has, and what it could not get.
type Status struct {
	// Certificates has one entry for each pair, in its order, then one for each
	// domain of ACME.
	Certificates []Certificate
	// ClientCA is the file of authorities that clients need a certificate of,
	// empty without.
	ClientCA string
	// ClientCAErr is what was wrong with the last attempt to read that again, nil if
	// that went well.
	ClientCAErr error
	// Err is why the files as they are now are not all in use, nil if they are.
	Err error
}

// Certificate tells of one certificate.
type Certificate struct {
	// Names are the host names and addresses that it is for. One that ACME has
	// not obtained yet has its domain here and nothing else.
	Names []string
	// NotBefore and NotAfter bound the time in which clients accept it.
	NotBefore, NotAfter time.Time
	// Issuer is who signed it, as a distinguished name.
	Issuer string
	// Key is the kind of its key, such as "ECDSA P-256".
	Key string
	// File is where it was read from, empty if it was obtained by ACME.
	File string
	// ACME tells whether it is obtained and renewed here.
	ACME bool
	// Err is what was wrong with the last attempt to read it again, or to obtain
	// or renew it; nil if that went well. What is in use is good all the same.
	Err error
}

// Status returns what there is at this moment.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{ClientCA: k.options.ClientCA}
	if k.refused.sums != nil {
		s.Err, s.ClientCAErr = k.refused.err(), k.refused.clientCA
	}
	for i, c := range k.files.pairs {
		entry := c.status()
		if k.refused.sums != nil {
			entry.Err = k.refused.wrong[i]
		}
		s.Certificates = append(s.Certificates, entry)
	}
	if k.options.ACME == nil {
		return s
	}
	for _, domain := range k.options.ACME.Domains {
		entry := Certificate{Names: []string{domain}}
		if c := k.obtained[domain]; c != nil {
			entry = c.status()
		}
		entry.ACME, entry.Err = true, k.failed[domain]
		s.Certificates = append(s.Certificates, entry)
	}
	return s
}

func (c *certificate) status() Certificate {
	leaf := c.tls.Leaf
	return Certificate{
		Names:     certtext.Names(leaf),
		NotBefore: leaf.NotBefore,
		NotAfter:  leaf.NotAfter,
		Issuer:    leaf.Issuer.String(),
		Key:       kind(leaf),
		File:      c.file,
	}
}
