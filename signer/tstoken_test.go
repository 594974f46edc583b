// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

var (
	oidTSTInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidESS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidESSv2   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidEKU     = asn1.ObjectIdentifier{2, 5, 29, 37}
	sha256ID   = []byte{0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}
	sha512ID   = []byte{0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3}
)

// stampForgery is a time stamp put together by hand.
type stampForgery struct {
	version    byte
	algorithm  []byte
	sum        []byte
	time       []byte // the element
	nonce      *big.Int
	rest       []byte // what follows the nonce
	infoSuffix []byte
	status     byte
	suffix     []byte // behind the response
	ess        []byte // the attribute; nil leaves it out
	sign       forgery
}

// stampTime encodes a genTime.
func stampTime(at time.Time) []byte {
	return tlv(0x18, []byte(at.UTC().Format("20060102150405")+"Z"))
}

// essV2 is the attribute for a certificate, with the default digest.
func essV2(t testing.TB, c *x509.Certificate) []byte {
	id := sha256.Sum256(c.Raw)
	return attr(t, oidESSv2, tlv(0x30, tlv(0x30, tlv(0x30, tlv(0x04, id[:])))))
}

// newStampForgery is a good one.
func newStampForgery(t testing.TB, id signer.Identity, sum [32]byte, at time.Time) *stampForgery {
	return &stampForgery{version: 1, algorithm: sha256ID, sum: sum[:], time: stampTime(at), ess: essV2(t, id.Certificate),
		sign: forgery{id: id, opaque: true, outerType: oidTSTInfo, contentType: oidTSTInfo}}
}

func (f *stampForgery) build(t testing.TB) []byte {
	t.Helper()
	fields := [][]byte{{2, 1, f.version}, der(t, asn1.ObjectIdentifier{1, 2, 3, 4, 1}), tlv(0x30, f.algorithm, tlv(0x04, f.sum)), {2, 1, 7}, f.time}
	if f.nonce != nil {
		fields = append(fields, der(t, f.nonce))
	}
	s := f.sign
	if s.content == nil {
		s.content = append(tlv(0x30, append(fields, f.rest)...), f.infoSuffix...)
	}
	if s.attributes == nil {
		s.attributes = func(usual [][]byte) [][]byte {
			if f.ess != nil {
				usual = append(usual, f.ess)
			}
			return usual
		}
	}
	return append(tlv(0x30, tlv(0x30, []byte{2, 1, f.status}), s.build(t)), f.suffix...)
}

