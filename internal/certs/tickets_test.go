package certs

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"
)

// visitor is a client that keeps one ticket, from its first handshake.
type visitor struct {
	config *tls.Config
	first  *tls.ClientSessionState
}

// Get implements [tls.ClientSessionCache].
func (v *visitor) Get(string) (*tls.ClientSessionState, bool) { return v.first, v.first != nil }

// Put implements [tls.ClientSessionCache].
func (v *visitor) Put(_ string, session *tls.ClientSessionState) {
	if v.first == nil {
		v.first = session
	}
}

// newVisitor does a handshake and keeps the ticket.
func newVisitor(t *testing.T, k *Keeper, config *tls.Config) *visitor {
	t.Helper()
	v := &visitor{config: config.Clone()}
	v.config.ClientSessionCache = v
	if v.resumes(t, k) {
		t.Fatal("resumed without a ticket")
	}
	if v.first == nil {
		t.Fatal("no ticket")
	}
	return v
}

// resumes tells whether the ticket still works.
func (v *visitor) resumes(t *testing.T, k *Keeper) bool {
	t.Helper()
	o := shake(k.Config(), v.config)
	if o.clientErr != nil {
		t.Fatal(o.clientErr)
	}
	if o.client.DidResume != o.server.DidResume {
		t.Fatal("the sides do not agree")
	}
	return o.client.DidResume
}

// TestTicketsAcrossRotations follows a ticket until it is worthless.
func TestTicketsAcrossRotations(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newAuthority(t, "Test")
				pair := ca.pair(t, wish{names: []string{"a.test"}})
				k := keeper(t, Options{Pairs: []Pair{pair}})
				k.pace.look = time.Hour // There is nothing to see.
				running(t, k)
				v := newVisitor(t, k, &tls.Config{ServerName: "a.test", RootCAs: ca.pool(), MaxVersion: version})
				time.Sleep(time.Minute) // past the moments at which keys change
				for hours := range 32 {
					if got, want := v.resumes(t, k), hours < 28; got != want {
						t.Errorf("after %d hours: resumed %t; want %t", hours, got, want)
					}
					if hours == 5 { // A reload does no harm.
						cert, key := ca.issue(t, wish{names: []string{"a.test"}})
						pair.write(t, cert, key)
					}
					time.Sleep(time.Hour)
					synctest.Wait()
				}
				if n := len(k.ring); n != 1+ticketsKept {
					t.Errorf("%d keys; want %d", n, 1+ticketsKept)
				}
			})
		})
	}
}

func TestRing(t *testing.T) {
	r := newRing()
	seen := map[[32]byte]bool{{}: true}
	for range 20 {
		if seen[r[0]] {
			t.Fatal("a key that was there before, or none")
		}
		seen[r[0]] = true
		next := r.next()
		if len(next) > 1+ticketsKept || next[1] != r[0] {
			t.Fatalf("%d keys", len(next))
		}
		r = next
	}
}

// TestTicketsEndWithTheAuthority: whoever was let in by another authority has to
// show a certificate again.
func TestTicketsEndWithTheAuthority(t *testing.T) {
	ca, clients, others := newAuthority(t, "Test"), newAuthority(t, "Clients"), newAuthority(t, "Others")
	pair, clientCA := ca.pair(t, wish{names: []string{"a.test"}}), clients.file(t)
	k := keeper(t, Options{Pairs: []Pair{pair}, ClientCA: clientCA})
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.pool(), Certificates: []tls.Certificate{clients.client(t)}}
	v := newVisitor(t, k, config)
	if !v.resumes(t, k) {
		t.Error("not resumed")
	}
	if err := k.Apply(Options{Pairs: []Pair{pair}, ClientCA: clientCA, ALPN: []string{"http/1.1"}}); err != nil {
		t.Fatal(err)
	}
	if !v.resumes(t, k) {
		t.Error("not resumed after other options")
	}
	write(t, clientCA, others.pem)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if o := shake(k.Config(), v.config); o.clientErr == nil {
		t.Error("let in with a ticket of another authority")
	}
	before := k.ring[0]
	if err := k.Apply(Options{Pairs: []Pair{pair}}); err != nil {
		t.Fatal(err)
	}
	if k.ring[0] == before || len(k.ring) != 1 {
		t.Error("the keys are the same without client certificates")
	}
	none := newVisitor(t, k, &tls.Config{ServerName: "a.test", RootCAs: ca.pool()})
	if err := k.Apply(Options{Pairs: []Pair{pair}, ClientCA: clientCA}); err != nil {
		t.Fatal(err)
	}
	if o := shake(k.Config(), none.config); o.clientErr == nil {
		t.Error("let in with a ticket and no certificate")
	}
}

// TestStrictBeatsTickets: a ticket is no way around a name that is refused.
func TestStrictBeatsTickets(t *testing.T) {
	ca := newAuthority(t, "Test")
	a, b := ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"b.test"}})
	k := keeper(t, Options{Pairs: []Pair{a, b}, Strict: true})
	v := newVisitor(t, k, &tls.Config{ServerName: "b.test", RootCAs: ca.pool()})
	if !v.resumes(t, k) {
		t.Error("not resumed")
	}
	if err := k.Apply(Options{Pairs: []Pair{a}, Strict: true}); err != nil {
		t.Fatal(err)
	}
	if o := shake(k.Config(), v.config); o.clientErr == nil {
		t.Error("let in with a ticket for a name that is not there any more")
	}
}
