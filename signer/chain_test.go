// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

// caTemplate is a CA certificate for cached keys; change makes it odd.
func caTemplate(name string, serial int64, change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: epoch, NotAfter: epoch.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
	if change != nil {
		change(c)
	}
	return c
}

func leafTemplate(change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "Posta Certificata", Organization: []string{provider}},
		NotBefore: epoch, NotAfter: epoch.AddDate(3, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{address},
	}
	if change != nil {
		change(c)
	}
	return c
}

func issue(t *testing.T, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func TestPathRules(t *testing.T) {
	rootKey, midKey, leafKey := rsaKey(t, "root", 2048), rsaKey(t, "mid", 2048), rsaKey(t, "leaf", 2048)
	otherKey := rsaKey(t, "other", 2048)
	type ca = func(*x509.Certificate)
	for _, c := range []struct {
		name            string
		root, mid, leaf ca
		twoTier         bool
		midKey          crypto.Signer // signs the leaf instead of the real one
		at              time.Time
		want            signer.Step
		why             string
	}{
		{name: "one CA"},
		{name: "two CAs", twoTier: true},
		{name: "path length", twoTier: true, root: func(c *x509.Certificate) { c.MaxPathLenZero = true }, want: signer.StepChain, why: "longer"},
		{name: "path length that suffices", twoTier: true, root: func(c *x509.Certificate) { c.MaxPathLen = 1 }, mid: func(c *x509.Certificate) { c.MaxPathLenZero = true }},
		{name: "issuer is no CA", twoTier: true, mid: func(c *x509.Certificate) { c.IsCA = false }, want: signer.StepChain, why: "not a CA"},
		{name: "issuer without certSign", twoTier: true, mid: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, want: signer.StepChain, why: "keyUsage"},
		{name: "issuer with critical extension", twoTier: true, mid: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}, want: signer.StepChain, why: "critical"},
		{name: "issuer for servers only", twoTier: true, mid: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, want: signer.StepChain, why: "CA is not for this use"},
		{name: "issuer for e-mail too", twoTier: true, mid: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageEmailProtection}
		}},
		{name: "forged by another key", twoTier: true, midKey: otherKey, want: signer.StepChain, why: "not valid"},
		{name: "leaf with critical extension", leaf: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}, want: signer.StepChain, why: "critical"},
		{name: "leaf for encryption", leaf: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, want: signer.StepChain, why: "keyUsage"},
		{name: "leaf with too many addresses", leaf: func(c *x509.Certificate) { c.EmailAddresses = slices.Repeat([]string{address}, 100) }, want: signer.StepChain, why: "too many"},
		{name: "leaf for non-repudiation", leaf: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }},
		{name: "leaf for servers", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, want: signer.StepChain, why: "certificate is not for this use"},
		{name: "leaf for anything", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }},
		{name: "leaf without purpose", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		{name: "leaf not yet valid", at: epoch.Add(-time.Second), want: signer.StepTime, why: "not yet"},
		{name: "leaf at its first second", at: epoch},
		{name: "leaf at its last second", at: epoch.AddDate(3, 0, 0)},
		{name: "leaf expired", at: epoch.AddDate(3, 0, 0).Add(time.Second), want: signer.StepTime, why: "expired"},
		{name: "CA expired", root: func(c *x509.Certificate) { c.NotAfter = epoch.AddDate(1, 0, 0) }, at: epoch.AddDate(2, 0, 0), want: signer.StepTime, why: "CA certificate had expired"},
		{name: "leaf older than its CA", root: func(c *x509.Certificate) { c.NotBefore = epoch.AddDate(1, 0, 0) }},
		{name: "address admitted", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"beta.example", "alfa.example"} }},
		{name: "mailbox admitted", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{address} }},
		{name: "address of another host", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"beta.example"} }, want: signer.StepChain, why: "nameConstraints"},
		{name: "host below the one admitted", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example"} }, want: signer.StepChain, why: "nameConstraints"},
		{name: "hosts below admitted", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{".example"} }},
		{name: "the domain itself is not below", root: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{".alfa.example"} }, want: signer.StepChain, why: "nameConstraints"},
		{name: "address excluded", root: func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"alfa.example"} }, want: signer.StepChain, why: "nameConstraints"},
		{name: "other address excluded", root: func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"beta.example"} }},
		{name: "DNS constraint says nothing on mail", root: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"beta.example"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := issue(t, caTemplate("Radice", 1, c.root), caTemplate("Radice", 1, c.root), rootKey.Public(), rootKey)
			parent, key := root, crypto.Signer(rootKey)
			var extra []*x509.Certificate
			if c.twoTier {
				mid := issue(t, caTemplate("Intermedia", 2, c.mid), root, midKey.Public(), rootKey)
				parent, key, extra = mid, midKey, []*x509.Certificate{mid}
				if c.midKey != nil {
					// A certificate with the intermediate's name but another key signs.
					key = c.midKey
					parent = issue(t, caTemplate("Intermedia", 2, nil), root, key.Public(), rootKey)
				}
			}
			leaf := issue(t, leafTemplate(c.leaf), parent, leafKey.Public(), key)
			at := c.at
			if at.IsZero() {
				at = dayOne
			}
			step, why := signer.CheckCertificate(signer.PECConfig(root), leaf, at, extra...)
			if step != c.want || !strings.Contains(why, c.why) {
				t.Errorf("%q: %s", step, why)
			}
		})
	}
}

