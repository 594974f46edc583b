// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

// crlSource loads revocation lists from files.
func crlSource(t testing.TB, lists ...[]byte) *signer.CRLs {
	t.Helper()
	dir := t.TempDir()
	for i, der := range lists {
		write(t, dir, string(rune('a'+i))+".crl", der)
	}
	c, err := signer.LoadCRLs(dir)
	must(t, err)
	return c
}

func TestRevocation(t *testing.T) {
	ca := testCA(t)
	namesake, err := pki.NewCA("CA di prova", epoch)
	must(t, err)
	id := identity(t, ca)
	serial := id.Certificate.SerialNumber
	list := func(ca *pki.CA, from time.Time, days int, revoked ...*big.Int) []byte {
		der, err := ca.CRLAt(from, from.AddDate(0, 0, days), revoked...)
		must(t, err)
		return der
	}
	off, strict := signer.RevocationPolicy{}, signer.RevocationPolicy{Mode: signer.RevocationStrict}
	grace := signer.RevocationPolicy{Mode: signer.RevocationGrace}
	aged := signer.RevocationPolicy{Mode: signer.RevocationStrict, MaxAge: 20 * time.Hour}
	old := epoch.AddDate(0, -2, 0)
	for name, c := range map[string]struct {
		lists  [][]byte
		policy signer.RevocationPolicy
		want   signer.Step
	}{
		"no lists":                         {nil, off, signer.StepOK},
		"no lists, strict":                 {nil, strict, signer.StepUnknownRevocation},
		"no lists, grace":                  {nil, grace, signer.StepUnknownRevocation},
		"clean":                            {[][]byte{list(ca, epoch, 30)}, strict, signer.StepOK},
		"another is revoked":               {[][]byte{list(ca, epoch, 30, big.NewInt(987654))}, strict, signer.StepOK},
		"revoked":                          {[][]byte{list(ca, epoch, 30, big.NewInt(5), serial)}, off, signer.StepRevoked},
		"revoked after the message":        {[][]byte{list(ca, dayOne.AddDate(0, 1, 0), 30, serial)}, strict, signer.StepOK},
		"ends now":                         {[][]byte{list(ca, epoch, 1)}, strict, signer.StepOK},
		"ended a second ago":               {[][]byte{list(ca, epoch.Add(-time.Second), 1)}, strict, signer.StepUnknownRevocation},
		"stale":                            {[][]byte{list(ca, old, 30)}, off, signer.StepOK},
		"stale, strict":                    {[][]byte{list(ca, old, 30)}, strict, signer.StepUnknownRevocation},
		"revoked on a stale list":          {[][]byte{list(ca, old, 30, serial)}, strict, signer.StepRevoked},
		"ended a day ago":                  {[][]byte{list(ca, epoch.AddDate(0, 0, -1), 1)}, grace, signer.StepOK},
		"ended more than a day ago":        {[][]byte{list(ca, epoch.AddDate(0, 0, -1).Add(-time.Second), 1)}, grace, signer.StepUnknownRevocation},
		"grace of an hour, over":           {[][]byte{list(ca, epoch.Add(-2*time.Hour), 1)}, signer.RevocationPolicy{Mode: signer.RevocationGrace, Grace: time.Hour}, signer.StepUnknownRevocation},
		"grace of an hour":                 {[][]byte{list(ca, epoch.Add(-time.Hour), 1)}, signer.RevocationPolicy{Mode: signer.RevocationGrace, Grace: time.Hour}, signer.StepOK},
		"revoked beyond grace":             {[][]byte{list(ca, old, 30, serial)}, grace, signer.StepRevoked},
		"too old for its age":              {[][]byte{list(ca, epoch, 30)}, aged, signer.StepUnknownRevocation},
		"young enough":                     {[][]byte{list(ca, epoch.Add(5*time.Hour), 30)}, aged, signer.StepOK},
		"age does not lengthen":            {[][]byte{list(ca, old, 30)}, signer.RevocationPolicy{Mode: signer.RevocationStrict, MaxAge: 10000 * time.Hour}, signer.StepUnknownRevocation},
		"newest list counts":               {[][]byte{list(ca, old, 30), list(ca, epoch, 30, serial)}, strict, signer.StepRevoked},
		"higher number counts":             {[][]byte{list(ca, epoch, 30), list(ca, epoch, 30, serial)}, strict, signer.StepRevoked},
		"list of a CA with the same name":  {[][]byte{list(namesake, epoch, 30, serial)}, off, signer.StepOK},
		"only the namesake's list, wanted": {[][]byte{list(namesake, epoch, 30)}, strict, signer.StepUnknownRevocation},
		"namesake's newer list is ignored": {[][]byte{list(namesake, dayOne, 30), list(ca, epoch, 30, serial)}, strict, signer.StepRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := signer.PECConfig(ca.Certificate())
			cfg.CRLs, cfg.Revocation = crlSource(t, c.lists...), c.policy
			for range 2 { // the second answer comes from what the source remembers
				if step, why := signer.CheckCertificate(cfg, id.Certificate, dayOne); step != c.want {
					t.Errorf("%q: %s", step, why)
				}
			}
		})
	}
}

