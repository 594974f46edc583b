// SPDX-License-Identifier: EUPL-1.2

// Package keysuite is what every source of signing keys must pass, so that a key
// in a file, inside libcrypto or in a token signs and fails alike.
package keysuite

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
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

// Open brings a key of Go's into the source and returns what signs with it. It
// is closed by the suite where it is an io.Closer.
type Open func(t *testing.T, key crypto.Signer) crypto.Signer

const (
	provider = "Alfa PEC S.p.A."
	address  = "posta-certificata@alfa.example"
)

// Run runs the suite with each kind of key a provider may have.
func Run(t *testing.T, open Open) {
	start := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	ca, err := pki.NewCA("CA di prova", start)
	must(t, err)
	for name, key := range Keys(t) {
		t.Run(name, func(t *testing.T) {
			id, err := ca.IssueSigner(provider, address, pki.WithKey(key))
			must(t, err)
			id.Key = open(t, key)
			if c, ok := id.Key.(io.Closer); ok {
				t.Cleanup(func() { c.Close() })
			}
			t.Run("openssl", func(t *testing.T) { opensslVerifies(t, ca, id, start.AddDate(0, 0, 1)) })
			t.Run("digest", func(t *testing.T) { refusesOtherDigests(t, id.Key) })
			t.Run("concurrent", func(t *testing.T) { signsConcurrently(t, id.Key) })
			t.Run("closed", func(t *testing.T) { failsWhenClosed(t, id.Key) })
		})
	}
}

// opensslVerifies has openssl judge a CMS signature.
func opensslVerifies(t *testing.T, ca *pki.CA, id signer.Identity, at time.Time) {
	s, err := signer.New(id, provider, address, clock.NewManual(at))
	must(t, err)
	content := []byte("Content-Type: text/plain\r\n\r\nciao\r\n")
	p7s, err := s.Sign(context.Background(), sha256.Sum256(content), at)
	must(t, err)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"content": content, "p7s": p7s, "ca.pem": pki.EncodeCertificates(ca.Certificate())} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: apt-get install openssl")
	}
	cmd := exec.Command(openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", "p7s", "-content", "content",
		"-CAfile", "ca.pem", "-attime", fmt.Sprint(at.Unix()))
	cmd.Dir = dir
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, content) {
		t.Errorf("%v: %s", err, told.String())
	}
}

// refusesOtherDigests wants an error for what is no SHA-256 digest.
func refusesOtherDigests(t *testing.T, key crypto.Signer) {
	for _, n := range []int{0, 20, 31, 33, 64} {
		if sig, err := key.Sign(nil, make([]byte, n), crypto.SHA256); err == nil {
			t.Errorf("a digest of %d octets was signed: %d octets", n, len(sig))
		}
	}
	if _, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// signsConcurrently has 64 goroutines sign different digests and checks each.
func signsConcurrently(t *testing.T, key crypto.Signer) {
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 2 {
				sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", g, i))
				sig, err := key.Sign(nil, sum[:], crypto.SHA256)
				if err != nil || !Verifies(key.Public(), sum[:], sig) {
					t.Errorf("signature %d/%d: %v", g, i, err)
				}
			}
		})
	}
	wg.Wait()
}

// failsWhenClosed closes the key while others sign with it: each signature is
// right or an error, and after it each is an error.
func failsWhenClosed(t *testing.T, key crypto.Signer) {
	c, ok := key.(io.Closer)
	if !ok {
		return // it holds nothing
	}
	sum := sha256.Sum256([]byte("chiusa"))
	var wg sync.WaitGroup
	begun := make(chan struct{}, 16)
	for range 16 {
		wg.Go(func() {
			for signed := 0; ; signed++ {
				sig, err := key.Sign(nil, sum[:], crypto.SHA256)
				if signed == 0 {
					begun <- struct{}{}
				}
				if err != nil {
					return
				}
				if !Verifies(key.Public(), sum[:], sig) {
					t.Error("wrong signature from a key that is being closed")
				}
			}
		})
	}
	<-begun
	must(t, c.Close())
	wg.Wait()
	if _, err := key.Sign(nil, sum[:], crypto.SHA256); err == nil {
		t.Error("a closed key signs")
	}
	must(t, c.Close())
}

// Verifies checks a signature over a SHA-256 digest.
func Verifies(pub crypto.PublicKey, digest, sig []byte) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, sig)
	}
	return false
}