// AgID CA1: one key, certified several times, with other periods and other
// providers listed. One certificate that fits is enough.
func TestPathThroughOneOfSeveralCACertificates(t *testing.T) {
	rootKey, leafKey := rsaKey(t, "root", 2048), rsaKey(t, "leaf", 2048)
	self := func(serial int64, change func(*x509.Certificate)) *x509.Certificate {
		c := caTemplate("AgID", serial, change)
		return issue(t, c, c, rootKey.Public(), rootKey)
	}
	expired := self(1, func(c *x509.Certificate) { c.NotBefore = epoch.AddDate(-3, 0, 0); c.NotAfter = epoch })
	unlisted := self(2, func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"beta.example"} })
	later := self(3, func(c *x509.Certificate) { c.NotBefore = epoch.AddDate(1, 0, 0) })
	leaf := issue(t, leafTemplate(nil), expired, leafKey.Public(), rootKey)
	for name, c := range map[string]struct {
		roots []*x509.Certificate
		want  signer.Step
	}{
		"expired alone":        {[]*x509.Certificate{expired}, signer.StepTime},
		"unlisted alone":       {[]*x509.Certificate{unlisted}, signer.StepChain},
		"expired and unlisted": {[]*x509.Certificate{expired, unlisted}, signer.StepTime},
		"all":                  {[]*x509.Certificate{expired, unlisted, later}, signer.StepOK},
		"other order":          {[]*x509.Certificate{later, unlisted, expired}, signer.StepOK},
	} {
		for _, extra := range [][]*x509.Certificate{nil, {expired}, {later}, {expired, later, unlisted}} {
			if step, why := signer.CheckCertificate(signer.PECConfig(c.roots...), leaf, dayOne, extra...); step != c.want {
				t.Errorf("%s: %q, %s", name, step, why)
			}
		}
	}
	if step, _ := signer.CheckCertificate(signer.PECConfig(), leaf, dayOne, later); step != signer.StepChain {
		t.Errorf("a CA out of the message was trusted: %q", step)
	}
}

func TestPathRenewedCA(t *testing.T) {
	old, err := pki.NewCA("CA rinnovata", epoch)
	must(t, err)
	id := identity(t, old)
	renewed, err := old.Renew(epoch.AddDate(1, 0, 0))
	must(t, err)
	if step, why := signer.CheckCertificate(signer.PECConfig(renewed.Certificate()), id.Certificate, dayOne); step != signer.StepOK {
		t.Errorf("%q: %s", step, why)
	}
}

// A CA known to the verifier may stand between leaf and anchor.
func TestPathThroughConfiguredIntermediate(t *testing.T) {
	rootKey, midKey := rsaKey(t, "root", 2048), rsaKey(t, "mid", 2048)
	root := issue(t, caTemplate("Radice", 1, nil), caTemplate("Radice", 1, nil), rootKey.Public(), rootKey)
	mid := issue(t, caTemplate("Intermedia", 2, nil), root, midKey.Public(), rootKey)
	leaf := issue(t, leafTemplate(nil), mid, rsaKey(t, "leaf", 2048).Public(), midKey)
	cfg := signer.PECConfig(root)
	if step, _ := signer.CheckCertificate(cfg, leaf, dayOne); step != signer.StepChain {
		t.Errorf("without: %q", step)
	}
	cfg.Intermediates = []*x509.Certificate{mid}
	if step, why := signer.CheckCertificate(cfg, leaf, dayOne); step != signer.StepOK {
		t.Errorf("with: %q, %s", step, why)
	}
	anchor := signer.PECConfig(mid) // an intermediate given as the anchor
	if step, why := signer.CheckCertificate(anchor, leaf, dayOne); step != signer.StepOK {
		t.Errorf("as anchor: %q, %s", step, why)
	}
	self := signer.PECConfig(leaf) // the certificate itself given as the anchor
	if step, why := signer.CheckCertificate(self, leaf, dayOne); step != signer.StepOK {
		t.Errorf("itself: %q, %s", step, why)
	}
}

