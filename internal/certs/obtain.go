package certs

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

const (
	// longestAttempt bounds one attempt to obtain or renew a certificate.
	longestAttempt = 5 * time.Minute
	// library is how often the library believes to be asked. From it follows how
	// long before the end it renews in any case: five times that.
	library = time.Hour
)

// follow begins to follow other ACME options. What was obtained for domains that
// are still there stays in use; what lies in the storage is taken at once. It
// needs the lock.
func (k *Keeper) follow() {
	obtained := map[string]*certificate{}
	if a := k.options.ACME; a != nil {
		for _, domain := range a.Domains {
			switch c, err := a.stored(context.Background(), domain); {
			case err == nil:
				obtained[domain] = c
			case k.obtained[domain] != nil:
				obtained[domain] = k.obtained[domain]
			}
		}
	}
	k.obtained, k.failed = obtained, map[string]error{}
	if k.begin != nil {
		k.begin()
	}
}

// obtain obtains and renews certificates as the options say, until ctx ends.
func (k *Keeper) obtain(ctx context.Context) {
	for ctx.Err() == nil {
		k.mu.Lock()
		a := k.options.ACME
		these, cancel := context.WithCancel(ctx) // as long as these options hold
		k.begin = cancel
		k.mu.Unlock()
		if a != nil {
			k.obtainAll(these, a)
		}
		<-these.Done()
		cancel()
	}
}

// obtainAll looks after the domains of a, one after the other, until ctx ends.
func (k *Keeper) obtainAll(ctx context.Context, a *ACME) {
	due := make([]time.Time, len(a.Domains))
	attempts := make([]int, len(a.Domains))
	for {
		for i, domain := range a.Domains {
			if time.Now().Before(due[i]) {
				continue
			}
			wait := k.pace.renew
			err := k.attempt(ctx, a, domain)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				attempts[i] = 0
			} else {
				wait = again(attempts[i])
				attempts[i]++
			}
			wait += rand.N(wait/10 + 1)
			due[i] = time.Now().Add(wait)
			k.note(domain, err, wait)
		}
		next := time.NewTimer(time.Until(slices.MinFunc(due, time.Time.Compare)))
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// again returns how long to wait after failed attempts. Public directories take
// few that fail in an hour.
func again(failed int) time.Duration {
	steps := [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour}
	return steps[min(failed, len(steps)-1)]
}

// note remembers how an attempt went, and tells the log if it went wrong.
func (k *Keeper) note(domain string, err error, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed[domain] = err
	if err == nil {
		return
	}
	what := "certificate not obtained"
	if k.obtained[domain] != nil {
		what = "certificate not renewed"
	}
	k.logger.Warn(what, "domain", domain, "error", err, "again_in", wait.Round(time.Second))
}

// attempt sees to it that there is a certificate for domain that is not about to
// end, and puts it in use.
func (k *Keeper) attempt(ctx context.Context, a *ACME, domain string) error {
	ctx, cancel := context.WithTimeout(ctx, longestAttempt)
	defer cancel()
	log := debugLog(k.logger).With("about", "acme")
	files := newStorage(a.Storage)
	if err := a.tidy(ctx, files, domain); err != nil {
		return err
	}
	issuer := newIssuer(a, files, &k.challenges, log)
	defer issuer.close()

	// The library starts a goroutine for each cache, which renews certificates on
	// its own and cannot be waited for. Here a cache lives for one attempt only,
	// that is shorter than the first time that goroutine would do something.
	var config *certmagic.Config
	zlog := zap.New(zapCore{log.Handler()})
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
		RenewCheckInterval: library,
		OCSPCheckInterval:  library,
		Logger:             zlog,
	})
	defer cache.Stop()
	config = certmagic.New(cache, certmagic.Config{
		Storage: files,
		Issuers: []certmagic.Issuer{issuer},
		OCSP:    certmagic.OCSPConfig{DisableStapling: true},
		Logger:  zlog,
	})
	err := config.ManageSync(ctx, []string{domain})
	// Also after an error: another process may have renewed it, or only the
	// renewal has failed.
	c, storedErr := a.stored(ctx, domain)
	if storedErr == nil {
		k.use(domain, c)
	}
	if err == nil {
		err = storedErr
	}
	return err
}

// use puts a certificate in use that was obtained.
func (k *Keeper) use(domain string, c *certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.options.ACME
	if a == nil || !slices.Contains(a.Domains, domain) || c.same(k.obtained[domain]) {
		return
	}
	k.obtained[domain] = c
	k.show()
	k.logger.Info("certificate obtained", "domain", domain, "issuer", c.tls.Leaf.Issuer.String(), "not_after", c.tls.Leaf.NotAfter)
}