// TestRFC3161_HostileStamps: each forgery lacks one thing, or is odd in one.
func TestRFC3161_HostileStamps(t *testing.T) {
	ca, id := tsa(t)
	stranger, err := pki.NewCA("CA delle marche", time.Now().Add(-time.Hour))
	must(t, err)
	now := time.Now().Truncate(time.Second)
	sum := sha256.Sum256([]byte("un giorno"))
	mailTemplate := caTemplate("CA della posta", 1, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })
	mailKey := rsaKey(t, "root", 2048)
	mail := pki.Open(issue(t, mailTemplate, mailTemplate, mailKey.Public(), mailKey), mailKey, 2, now.Add(-time.Hour))
	issue := func(ca *pki.CA, opts ...pki.Option) func(*stampForgery) {
		return func(f *stampForgery) {
			id, err := ca.IssueTSA("TSA di prova", append([]pki.Option{pki.WithKey(rsaKey(t, "tsa", 2048))}, opts...)...)
			must(t, err)
			f.sign.id, f.ess = id, essV2(t, id.Certificate)
		}
	}
	twin, err := ca.IssueTSA("TSA di prova", pki.WithKey(rsaKey(t, "tsa", 2048)))
	must(t, err)
	v1, v2 := sha1.Sum(id.Certificate.Raw), sha256.Sum256(id.Certificate.Raw)
	two, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}, {1, 3, 6, 1, 5, 5, 7, 3, 4}})
	must(t, err)
	odd, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}, {1, 2, 3}})
	must(t, err)
	for name, c := range map[string]struct {
		change func(*stampForgery)
		kind   fault.Kind
		reason string // "": it holds
	}{
		"good":               {func(*stampForgery) {}, 0, ""},
		"with modifications": {func(f *stampForgery) { f.status = 1 }, 0, ""},
		"indefinite lengths": {func(f *stampForgery) { f.sign.chunk = 10 }, 0, ""},
		"fraction":           {func(f *stampForgery) { f.time = tlv(0x18, []byte(now.UTC().Format("20060102150405")+".5Z")) }, 0, ""},
		"plain extension":    {func(f *stampForgery) { f.rest = tlv(0xa1, tlv(0x30, []byte{6, 2, 0x2a, 3}, tlv(0x04, nil))) }, 0, ""},
		"old attribute":      {func(f *stampForgery) { f.ess = attr(t, oidESS, tlv(0x30, tlv(0x30, tlv(0x30, tlv(0x04, v1[:]))))) }, 0, ""},
		"named by digest": {func(f *stampForgery) {
			f.ess = attr(t, oidESSv2, tlv(0x30, tlv(0x30, tlv(0x30, sha256ID, tlv(0x04, v2[:])))))
		}, 0, ""},
		"named by key":       {func(f *stampForgery) { f.sign.keyID = true }, 0, ""},
		"anchor itself":      {issue(ca, pki.WithValidity(now.Add(-time.Minute), now.Add(time.Hour))), 0, ""},
		"other imprint":      {func(f *stampForgery) { f.sum = v2[:] }, fault.Denied, "another content"},
		"imprint cut":        {func(f *stampForgery) { f.sum = f.sum[:31] }, fault.Denied, "another content"},
		"other algorithm":    {func(f *stampForgery) { f.algorithm = sha512ID }, fault.Denied, "another content"},
		"refused":            {func(f *stampForgery) { f.status = 2 }, fault.Temporary, "status 2"},
		"negative status":    {func(f *stampForgery) { f.status = 0xff }, fault.Temporary, "status -1"},
		"data behind":        {func(f *stampForgery) { f.suffix = []byte{0} }, fault.Invalid, "after an element"},
		"data behind inside": {func(f *stampForgery) { f.infoSuffix = []byte{5, 0} }, fault.Invalid, "after an element"},
		"field too many":     {func(f *stampForgery) { f.rest = []byte{5, 0} }, fault.Invalid, "after an element"},
		"version 2":          {func(f *stampForgery) { f.version = 2 }, fault.Invalid, "version"},
		"critical extension": {func(f *stampForgery) {
			f.rest = tlv(0xa1, tlv(0x30, []byte{6, 2, 0x2a, 3}, []byte{1, 1, 0xff}, tlv(0x04, nil)))
		}, fault.Invalid, "critical"},
		"local time":         {func(f *stampForgery) { f.time = tlv(0x18, []byte("20260601080000")) }, fault.Invalid, "UTC"},
		"offset":             {func(f *stampForgery) { f.time = tlv(0x18, []byte("20260601080000+0200")) }, fault.Invalid, "UTC"},
		"month 13":           {func(f *stampForgery) { f.time = tlv(0x18, []byte("20261301080000Z")) }, fault.Invalid, "month"},
		"two-digit year":     {func(f *stampForgery) { f.time = tlv(0x17, []byte("260601080000Z")) }, fault.Invalid, "unexpected element"},
		"mail content":       {func(f *stampForgery) { f.sign.outerType, f.sign.contentType = pkcs7.OIDData, pkcs7.OIDData }, fault.Invalid, "no time stamp"},
		"no content":         {func(f *stampForgery) { f.sign.opaque = false }, fault.Invalid, "missing"},
		"two signers":        {func(f *stampForgery) { f.sign.signTwice = true }, fault.Invalid, "one signer"},
		"no signer":          {func(f *stampForgery) { f.sign.noSigner = true }, fault.Invalid, "one signer"},
		"no certificate":     {func(f *stampForgery) { f.sign.noCerts = true }, fault.Denied, "certificate is missing"},
		"attribute of mail":  {func(f *stampForgery) { f.sign.contentType = pkcs7.OIDData }, fault.Denied, "contentType"},
		"no attributes":      {func(f *stampForgery) { f.sign.attributes = func([][]byte) [][]byte { return nil } }, fault.Denied, "no signed attributes"},
		"no ESS attribute":   {func(f *stampForgery) { f.ess = nil }, fault.Denied, "does not name"},
		"twin's certificate": {func(f *stampForgery) { f.sign.id = twin }, fault.Denied, "does not name"},
		"ESS of SHA-1 in v2": {func(f *stampForgery) {
			f.ess = attr(t, oidESSv2, tlv(0x30, tlv(0x30, tlv(0x30, []byte{0x30, 7, 6, 5, 0x2b, 14, 3, 2, 26}, tlv(0x04, v1[:])))))
		}, fault.Denied, "SHA-1"},
		"ESS empty":    {func(f *stampForgery) { f.ess = attr(t, oidESSv2) }, fault.Denied, "missing"},
		"other signer": {issue(stranger), fault.Denied, "CA's signature"},
		"self-signed": {func(f *stampForgery) {
			f.sign.id = signer.Identity{Certificate: stranger.Certificate(), Key: stranger.Key()}
			f.ess = essV2(t, stranger.Certificate())
		}, fault.Denied, "time stamps alone"},
		"no EKU":              {issue(ca, pki.WithoutExtension(oidEKU)), fault.Denied, "time stamps alone"},
		"EKU not critical":    {issue(ca, pki.WithCritical(oidEKU, false)), fault.Denied, "time stamps alone"},
		"EKU of mail too":     {issue(ca, pki.WithExtension(oidEKU, true, two)), fault.Denied, "time stamps alone"},
		"EKU of unknown kind": {issue(ca, pki.WithExtension(oidEKU, true, odd)), fault.Denied, "time stamps alone"},
		"CA for mail alone":   {issue(mail), fault.Denied, "CA is not for this use"},
		"a mail certificate":  {func(f *stampForgery) { f.sign.id = identity(t, ca); f.ess = essV2(t, f.sign.id.Certificate) }, fault.Denied, "time stamps alone"},
		"certificate expired": {issue(ca, pki.WithValidity(now.Add(-time.Hour), now.Add(-time.Second))), fault.Denied, "expired"},
		"not yet valid":       {issue(ca, pki.WithValidity(now.Add(time.Second), now.Add(time.Hour))), fault.Denied, "not yet valid"},
		"value changed": {func(f *stampForgery) {
			f.sign.id.Key = rsaKey(t, "leaf", 2048)
		}, fault.Denied, "signature value"},
		"SHA-1 digest": {func(f *stampForgery) {
			f.sign.hash, f.sign.digestOID = crypto.SHA1, pkcs7.OIDDigestAlgorithmSHA1
		}, fault.Denied, "SHA-1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStampForgery(t, id, sum, now)
			c.change(f)
			roots := []*x509.Certificate{ca.Certificate()}
			switch name {
			case "anchor itself":
				roots = []*x509.Certificate{f.sign.id.Certificate}
			case "CA for mail alone":
				roots = []*x509.Certificate{mail.Certificate()}
			}
			response := f.build(t)
			at, err := signer.VerifyStamp(response, sum, roots)
			if c.reason == "" {
				if err != nil || !at.Truncate(time.Second).Equal(now) {
					t.Fatalf("%v, %v", at, err)
				}
				return
			}
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.reason) || !at.IsZero() {
				t.Fatalf("%v, %v", at, err)
			}
			if !strings.Contains(fault.TextOf(err), " / ") {
				t.Errorf("text %q", fault.TextOf(err))
			}
		})
	}
}