// withSHA1 returns the certificate signed anew with RSA and SHA-1, which
// crypto/x509 neither makes nor accepts.
func withSHA1(t *testing.T, c *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	var fields []asn1.RawValue // of the TBSCertificate: version, serial number, signature, ...
	var outer asn1.RawValue
	_, err := asn1.Unmarshal(c.RawTBSCertificate, &outer)
	must(t, err)
	for rest := outer.Bytes; len(rest) > 0; {
		var f asn1.RawValue
		rest, err = asn1.Unmarshal(rest, &f)
		must(t, err)
		fields = append(fields, f)
	}
	alg := tlv(0x30, der(t, pkcs7.OIDEncryptionAlgorithmRSASHA1), []byte{5, 0})
	fields[2] = asn1.RawValue{FullBytes: alg}
	tbs := der(t, fields)
	value, err := key.Sign(rand.Reader, sum(crypto.SHA1, tbs), crypto.SHA1)
	must(t, err)
	old, err := x509.ParseCertificate(tlv(0x30, tbs, alg, tlv(0x03, []byte{0}, value)))
	must(t, err)
	return old
}

// Certificates of 2014 are signed with SHA-1.
func TestPathSHA1Certificate(t *testing.T) {
	ca := testCA(t)
	old := withSHA1(t, identity(t, ca).Certificate, ca.Key())
	if old.SignatureAlgorithm != x509.SHA1WithRSA {
		t.Fatal(old.SignatureAlgorithm)
	}
	cfg := signer.PECConfig(ca.Certificate())
	if step, why := signer.CheckCertificate(cfg, old, dayOne); step != signer.StepOK {
		t.Errorf("%q: %s", step, why)
	}
	cfg.AllowSHA1 = false
	if step, why := signer.CheckCertificate(cfg, old, dayOne); step != signer.StepChain || !strings.Contains(why, "SHA-1") {
		t.Errorf("%q: %s", step, why)
	}
	stranger, err := pki.NewCA("CA di prova", epoch)
	must(t, err)
	if step, why := signer.CheckCertificate(signer.PECConfig(stranger.Certificate()), old, dayOne); step != signer.StepChain || !strings.Contains(why, "not valid") {
		t.Errorf("%q: %s", step, why)
	}
}

// A message full of certificates with the issuer's name costs a bounded number
// of signature checks.
func TestPathSearchIsBounded(t *testing.T) {
	midKey, leafKey := rsaKey(t, "mid", 2048), rsaKey(t, "leaf", 2048)
	var loop []*x509.Certificate
	for i := range 60 { // all of one name, each issuing each
		c := caTemplate("Ciclo", int64(i+1), nil)
		loop = append(loop, issue(t, c, c, midKey.Public(), midKey))
	}
	leaf := issue(t, leafTemplate(nil), loop[0], leafKey.Public(), midKey)
	start := time.Now()
	step, _ := signer.CheckCertificate(signer.PECConfig(testCA(t).Certificate()), leaf, dayOne, loop...)
	if step != signer.StepChain || time.Since(start) > time.Second {
		t.Errorf("%q after %v", step, time.Since(start))
	}
}

func TestLoadCertificates(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	dir := t.TempDir()
	both := append([]byte("testo\n"), pki.EncodeCertificates(id.Certificate, ca.Certificate())...)
	key, err := pki.EncodeKey(id.Key, nil)
	must(t, err)
	certs, err := signer.LoadCertificates(write(t, dir, "both", append(key, both...)))
	must(t, err)
	if len(certs) != 2 || !certs[0].Equal(id.Certificate) {
		t.Errorf("%d certificates", len(certs))
	}
	certs, err = signer.LoadCertificates(write(t, dir, "der", id.Certificate.Raw))
	must(t, err)
	if len(certs) != 1 {
		t.Errorf("%d certificates", len(certs))
	}
	for name, data := range map[string][]byte{"empty": nil, "key": key, "broken": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "cut": id.Certificate.Raw[:50]} {
		if _, err := signer.LoadCertificates(write(t, dir, name, data)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := signer.LoadCertificates(dir + "/none"); !errors.Is(err, fs.ErrNotExist) || !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}
