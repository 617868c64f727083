package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// lookTLS follows RFC 8737, section 3.
func lookTLS(addr, domain, authorization string) error {
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: domain, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "acme-tls/1" || len(state.PeerCertificates) != 1 || !slices.Equal(state.PeerCertificates[0].DNSNames, []string{domain}) {
		return fmt.Errorf("protocol %q, certificates %v", state.NegotiatedProtocol, state.PeerCertificates)
	}
	sum := sha256.Sum256([]byte(authorization))
	want, err := asn1.Marshal(sum[:])
	if err != nil {
		return err
	}
	for _, extension := range state.PeerCertificates[0].Extensions {
		if extension.Id.String() == "1.3.6.1.5.5.7.1.31" && extension.Critical && bytes.Equal(extension.Value, want) {
			return nil
		}
	}
	return errors.New("no key authorization in the certificate")
}

// lookHTTP follows RFC 8555, section 8.3.
func lookHTTP(addr, domain, token, authorization string) error {
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+challengePath+token, nil)
	if err != nil {
		return err
	}
	r.Host, r.Close = domain, true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != authorization {
		return fmt.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
	}
	return nil
}
