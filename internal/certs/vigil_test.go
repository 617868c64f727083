package certs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// shown returns the serial number of the first certificate in use.
func shown(k *Keeper) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.files.pairs[0].tls.Leaf.SerialNumber.String()
}

// TestOneAfterTheOther: the certificate changes, and its key some seconds later.
func TestOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		pair := ca.pair(t, wish{names: []string{"a.test"}})
		var log journal
		k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
		running(t, k)
		old := shown(k)

		cert, key := ca.issue(t, wish{names: []string{"a.test"}})
		write(t, pair.CertFile, cert)
		time.Sleep(k.pace.look + 2*time.Second)
		synctest.Wait()
		if shown(k) != old || log.String() != "" || k.Status().Err != nil {
			t.Errorf("something has happened already: %q, %v", log.String(), k.Status().Err)
		}
		write(t, pair.KeyFile, key)
		time.Sleep(k.pace.look + time.Second)
		synctest.Wait()
		if shown(k) == old {
			t.Error("the new certificate is not in use")
		}
		if log.count("certificates reloaded") != 1 || log.count("WARN") != 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// TestInPieces: a look falls between the certificate and the rest of its chain. The
// first piece would do, but not for the clients.
func TestInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		middle := ca.intermediate(t, "Middle")
		key := ecdsaKey(t)
		first, firstKey := ca.issue(t, wish{names: []string{"a.test"}, key: key})
		pair := ca.pair(t, wish{})
		pair.write(t, first, firstKey)
		var log journal
		k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
		running(t, k)

		piece, _ := middle.issue(t, wish{names: []string{"a.test"}, key: key})
		write(t, pair.CertFile, piece)
		time.Sleep(k.pace.look + k.pace.settle/2)
		synctest.Wait()
		write(t, pair.CertFile, append(piece, middle.pem...))
		time.Sleep(k.pace.look + time.Second)
		synctest.Wait()
		if n := log.count("certificates reloaded"); n != 1 {
			t.Errorf("reloaded %d times; want once", n)
		}
		if o := shake(k.Config(), &tls.Config{ServerName: "a.test", RootCAs: ca.pool()}); o.clientErr != nil {
			t.Error(o.clientErr)
		}
	})
}

// TestOneStaysBad: what is bad is kept as it was, told of where it stands, and once; and keeps nothing else from being renewed.
func TestOneStaysBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, clients, others := newAuthority(t, "Test"), newAuthority(t, "Clients"), newAuthority(t, "Others")
		a, b := ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"b.test"}})
		trusted := clients.file(t)
		var log journal
		k := keeper(t, Options{Pairs: []Pair{a, b}, ClientCA: trusted, Logger: log.logger()})
		running(t, k)
		settled := func() {
			time.Sleep(k.pace.look + k.pace.patient + time.Minute)
			synctest.Wait()
		}
		serials := func() (all [2]string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			for i, c := range k.files.pairs {
				all[i] = c.tls.Leaf.SerialNumber.String()
			}
			return all
		}
		first := serials()
		good := mustRead(t, a.KeyFile)
		if err := os.Remove(a.KeyFile); err != nil {
			t.Fatal(err)
		}
		settled()
		if serials() != first || log.count("WARN") != 1 || log.count("some certificates reloaded") != 0 {
			t.Errorf("without the key: %s", log.String())
		}
		cert, key := ca.issue(t, wish{names: []string{"b.test"}})
		b.write(t, cert, key)
		settled()
		second := serials()
		if second[0] != first[0] || second[1] == first[1] || log.count("some certificates reloaded") != 1 {
			t.Errorf("the other one is not renewed: %s", log.String())
		}
		s := k.Status()
		if s.Certificates[0].Err == nil || s.Certificates[1].Err != nil || s.ClientCAErr != nil || s.Err == nil {
			t.Errorf("status %+v", s)
		}
		ring := k.ring
		write(t, trusted, others.pem)
		settled()
		if k.files.clientCAs.Equal(clients.pool()) || slices.Equal(k.ring, ring) {
			t.Error("other clients are not trusted, or their tickets are good still")
		}
		write(t, trusted, nil)
		settled()
		if !k.files.clientCAs.Equal(others.pool()) || k.Status().ClientCAErr == nil {
			t.Errorf("the authorities are not kept: %+v", k.Status())
		}
		write(t, trusted, others.pem)
		write(t, a.KeyFile, good)
		settled()
		if s := k.Status(); serials() != second || s.Err != nil || s.Certificates[0].Err != nil || s.ClientCAErr != nil {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestToldOnce: what cannot be used is told once for each content, and so is its
// end.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		pair := ca.pair(t, wish{names: []string{"a.test"}})
		var log journal
		k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
		running(t, k)
		old, good := shown(k), mustRead(t, pair.CertFile)

		const refused = "certificates not reloaded"
		for i, content := range []string{"nonsense", "more nonsense"} {
			write(t, pair.CertFile, []byte(content))
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := log.count(refused); n != i+1 {
				t.Errorf("told %d times; want %d\n%s", n, i+1, log.String())
			}
			if s := k.Status(); shown(k) != old || s.Err == nil || s.Certificates[0].Err == nil {
				t.Errorf("status: %+v", s)
			}
		}
		if err := os.Remove(pair.CertFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := log.count(refused); n != 3 || shown(k) != old {
			t.Errorf("told %d times; want 3\n%s", n, log.String())
		}
		write(t, pair.CertFile, good)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := k.Status(); s.Err != nil || log.count("again those in use") != 1 || log.count(refused) != 3 {
			t.Errorf("%v\n%s", s.Err, log.String())
		}
	})
}

