// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/signer"
	"pecd/signer/pki"
)

const (
	provider = "Alfa PEC S.p.A."
	address  = "posta-certificata@alfa.example"
)

// epoch is when the test CA begins; day one is when messages are signed.
var (
	epoch  = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	dayOne = epoch.AddDate(0, 0, 1)
)

// entity is a small MIME entity with CRLF line ends, as it gets signed.
var entity = []byte("Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nciao\r\n--b--\r\n")

// keys caches RSA keys: making them is the slow part of these tests.
var keys = struct {
	sync.Mutex
	byName map[string]*rsa.PrivateKey
}{byName: make(map[string]*rsa.PrivateKey)}

func rsaKey(t testing.TB, name string, bits int) *rsa.PrivateKey {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if k := keys.byName[name]; k != nil {
		return k
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	keys.byName[name] = k
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shared is the one test CA; tests that spend serials or renew make their own.
var shared = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("CA di prova", epoch) })

func testCA(t testing.TB) *pki.CA {
	t.Helper()
	ca, err := shared()
	must(t, err)
	return ca
}

// identity issues a signing certificate for the cached leaf key.
func identity(t testing.TB, ca *pki.CA, opts ...pki.Option) signer.Identity {
	t.Helper()
	id, err := ca.IssueSigner(provider, address, append([]pki.Option{pki.WithKey(rsaKey(t, "leaf", 2048))}, opts...)...)
	must(t, err)
	return id
}

func newSigner(t testing.TB, id signer.Identity) *signer.Signer {
	t.Helper()
	s, err := signer.New(id, provider, address, clock.NewManual(dayOne))
	must(t, err)
	return s
}

func sign(t testing.TB, s *signer.Signer, content []byte) []byte {
	t.Helper()
	der, err := s.Sign(context.Background(), sha256.Sum256(content), dayOne)
	must(t, err)
	return der
}

// index is an Origins that knows the certificates given.
type index map[string]signer.Origin

func indexOf(certs ...*x509.Certificate) index {
	x := make(index)
	for _, c := range certs {
		x[string(c.Raw)] = signer.Origin{Provider: provider, MailReceipt: "ricevute@alfa.example"}
	}
	return x
}

func (x index) ProviderByCertificate(c *x509.Certificate) (signer.Origin, bool) {
	o, ok := x[string(c.Raw)]
	return o, ok
}

// verifierFor trusts the test CA and knows the certificates.
func verifierFor(ca *pki.CA, certs ...*x509.Certificate) *signer.Verifier {
	cfg := signer.PECConfig(ca.Certificate())
	cfg.Origins = indexOf(certs...)
	return signer.NewVerifier(cfg)
}

func verify(v *signer.Verifier, p7s []byte) signer.Verdict {
	return v.Verify(p7s, bytes.NewReader(entity), dayOne, address)
}

// wantStep checks the step a verdict stopped at, and that it says why in both languages.
func wantStep(t testing.TB, got signer.Verdict, want signer.Step) {
	t.Helper()
	if got.Failed != want {
		t.Fatalf("failed at %q (%s; %v), want %q", got.Failed, got.ReasonEN, got.Err, want)
	}
	if (want == signer.StepOK) != (got.Reason == "") || (got.Reason == "") != (got.ReasonEN == "") {
		t.Fatalf("step %q with reasons %q and %q", want, got.Reason, got.ReasonEN)
	}
}

// openssl runs the openssl binary in dir.
func openssl(t testing.TB, dir string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: apt-get install openssl")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Logf("openssl %v: %v\n%s", args, err, errs.Bytes())
		return out.Bytes(), err
	}
	return out.Bytes(), nil
}

func mustOpenSSL(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	out, err := openssl(t, dir, args...)
	if err != nil {
		t.FailNow()
	}
	return out
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return b
}

// workshop is a directory with what the openssl binary needs to sign as id.
func workshop(t testing.TB, ca *pki.CA, id signer.Identity) string {
	t.Helper()
	dir := t.TempDir()
	key, err := pki.EncodeKey(id.Key, nil)
	must(t, err)
	write(t, dir, "key.pem", key)
	write(t, dir, "cert.pem", pki.EncodeCertificates(id.Certificate))
	write(t, dir, "ca.pem", pki.EncodeCertificates(ca.Certificate()))
	write(t, dir, "entity", entity)
	return dir
}
