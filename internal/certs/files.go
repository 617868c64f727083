package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
)

// largest is the size up to which a file is read. Bundles of all public roots
// have a quarter of it.
const largest = 1 << 20

// sums says what was found in files: a hash of each content, all zero for a file
// that could not be read.
type sums map[string][sha256.Size]byte

func (s sums) equal(other sums) bool { return maps.Equal(s, other) }

// survey reads the files anew.
func survey(paths []string) sums {
	found := make(sums, len(paths))
	for _, path := range paths {
		_, _ = found.read(path) // A file that cannot be read is a finding, too.
	}
	return found
}

// read returns the content of a file and notes its sum.
func (s sums) read(path string) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		s[path] = [sha256.Size]byte{}
		return nil, err
	}
	s[path] = sha256.Sum256(data)
	return data, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path) // To open a pipe might take for ever.
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // Only read: closing cannot lose anything.
	data, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > largest {
		return nil, fmt.Errorf("%s has more than %d bytes", path, largest)
	}
	return data, nil
}

// worldReadable tells whether everybody on this machine may read a file.
func worldReadable(path string) bool {
	if runtime.GOOS == "windows" {
		return false // Its modes do not say who may read.
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// authorities returns the certificates in PEM, which have to be at least one.
func authorities(data []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), false
	for n := 1; ; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}
