// SPDX-License-Identifier: EUPL-1.2

// Package tsatest runs a time-stamping authority for tests: RFC 3161 by the
// openssl binary behind an HTTP server on loopback. It is imported by tests only.
package tsatest

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"pecd/signer"
	"pecd/signer/pki"
)

// Authority is a running time-stamping authority. openssl takes the time from
// the machine.
type Authority struct {
	URL    string
	Dir    string // cert.pem, ca.pem and, after an answer, query.tsq and answer.tsr
	CAFile string
	CA     *x509.Certificate

	mu     sync.Mutex // openssl works on files: one answer at a time
	silent bool
	stamps int
}

const config = `
[tsa]
default_tsa = tsa1
[tsa1]
serial = serial
crypto_device = builtin
signer_cert = cert.pem
certs = ca.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256
accuracy = secs:1
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_chain = yes
ess_cert_id_alg = %s
`

// Start starts an authority that signs with a certificate of ca (pki's
// IssueTSA) and names it by essHash, "sha256" or another of openssl's digests.
func Start(t testing.TB, ca *pki.CA, id signer.Identity, essHash string) *Authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing: apt-get install -y openssl")
	}
	a := &Authority{Dir: t.TempDir(), CA: ca.Certificate()}
	a.CAFile = filepath.Join(a.Dir, "ca.pem")
	key, err := pki.EncodeKey(id.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"ca.pem": pki.EncodeCertificates(a.CA), "cert.pem": pki.EncodeCertificates(id.Certificate), "key.pem": key,
		"tsa.cnf": fmt.Appendf(nil, config, essHash), "serial": []byte("01\n"),
	} {
		if err := os.WriteFile(filepath.Join(a.Dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.URL = s.URL
	return a
}

// Silence makes the authority answer 503, or not any more.
func (a *Authority) Silence(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = on
}

// Stamps is how many queries were stamped.
func (a *Authority) Stamps() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stamps
}

// ServeHTTP stamps one query.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent {
		http.Error(w, "manutenzione", http.StatusServiceUnavailable)
		return
	}
	query, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "no query", http.StatusBadRequest)
		return
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "query.tsq"), query, 0o600); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	cmd := exec.CommandContext(r.Context(), "openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "answer.tsr")
	cmd.Dir = a.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		http.Error(w, string(out), http.StatusInternalServerError)
		return
	}
	a.stamps++
	w.Header().Set("Content-Type", "application/timestamp-reply")
	http.ServeFile(w, r, filepath.Join(a.Dir, "answer.tsr"))
}