// TestStampCut: a stamp that lost its end, or any octet of which was changed,
// does not become another one.
func TestStampCut(t *testing.T) {
	ca, id := tsa(t)
	now, sum := time.Now().Truncate(time.Second), sha256.Sum256([]byte("un giorno"))
	roots := []*x509.Certificate{ca.Certificate()}
	good := newStampForgery(t, id, sum, now).build(t)
	for n := range good {
		if _, err := signer.VerifyStamp(good[:n], sum, roots); err == nil {
			t.Fatalf("the first %d octets are a stamp", n)
		}
		changed := bytes.Clone(good)
		changed[n] ^= 1 << (n % 8)
		if at, err := signer.VerifyStamp(changed, sum, roots); err == nil && !at.Equal(now) {
			t.Errorf("octet %d changed: stamped at %v", n, at)
		}
	}
}

// TestStampNonce: a stamp that holds, of another request, is no answer.
func TestStampNonce(t *testing.T) {
	ca, id := tsa(t)
	sum := sha256.Sum256([]byte("un giorno"))
	for name, c := range map[string]struct {
		nonce func(sent *big.Int) *big.Int
		ok    bool
	}{
		"ours":  {func(n *big.Int) *big.Int { return n }, true},
		"other": {func(n *big.Int) *big.Int { return new(big.Int).Add(n, big.NewInt(1)) }, false},
		"none":  {func(*big.Int) *big.Int { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(map[string]bool)
			s := newListServer(t, func(w http.ResponseWriter, r *http.Request) {
				query, err := io.ReadAll(r.Body)
				var req struct {
					Version int
					Imprint struct {
						Algorithm pkix.AlgorithmIdentifier
						Sum       []byte
					}
					Policy  asn1.ObjectIdentifier `asn1:"optional"`
					Nonce   *big.Int
					CertReq bool
				}
				if _, bad := asn1.Unmarshal(query, &req); err != nil || bad != nil {
					t.Errorf("request: %v, %v", err, bad)
					return
				}
				sent[req.Nonce.String()] = true
				f := newStampForgery(t, id, sum, time.Now())
				f.nonce = c.nonce(req.Nonce)
				w.Header().Set("Content-Type", "application/timestamp-reply")
				w.Write(f.build(t))
			})
			stamper := &signer.TimeStamper{URL: s.URL, Authorities: []*x509.Certificate{ca.Certificate()}, Clock: clock.System{}}
			for range 2 {
				if _, _, err := stamper.Stamp(context.Background(), sum); (err == nil) != c.ok || err != nil && (!fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "another request")) {
					t.Error(err)
				}
			}
			if len(sent) != 2 {
				t.Error("a nonce was used twice")
			}
			stamper.Policy = asn1.ObjectIdentifier{1, 2, 3, 4, 5}
			if _, _, err := stamper.Stamp(context.Background(), sum); err == nil {
				t.Error("a stamp under another policy was accepted")
			}
		})
	}
}

// FuzzStamp feeds the reader of time stamps whatever looks like one.
func FuzzStamp(f *testing.F) {
	ca, id := tsa(f)
	sum := sha256.Sum256([]byte("un giorno"))
	good := newStampForgery(f, id, sum, time.Now())
	f.Add(good.build(f))
	good.rest = tlv(0xa1, tlv(0x30, []byte{6, 2, 0x2a, 3}, tlv(0x04, nil)))
	good.sign.chunk = 9
	f.Add(good.build(f))
	f.Add(tlv(0x30, tlv(0x30, []byte{2, 1, 2}, tlv(0x30, tlv(0x0c, []byte("no"))))))
	other := sha256.Sum256([]byte("un altro giorno"))
	f.Fuzz(func(t *testing.T, response []byte) {
		if _, err := signer.VerifyStamp(response, sum, []*x509.Certificate{ca.Certificate()}); err != nil && fault.KindOf(err) == fault.Internal {
			t.Error(err)
		}
		if _, err := signer.VerifyStamp(response, other, []*x509.Certificate{ca.Certificate()}); err == nil {
			t.Error("a stamp of what nobody stamped")
		}
	})
}
