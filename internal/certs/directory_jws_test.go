package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
)

// message is a request whose signature is good.
type message struct {
	account string // empty if it came with its key
	key     *ecdsa.PublicKey
	payload []byte
}

// signed judges the signature (RFC 7515, and RFC 8555, section 6.2).
func (d *directory) signed(next func(w http.ResponseWriter, r *http.Request, m message)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, kind, err := d.open(r)
		if err != nil {
			d.refuse(w, http.StatusBadRequest, kind, err.Error())
			return
		}
		next(w, r, m)
	}
}

func (d *directory) open(r *http.Request) (m message, kind string, err error) {
	var jws struct{ Protected, Payload, Signature string }
	if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
		return m, "malformed", err
	}
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *struct{ Crv, Kty, X, Y string }
	}
	protected, err := base64.RawURLEncoding.DecodeString(jws.Protected)
	if err == nil {
		err = json.Unmarshal(protected, &head)
	}
	if err != nil {
		return m, "malformed", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.nonces[head.Nonce] {
		return m, "badNonce", errors.New("unknown nonce")
	}
	delete(d.nonces, head.Nonce)
	if head.Alg != "ES256" || head.URL != d.server.URL+r.URL.Path {
		return m, "malformed", fmt.Errorf("algorithm %s, URL %s", head.Alg, head.URL)
	}
	if head.JWK != nil {
		if m.key, err = publicKey(head.JWK.X, head.JWK.Y); err != nil {
			return m, "badPublicKey", err
		}
	} else if m.account, m.key = head.Kid, d.accounts[head.Kid]; m.key == nil {
		return m, "accountDoesNotExist", errors.New("unknown account")
	}
	sum := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
	signature, err := base64.RawURLEncoding.DecodeString(jws.Signature)
	if err != nil || len(signature) != 64 ||
		!ecdsa.Verify(m.key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return m, "malformed", errors.New("bad signature")
	}
	m.payload, err = base64.RawURLEncoding.DecodeString(jws.Payload)
	return m, "malformed", err
}

// publicKey reads the coordinates of a JWK (RFC 7518, section 6.2.1).
func publicKey(x, y string) (*ecdsa.PublicKey, error) {
	point := []byte{4} // not compressed
	for _, text := range []string{x, y} {
		coordinate, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		point = append(point, coordinate...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

// thumbprint follows RFC 7638.
func thumbprint(key *ecdsa.PublicKey) (string, error) {
	point, err := key.Bytes()
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:])))
	return encode(sum[:]), nil
}
