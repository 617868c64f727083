package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Keeper keeps certificates and what belongs to them. Make one with [New]. All
// methods may be called concurrently, but only one Run at a time.
type Keeper struct {
	logger     *slog.Logger
	config     *tls.Config // for the life of the process
	now        atomic.Pointer[state]
	challenges challenges
	pace       pace

	mu       sync.Mutex // one change at a time; what follows is changed under it
	options  Options
	files    loaded                  // in use
	refused  loaded                  // what the last reload found and did not take; zero when files are what was found
	obtained map[string]*certificate // by ACME, by domain
	failed   map[string]error        // the last attempt for a domain, if it came to nothing
	ring     ring
	said     map[remark]struct{}
	begin    context.CancelFunc // makes Run look at the ACME options anew; nil before Run
}

// pace is how often things are done; tests are in more of a hurry.
type pace struct {
	look    time.Duration // between two looks at the files
	settle  time.Duration // between two looks while they change
	patient time.Duration // how long files that do not fit together are no news
	renew   time.Duration // between two looks at what was obtained by ACME
}

// remark is what is said once of a certificate.
type remark struct {
	text  string
	about string
}

// New returns a Keeper of what options says. It reads all files, also those that
// ACME left behind, and starts nothing: [Keeper.Config] works from now on, but
// only [Keeper.Run] follows changes and obtains certificates. The error names
// every file that cannot be used, and why.
func New(options Options) (*Keeper, error) {
	k := &Keeper{
		logger: options.Logger,
		pace:   pace{look: 3 * time.Second, settle: 300 * time.Millisecond, patient: 5 * time.Second, renew: time.Hour},
		ring:   newRing(),
		said:   map[remark]struct{}{},
	}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	k.config = &tls.Config{
		GetConfigForClient:          k.settings,
		MinVersion:                  tls.VersionTLS12,
		DynamicRecordSizingDisabled: true,
	}
	if err := k.Apply(options); err != nil {
		return nil, err
	}
	return k, nil
}

// Config returns the settings for listeners. It is the same pointer for the life
// of the Keeper, and every handshake that begins with it finds the state of that
// moment; connections that are established are never touched again. It must not
// be changed. A clone works as well.
//
// A connection that has agreed on the protocol acme-tls/1 was a directory's look
// at a challenge, and must be closed after the handshake: it has shown no
// certificate of a client, whatever the options demand.
func (k *Keeper) Config() *tls.Config { return k.config }

// settings is GetConfigForClient.
func (k *Keeper) settings(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := k.now.Load()
	if isValidation(hello) && s.acme != nil {
		if config := k.challenges.config(s.acme, hello.ServerName); config != nil {
			return config, nil
		}
	}
	return s.settings(hello), nil
}

// Apply takes on other options. It is all or nothing: on an error, which names
// every mistake, everything stays as it is. Sessions of clients can be resumed
// afterwards, unless other authorities of clients are trusted now.
func (k *Keeper) Apply(options Options) error {
	commit, err := k.Prepare(options)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Prepare does what can go wrong about [Keeper.Apply]: it reads the files, and
// changes nothing. The func that it returns does the rest. It is for those who
// change several things, all or none; commit soon, or throw it away.
func (k *Keeper) Prepare(options Options) (commit func(), err error) {
	options = options.copied()
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	files := load(&options)
	if err := files.err(); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		before := k.options
		k.options = options
		k.take(files, before)
		if !options.ACME.equal(before.ACME) {
			k.follow()
		}
		k.show()
	}, nil
}

// Reload reads the files again, now. It is all or nothing like Apply; this is for
// those who want the answer. Run follows changes by itself, and takes what is good.
func (k *Keeper) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reload(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return nil
}

// takeGood takes what is good of the files that were refused, and keeps what is in
// use in place of the rest. It needs the lock.
func (k *Keeper) takeGood() {
	refused := k.refused
	good := refused.with(&k.files, &k.options)
	changed := !good.sums.equal(k.files.sums)
	k.take(good, k.options)
	if k.refused = refused; changed {
		k.show()
		k.logger.Info("some certificates reloaded")
	}
}

// reload needs the lock.
func (k *Keeper) reload() error {
	files := load(&k.options)
	if err := files.err(); err != nil {
		k.refused = files
		return err
	}
	changed := !files.sums.equal(k.files.sums)
	k.take(files, k.options)
	if changed {
		k.show()
		k.logger.Info("certificates reloaded", "certificates", len(files.pairs))
	}
	return nil
}

// take makes files the ones in use, which were loaded by the options in use.
// It needs the lock.
func (k *Keeper) take(files loaded, before Options) {
	if k.files.trust(&before) != files.trust(&k.options) {
		// A ticket vouches for a certificate that was judged by others.
		k.ring = newRing()
	}
	k.files, k.refused = files, loaded{}
}

// show puts what there is before new handshakes. It needs the lock.
func (k *Keeper) show() {
	certificates := k.all()
	var fallback *certificate
	switch {
	case len(k.files.pairs) > 0:
		fallback = k.files.pairs[0]
	case len(certificates) > 0:
		fallback = certificates[0]
	}
	k.remark()
	prefer(certificates)
	s := newState(&k.options, certificates, fallback, k.files.clientCAs)
	s.config.SetSessionTicketKeys(k.ring)
	k.now.Store(s)
}

// all returns the certificates in use: those that ACME obtained, then those in
// files. It needs the lock.
func (k *Keeper) all() []*certificate {
	var all []*certificate
	if k.options.ACME != nil {
		for _, domain := range k.options.ACME.Domains {
			if c := k.obtained[domain]; c != nil {
				all = append(all, c)
			}
		}
	}
	return append(all, k.files.pairs...)
}

// rotate begins to make session tickets with another key.
func (k *Keeper) rotate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring = k.ring.next()
	k.now.Load().config.SetSessionTicketKeys(k.ring)
}

// Run follows the files, renews the keys of session tickets, obtains and renews
// certificates by ACME, and warns of those that end, until ctx does. It returns
// when all that it started has ended.
func (k *Keeper) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { k.tend(ctx) })
	running.Go(func() { k.obtain(ctx) })
	running.Wait()
}

// tend does what has to be done from time to time.
func (k *Keeper) tend(ctx context.Context) {
	look := time.NewTimer(k.pace.look)
	defer look.Stop()
	keys := time.NewTicker(ticketAge)
	defer keys.Stop()
	ends := time.NewTicker(time.Hour)
	defer ends.Stop()
	var v vigil
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			look.Reset(v.look(k))
		case <-keys.C:
			k.rotate()
		case <-ends.C:
			k.mu.Lock()
			k.remark()
			k.mu.Unlock()
		}
	}
}