// TestReloadIsToldByItsCaller: what Reload has answered is not told again.
func TestReloadIsToldByItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		pair := ca.pair(t, wish{names: []string{"a.test"}})
		var log journal
		k := keeper(t, Options{Pairs: []Pair{pair}, Logger: log.logger()})
		running(t, k)
		write(t, pair.KeyFile, nil)
		if err := k.Reload(); err == nil {
			t.Error("no error")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if log.String() != "" {
			t.Errorf("log: %s", log.String())
		}
	})
}

// TestLinkSwap is what Kubernetes does with a secret.
func TestLinkSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		dir := t.TempDir()
		publish := func(version string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			cert, key := ca.issue(t, wish{names: []string{"a.test"}})
			p := Pair{CertFile: filepath.Join(dir, version, "tls.crt"), KeyFile: filepath.Join(dir, version, "tls.key")}
			p.write(t, cert, key)
			if err := os.Symlink(version, filepath.Join(dir, "..new")); err != nil {
				t.Skip("no symbolic links here: ", err)
			}
			if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		publish("..1")
		pair := Pair{CertFile: filepath.Join(dir, "..data", "tls.crt"), KeyFile: filepath.Join(dir, "..data", "tls.key")}
		k := keeper(t, Options{Pairs: []Pair{pair}})
		running(t, k)
		old := shown(k)
		publish("..2")
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(k.pace.look + time.Second)
		synctest.Wait()
		if shown(k) == old {
			t.Error("the new certificate is not in use")
		}
	})
}

// TestApplyChangesWhatIsWatched: the files of the options in use count.
func TestApplyChangesWhatIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test")
		first, second := ca.pair(t, wish{names: []string{"a.test"}}), ca.pair(t, wish{names: []string{"b.test"}})
		var log journal
		k := keeper(t, Options{Pairs: []Pair{first}, Logger: log.logger()})
		running(t, k)
		time.Sleep(time.Minute)
		if err := k.Apply(Options{Pairs: []Pair{second}}); err != nil {
			t.Fatal(err)
		}
		old := shown(k)
		if err := os.Remove(first.CertFile); err != nil {
			t.Fatal(err)
		}
		cert, key := ca.issue(t, wish{names: []string{"b.test"}})
		second.write(t, cert, key)
		time.Sleep(time.Minute)
		synctest.Wait()
		if shown(k) == old || log.count("certificates reloaded") != 1 || log.count("WARN") != 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
