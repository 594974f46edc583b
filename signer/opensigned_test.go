// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

// ldif is a content that takes several chunks.
var ldif = bytes.Repeat([]byte("managedDomains: alfa.example\n"), 2000)

func TestRFC6109_4_5_6_OpenSignedFromOpenSSL(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	v := verifierFor(ca)
	dir := workshop(t, ca, id)
	write(t, dir, "ldif", ldif)
	for name, args := range map[string][]string{
		"cms DER":      {"cms", "-outform", "DER"},
		"cms stream":   {"cms", "-outform", "DER", "-stream"},
		"smime DER":    {"smime", "-outform", "DER"},
		"smime stream": {"smime", "-outform", "DER", "-stream"},
		"PEM":          {"cms", "-outform", "PEM"},
		"PEM stream":   {"cms", "-outform", "PEM", "-stream"},
		"S/MIME":       {"smime", "-outform", "SMIME"},
		"key id":       {"cms", "-outform", "DER", "-keyid"},
		"no attrs":     {"cms", "-outform", "DER", "-noattr"},
	} {
		t.Run(name, func(t *testing.T) {
			mustOpenSSL(t, dir, append([]string{args[0], "-sign", "-nodetach", "-binary", "-in", "ldif", "-signer", "cert.pem", "-inkey", "key.pem", "-out", "p7m"}, args[1:]...)...)
			o, err := v.OpenSigned(read(t, dir, "p7m"), len(ldif), dayOne)
			must(t, err)
			if !bytes.Equal(o.Content, ldif) || !o.By.Equal(id.Certificate) {
				t.Errorf("%d octets by %s", len(o.Content), o.By.Subject)
			}
		})
	}
}

func TestOpenSigned(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	stranger, err := pki.NewCA("Altra CA", epoch)
	must(t, err)
	crl, err := ca.CRL(id.Certificate.SerialNumber)
	must(t, err)
	good := forgery{id: id, content: ldif, opaque: true}.build(t)
	chunked := forgery{id: id, content: ldif, opaque: true, chunk: 1000}.build(t)
	base := base64.StdEncoding.EncodeToString(good)
	changed := bytes.Replace(good, []byte("alfa.example"), []byte("beta.example"), 1)
	for name, c := range map[string]struct {
		p7m   []byte
		limit int
		at    time.Time
		crl   bool
		kind  fault.Kind
		ok    bool
	}{
		"DER":              {p7m: good, ok: true},
		"chunks":           {p7m: chunked, ok: true},
		"PEM":              {p7m: pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: chunked}), ok: true},
		"base64":           {p7m: []byte(base), ok: true},
		"base64 in lines":  {p7m: []byte("\r\n" + base[:76] + "\r\n" + base[76:] + "\r\n"), ok: true},
		"MIME entity":      {p7m: []byte("Content-Type: application/pkcs7-mime;\r\n smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base), ok: true},
		"trailing line":    {p7m: append(bytes.Clone(good), '\n'), ok: true},
		"empty":            {p7m: nil, kind: fault.Invalid},
		"blank":            {p7m: []byte(" \n"), kind: fault.Invalid},
		"text":             {p7m: []byte("dn: o=postacert\nobjectclass: top\n"), kind: fault.Invalid},
		"broken PEM":       {p7m: []byte("-----BEGIN PKCS7-----\n"), kind: fault.Invalid},
		"cut":              {p7m: good[:len(good)-1], kind: fault.Invalid},
		"detached":         {p7m: forgery{id: id, content: ldif}.build(t), kind: fault.Invalid},
		"no signer":        {p7m: forgery{id: id, content: ldif, opaque: true, noSigner: true}.build(t), kind: fault.Invalid},
		"no certificate":   {p7m: forgery{id: id, content: ldif, opaque: true, noCerts: true}.build(t), kind: fault.Invalid},
		"content too long": {p7m: good, limit: len(ldif) - 1, kind: fault.TooLarge},
		"far too long":     {p7m: make([]byte, 2<<20), limit: 10, kind: fault.TooLarge},
		"changed":          {p7m: changed, kind: fault.Denied},
		"expired":          {p7m: good, at: epoch.AddDate(4, 0, 0), kind: fault.Denied},
		"revoked":          {p7m: good, crl: true, kind: fault.Denied},
		"untrusted":        {p7m: forgery{id: identity(t, stranger), content: ldif, opaque: true}.build(t), kind: fault.Denied},
		"nested":           {p7m: bytes.Repeat([]byte{0x30, 0x80}, 100<<10), kind: fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := signer.PECConfig(ca.Certificate())
			if c.crl {
				cfg.CRLs = crlSource(t, crl)
			}
			limit, at := c.limit, c.at
			if limit == 0 {
				limit = len(ldif)
			}
			if at.IsZero() {
				at = dayOne
			}
			o, err := signer.NewVerifier(cfg).OpenSigned(c.p7m, limit, at)
			if c.ok {
				if err != nil || !bytes.Equal(o.Content, ldif) || !o.By.Equal(id.Certificate) {
					t.Fatalf("%d octets, %v", len(o.Content), err)
				}
				return
			}
			if !fault.Is(err, c.kind) || o.Content != nil {
				t.Fatalf("%d octets, %v", len(o.Content), err)
			}
			if c.kind != fault.TooLarge && !strings.Contains(fault.TextOf(err), " / ") {
				t.Errorf("text %q", fault.TextOf(err))
			}
		})
	}
}

// TestOpenSignedWithoutAList: what the policy cannot tell is no verdict; the
// signer is named, so that its lists can be fetched.
func TestOpenSignedWithoutAList(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	p7m := forgery{id: id, content: []byte("dn: o=postacert\n"), opaque: true}.build(t)
	cfg := signer.PECConfig(ca.Certificate())
	cfg.Revocation.Mode = signer.RevocationGrace
	o, err := signer.NewVerifier(cfg).OpenSigned(p7m, 100, dayOne)
	if !fault.Is(err, fault.Temporary) || !strings.Contains(fault.TextOf(err), " / ") || o.Content != nil || !o.By.Equal(id.Certificate) {
		t.Errorf("%q, %v", o.Content, err)
	}
}
