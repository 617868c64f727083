package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// directory is an ACME server (RFC 8555) that knows what is needed here: accounts
// with ECDSA keys, orders for one name, and real looks at both challenges.
type directory struct {
	t      *testing.T
	server *httptest.Server
	root   string // file with the authority of the server's own certificate
	ca     *authority

	mu        sync.Mutex
	nonces    map[string]bool
	accounts  map[string]*ecdsa.PublicKey // by URL
	orders    []*acmeOrder
	offers    []string                          // types of challenges
	tlsAddr   string                            // where it looks for tls-alpn-01
	httpAddr  string                            // where it looks for http-01
	life      func(n int) wish                  // what the n-th certificate is like
	distrusts string                            // the domain whose challenge is never good enough
	ari       bool                              // tells when to renew: at once
	gate      func(r *http.Request) (open bool) // may keep a request waiting
}

type acmeOrder struct {
	domain, token, kind string
	replaces            string
	status, detail      string
	chain               []byte
}

func newDirectory(t *testing.T) *directory {
	t.Helper()
	d := &directory{
		t: t, ca: newAuthority(t, "ACME"), nonces: map[string]bool{}, accounts: map[string]*ecdsa.PublicKey{},
		offers: []string{"http-01", "tls-alpn-01"}, life: func(int) wish { return wish{} },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dir", d.index)
	mux.HandleFunc("HEAD /nonce", func(w http.ResponseWriter, _ *http.Request) { d.fresh(w) })
	mux.HandleFunc("GET /ari/{id}", d.renewal)
	mux.HandleFunc("POST /account", d.signed(d.account))
	mux.HandleFunc("POST /orders", d.signed(d.newOrder))
	mux.HandleFunc("POST /order/{n}", d.signed(d.order))
	mux.HandleFunc("POST /authz/{n}", d.signed(d.authz))
	mux.HandleFunc("POST /challenge/{n}/{type}", d.signed(d.challenge))
	mux.HandleFunc("POST /finalize/{n}", d.signed(d.finalize))
	mux.HandleFunc("POST /cert/{n}", d.signed(d.cert))
	d.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		gate := d.gate
		d.mu.Unlock()
		if gate == nil || gate(r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(d.server.Close)
	d.root = filepath.Join(t.TempDir(), "directory.crt")
	write(t, d.root, certPEM(d.server.Certificate().Raw))
	return d
}

// options returns ACME options for this directory.
func (d *directory) options(storage string, domains ...string) *ACME {
	return &ACME{Domains: domains, Email: "ops@example.com", Directory: d.server.URL + "/dir", RootFile: d.root, Storage: storage, Agreed: true}
}

func (d *directory) index(w http.ResponseWriter, _ *http.Request) {
	index := map[string]any{
		"newNonce": d.server.URL + "/nonce", "newAccount": d.server.URL + "/account", "newOrder": d.server.URL + "/orders",
	}
	d.mu.Lock()
	if d.ari {
		index["renewalInfo"] = d.server.URL + "/ari"
	}
	d.mu.Unlock()
	d.answer(w, http.StatusOK, index)
}

func (d *directory) fresh(w http.ResponseWriter) {
	nonce := rand.Text()
	d.mu.Lock()
	d.nonces[nonce] = true
	d.mu.Unlock()
	w.Header().Set("Replay-Nonce", nonce)
}

func (d *directory) answer(w http.ResponseWriter, status int, body any) {
	d.fresh(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (d *directory) refuse(w http.ResponseWriter, status int, kind, detail string) {
	d.fresh(w)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}

func (d *directory) account(w http.ResponseWriter, _ *http.Request, m message) {
	var body struct {
		TermsOfServiceAgreed bool
		Contact              []string
	}
	if err := json.Unmarshal(m.payload, &body); err != nil || !body.TermsOfServiceAgreed || !slices.Equal(body.Contact, []string{"mailto:ops@example.com"}) {
		d.refuse(w, http.StatusForbidden, "userActionRequired", "terms or contact: "+string(m.payload))
		return
	}
	d.mu.Lock()
	location := d.server.URL + "/account/" + rand.Text()
	d.accounts[location] = m.key
	d.mu.Unlock()
	w.Header().Set("Location", location)
	d.answer(w, http.StatusCreated, map[string]any{"status": "valid", "contact": body.Contact})
}

func (d *directory) newOrder(w http.ResponseWriter, _ *http.Request, m message) {
	var body struct {
		Identifiers []struct{ Type, Value string }
		Replaces    string
	}
	if err := json.Unmarshal(m.payload, &body); err != nil || len(body.Identifiers) != 1 || body.Identifiers[0].Type != "dns" {
		d.refuse(w, http.StatusBadRequest, "malformed", string(m.payload))
		return
	}
	d.mu.Lock()
	n := len(d.orders)
	d.orders = append(d.orders, &acmeOrder{domain: body.Identifiers[0].Value, token: rand.Text(), status: "pending", replaces: body.Replaces})
	d.mu.Unlock()
	w.Header().Set("Location", d.url("order", n))
	d.answer(w, http.StatusCreated, d.view(n))
}

func (d *directory) url(what string, n int) string {
	return d.server.URL + "/" + what + "/" + strconv.Itoa(n)
}

// view is an order as it is told.
func (d *directory) view(n int) map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[n]
	view := map[string]any{
		"status": o.status, "identifiers": []map[string]string{{"type": "dns", "value": o.domain}},
		"authorizations": []string{d.url("authz", n)}, "finalize": d.url("finalize", n),
	}
	if o.status == "valid" {
		view["certificate"] = d.url("cert", n)
	}
	return view
}

func (d *directory) find(r *http.Request) (int, *acmeOrder) {
	n, err := strconv.Atoi(r.PathValue("n"))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || n >= len(d.orders) {
		d.t.Errorf("%s: no such order", r.URL.Path)
		return 0, &acmeOrder{}
	}
	return n, d.orders[n]
}

func (d *directory) order(w http.ResponseWriter, r *http.Request, _ message) {
	n, _ := d.find(r)
	d.answer(w, http.StatusOK, d.view(n))
}

func (d *directory) authz(w http.ResponseWriter, r *http.Request, m message) {
	n, o := d.find(r)
	d.mu.Lock()
	defer func() { d.mu.Unlock() }()
	if bytes.Contains(m.payload, []byte("deactivated")) {
		o.status = "deactivated"
	}
	status := map[string]string{"pending": "pending", "ready": "valid", "valid": "valid"}[o.status]
	if status == "" {
		status = o.status
	}
	var offers []map[string]any
	for _, kind := range d.offers {
		offer := map[string]any{"type": kind, "url": d.url("challenge", n) + "/" + kind, "token": o.token, "status": "pending"}
		if o.status == "invalid" && kind == o.kind {
			offer["status"] = "invalid"
			offer["error"] = map[string]any{"type": "urn:ietf:params:acme:error:unauthorized", "detail": o.detail, "status": 403}
		}
		offers = append(offers, offer)
	}
	d.mu.Unlock()
	d.answer(w, http.StatusOK, map[string]any{
		"status": status, "identifier": map[string]string{"type": "dns", "value": o.domain}, "challenges": offers,
	})
	d.mu.Lock()
}

// challenge looks at it while the client waits.
func (d *directory) challenge(w http.ResponseWriter, r *http.Request, m message) {
	_, o := d.find(r)
	d.mu.Lock()
	domain, token, tlsAddr, httpAddr := o.domain, o.token, d.tlsAddr, d.httpAddr
	d.mu.Unlock()
	print, err := thumbprint(m.key)
	if err != nil {
		d.refuse(w, http.StatusInternalServerError, "serverInternal", err.Error())
		return
	}
	authorization := token + "." + print
	if domain == d.distrusts {
		authorization += "!"
	}
	kind := r.PathValue("type")
	switch kind {
	case "tls-alpn-01":
		err = lookTLS(tlsAddr, domain, authorization)
	case "http-01":
		err = lookHTTP(httpAddr, domain, token, authorization)
	}
	d.mu.Lock()
	o.kind, o.status = kind, "ready"
	if err != nil {
		o.status, o.detail = "invalid", err.Error()
	}
	d.mu.Unlock()
	d.answer(w, http.StatusOK, map[string]any{"type": kind, "url": d.server.URL + r.URL.Path, "token": token, "status": "processing"})
}

func (d *directory) finalize(w http.ResponseWriter, r *http.Request, m message) {
	n, o := d.find(r)
	var body struct{ CSR string }
	if err := json.Unmarshal(m.payload, &body); err != nil {
		d.refuse(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	der, _ := base64.RawURLEncoding.DecodeString(body.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	d.mu.Lock()
	if err != nil || csr.CheckSignature() != nil || !slices.Equal(csr.DNSNames, []string{o.domain}) || o.status != "ready" {
		d.mu.Unlock()
		d.refuse(w, http.StatusForbidden, "badCSR", fmt.Sprint(o.status, err))
		return
	}
	like := d.life(n)
	like.names = csr.DNSNames
	o.chain = append(certPEM(d.ca.sign(d.t, like, csr.PublicKey)), d.ca.pem...)
	o.status = "valid"
	d.mu.Unlock()
	w.Header().Set("Location", d.url("order", n))
	d.answer(w, http.StatusOK, d.view(n))
}

func (d *directory) cert(w http.ResponseWriter, r *http.Request, _ message) {
	_, o := d.find(r)
	d.fresh(w)
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = w.Write(o.chain)
}

// renewal tells to renew the first certificate at once, and others later (RFC 9773).
func (d *directory) renewal(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	start := time.Now().Add(40 * day)
	if block, _ := pem.Decode(d.orders[0].chain); block != nil && len(d.orders) == 1 {
		start = time.Now().Add(-day)
	}
	d.mu.Unlock()
	w.Header().Set("Retry-After", "21600")
	d.answer(w, http.StatusOK, map[string]any{"suggestedWindow": map[string]time.Time{"start": start, "end": start.Add(time.Hour)}})
}

// ordered returns how many orders there were, and the last one.
func (d *directory) ordered() (int, acmeOrder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.orders) == 0 {
		return 0, acmeOrder{}
	}
	return len(d.orders), *d.orders[len(d.orders)-1]
}