// An intermediate CA may be revoked as well, which tells more than that its own
// list is missing.
func TestRevokedIntermediate(t *testing.T) {
	rootKey, midKey := rsaKey(t, "root", 2048), rsaKey(t, "mid", 2048)
	root := issue(t, caTemplate("Radice", 1, nil), caTemplate("Radice", 1, nil), rootKey.Public(), rootKey)
	mid := issue(t, caTemplate("Intermedia", 2, nil), root, midKey.Public(), rootKey)
	leaf := issue(t, leafTemplate(nil), mid, rsaKey(t, "leaf", 2048).Public(), midKey)
	crl, err := pki.Open(root, rootKey, 10, epoch).CRL(mid.SerialNumber)
	must(t, err)
	cfg := signer.PECConfig(root)
	cfg.CRLs = crlSource(t, crl)
	for _, mode := range []signer.RevocationMode{signer.RevocationOff, signer.RevocationStrict} {
		cfg.Revocation.Mode = mode
		if step, _ := signer.CheckCertificate(cfg, leaf, dayOne, mid); step != signer.StepRevoked {
			t.Errorf("mode %d: %q", mode, step)
		}
	}
}

func TestCRLFilesAndReload(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	clean, err := ca.CRLAt(epoch, epoch.AddDate(0, 1, 0))
	must(t, err)
	revoking, err := ca.CRLAt(epoch.Add(time.Hour), epoch.AddDate(0, 1, 0), id.Certificate.SerialNumber)
	must(t, err)
	dir := t.TempDir()
	file := write(t, dir, "lista.pem", append(pki.EncodeCRL(clean), pki.EncodeCertificates(ca.Certificate())...))
	write(t, dir, "LEGGIMI", []byte("niente"))
	for _, path := range []string{file, dir} {
		crls, err := signer.LoadCRLs(path)
		must(t, err)
		cfg := signer.PECConfig(ca.Certificate())
		cfg.CRLs, cfg.Revocation.Mode = crls, signer.RevocationStrict
		check := func(want signer.Step) {
			t.Helper()
			if step, _ := signer.CheckCertificate(cfg, id.Certificate, dayOne); step != want {
				t.Errorf("%s: %q, want %q", path, step, want)
			}
		}
		check(signer.StepOK)
		write(t, dir, "lista.pem", revoking) // DER in a file of any name
		check(signer.StepOK)
		must(t, crls.Reload())
		check(signer.StepRevoked)
		write(t, dir, "lista.pem", []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
		if err := crls.Reload(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "lista.pem") {
			t.Errorf("reload: %v", err)
		}
		check(signer.StepRevoked) // what was in use stays in use
		write(t, dir, "lista.pem", clean)
	}
	if _, err := signer.LoadCRLs(filepath.Join(dir, "manca")); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	must(t, os.Remove(file))
	if _, err := signer.LoadCRLs(dir); err != nil {
		t.Error("an empty directory:", err)
	}
}

// Lists that say less than everything must not be read as if they said it all.
func TestCRLOfLimitedScopeIsRefused(t *testing.T) {
	ca := testCA(t)
	for name, c := range map[string]struct {
		ext pkix.Extension
		ok  bool
	}{
		"delta":               {pkix.Extension{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}, false},
		"CA certificates":     {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}, true},
		"users and CAs only":  {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 6, 0x81, 1, 0xff, 0x82, 1, 0xff}}, false},
		"a relative point":    {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0xa0, 2, 0xa1, 0}}, false},
		"a nameless point":    {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0xa0, 2, 0xa0, 0}}, false},
		"some reasons":        {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0x83, 2, 6, 0x40}}, false},
		"indirect":            {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}, false},
		"attributes":          {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x85, 1, 0xff}}, false},
		"unreadable scope":    {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x04, 0}}, false},
		"user certificates":   {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}, true},
		"a point of its own":  {pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0x0c, 0xa0, 0x0a, 0xa0, 8, 0x86, 6, 'h', 't', 't', 'p', ':', '/'}}, true},
		"something harmless":  {pkix.Extension{Id: []int{1, 2, 3}, Value: []byte{5, 0}}, true},
		"something essential": {pkix.Extension{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch,
				NextUpdate: epoch.AddDate(0, 1, 0), ExtraExtensions: []pkix.Extension{c.ext}}, ca.Certificate(), ca.Key())
			must(t, err)
			if _, err := signer.LoadCRLs(write(t, t.TempDir(), "x.crl", der)); (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
}
