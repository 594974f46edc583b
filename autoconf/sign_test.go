// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
	"pecd/signer/pki"
)

func TestSignWith(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	rsaPair, err := ca.IssueTLS([]string{"mail.gestore.example"})
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(99), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Certificate(), ecKey.Public(), ca.Key())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	for name, cert := range map[string]*tls.Certificate{
		"RSA": &rsaPair, "P-256": {Certificate: [][]byte{der, ca.Certificate().Raw}, PrivateKey: ecKey},
	} {
		signed, err := SignWith(cert, []byte("profile"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, err := pkcs7.Parse(signed)
		if err != nil || string(p.Content) != "profile" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := p.VerifyWithChain(roots); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.Content = []byte("Profile")
		if p.Verify() == nil {
			t.Errorf("%s: another content verifies, too", name)
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]*tls.Certificate{"Ed25519": {Certificate: rsaPair.Certificate, PrivateKey: key}, "none": {}} {
		if _, err := SignWith(cert, nil); !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
