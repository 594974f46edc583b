// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/signer"
	"pecd/signer/pki"
)

// What OpenSSL signs, in the forms other providers may send.
func TestRFC6109_2_2_2_VerifiesWhatOpenSSLSigns(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	for name, c := range map[string]struct {
		tool string
		args []string
		hash crypto.Hash
	}{
		"cms":            {"cms", nil, crypto.SHA256},
		"smime":          {"smime", nil, crypto.SHA256},
		"sha1":           {"cms", []string{"-md", "sha1"}, crypto.SHA1},
		"sha384":         {"cms", []string{"-md", "sha384"}, crypto.SHA384},
		"sha512":         {"cms", []string{"-md", "sha512"}, crypto.SHA512},
		"smime sha1":     {"smime", []string{"-md", "sha1"}, crypto.SHA1},
		"no attributes":  {"cms", []string{"-noattr"}, crypto.SHA256},
		"smime noattr":   {"smime", []string{"-noattr", "-md", "sha1"}, crypto.SHA1},
		"key identifier": {"cms", []string{"-keyid"}, crypto.SHA256},
		"stream":         {"cms", []string{"-stream"}, crypto.SHA256},
		"indefinite":     {"cms", []string{"-indef"}, crypto.SHA256},
		"smime stream":   {"smime", []string{"-stream"}, crypto.SHA256},
		"cades":          {"cms", []string{"-cades"}, crypto.SHA256},
		"no caps":        {"cms", []string{"-nosmimecap"}, crypto.SHA256},
	} {
		t.Run(name, func(t *testing.T) {
			dir := workshop(t, ca, id)
			args := append([]string{c.tool, "-sign", "-binary", "-in", "entity", "-signer", "cert.pem", "-inkey", "key.pem",
				"-certfile", "ca.pem", "-outform", "DER", "-out", "p7s"}, c.args...)
			mustOpenSSL(t, dir, args...)
			v := verify(verifierFor(ca, id.Certificate), read(t, dir, "p7s"))
			wantStep(t, v, signer.StepOK)
			if v.Digest != c.hash || !v.Certificate.Equal(id.Certificate) || !v.OriginChecked || v.Origin.Provider != provider {
				t.Errorf("digest %v, origin %+v", v.Digest, v.Origin)
			}
			noAttrs := strings.Contains(strings.Join(c.args, " "), "-noattr")
			if v.SigningTime.IsZero() != noAttrs {
				t.Errorf("signing time %v", v.SigningTime)
			}
		})
	}
}

func TestVerifyECDSAFromOpenSSL(t *testing.T) {
	ca := testCA(t)
	id, err := ca.IssueSigner(provider, address, pki.WithECDSA())
	must(t, err)
	for _, md := range []string{"sha1", "sha256", "sha384"} {
		dir := workshop(t, ca, id)
		mustOpenSSL(t, dir, "cms", "-sign", "-binary", "-in", "entity", "-signer", "cert.pem", "-inkey", "key.pem", "-md", md, "-outform", "DER", "-out", "p7s")
		wantStep(t, verify(verifierFor(ca, id.Certificate), read(t, dir, "p7s")), signer.StepOK)
	}
}

// Of several signers the one in the index counts, wherever it stands.
func TestVerifyTwoSigners(t *testing.T) {
	ca := testCA(t)
	alfa := identity(t, ca)
	other, err := ca.IssueSigner("Altri", "altri@altri.example", pki.WithKey(rsaKey(t, "other", 2048)))
	must(t, err)
	dir := workshop(t, ca, alfa)
	key, err := pki.EncodeKey(other.Key, nil)
	must(t, err)
	write(t, dir, "key2.pem", key)
	write(t, dir, "cert2.pem", pki.EncodeCertificates(other.Certificate))
	for _, order := range [][]string{{"cert.pem", "key.pem", "cert2.pem", "key2.pem"}, {"cert2.pem", "key2.pem", "cert.pem", "key.pem"}} {
		mustOpenSSL(t, dir, "cms", "-sign", "-binary", "-in", "entity", "-signer", order[0], "-inkey", order[1],
			"-signer", order[2], "-inkey", order[3], "-outform", "DER", "-out", "p7s")
		p7s := read(t, dir, "p7s")
		v := verify(verifierFor(ca, alfa.Certificate), p7s)
		wantStep(t, v, signer.StepOK)
		if !v.Certificate.Equal(alfa.Certificate) {
			t.Error("the other signer was taken")
		}
		wantStep(t, verify(verifierFor(ca), p7s), signer.StepOrigin)
	}
}

func TestVerifyPSSIsRefusedClearly(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	dir := workshop(t, ca, id)
	mustOpenSSL(t, dir, "cms", "-sign", "-binary", "-in", "entity", "-signer", "cert.pem", "-inkey", "key.pem",
		"-keyopt", "rsa_padding_mode:pss", "-outform", "DER", "-out", "p7s")
	v := verify(verifierFor(ca, id.Certificate), read(t, dir, "p7s"))
	wantStep(t, v, signer.StepValue)
	if !strings.Contains(v.Reason, "RSA-PSS") || !strings.Contains(v.ReasonEN, "RSA-PSS") {
		t.Error(v.Reason)
	}
}

// Each step fails with its own name, and an earlier failure hides a later one.
func TestRFC6109_2_2_2_StepsInOrder(t *testing.T) {
	ca := testCA(t)
	stranger, err := pki.NewCA("Altra CA", epoch)
	must(t, err)
	good := identity(t, ca)
	untrusted := identity(t, stranger)
	short := identity(t, ca, pki.WithValidity(epoch, epoch.Add(time.Hour)))
	crl, err := ca.CRL(short.Certificate.SerialNumber, good.Certificate.SerialNumber)
	must(t, err)
	revoked := crlSource(t, crl)
	signed := func(id signer.Identity) []byte { return forgery{id: id}.build(t) }
	changed := append(bytes.Clone(entity), '!')
	for _, c := range []struct {
		name    string
		p7s     []byte
		content []byte
		from    string
		known   bool
		crls    signer.CRLSource
		require bool
		want    signer.Step
	}{
		{"no signature", nil, changed, "x", false, revoked, true, signer.StepExistence},
		{"no signer inside", forgery{id: good, noSigner: true}.build(t), changed, "x", false, revoked, true, signer.StepExistence},
		{"not CMS", []byte("<html>"), changed, "x", false, revoked, true, signer.StepForm},
		{"no certificate", forgery{id: good, noCerts: true}.build(t), changed, "x", true, revoked, true, signer.StepForm},
		{"unknown signer", signed(untrusted), changed, "x", false, revoked, true, signer.StepOrigin},
		{"changed content", signed(untrusted), changed, "x", true, revoked, true, signer.StepValue},
		{"untrusted CA", signed(untrusted), entity, "x", true, revoked, true, signer.StepChain},
		{"expired", signed(short), entity, "x", true, revoked, true, signer.StepTime},
		{"revoked", signed(good), entity, "x", true, revoked, true, signer.StepRevoked},
		{"no list", signed(good), entity, "x", true, nil, true, signer.StepUnknownRevocation},
		{"other From", signed(good), entity, "altro@alfa.example", true, nil, false, signer.StepAddress},
		{"no From", signed(good), entity, "", true, nil, false, signer.StepAddress},
		{"good", signed(good), entity, address, true, nil, false, signer.StepOK},
		{"From in capitals", signed(good), entity, strings.ToUpper(address), true, nil, false, signer.StepOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := signer.PECConfig(ca.Certificate())
			cfg.Origins, cfg.CRLs = indexOf(), c.crls
			if c.require {
				cfg.Revocation.Mode = signer.RevocationStrict
			}
			if c.known {
				cfg.Origins = indexOf(good.Certificate, untrusted.Certificate, short.Certificate)
			}
			v := signer.NewVerifier(cfg).Verify(c.p7s, bytes.NewReader(c.content), dayOne, c.from)
			wantStep(t, v, c.want)
			if v.OK() != (c.want == signer.StepOK) {
				t.Error("OK and Failed disagree")
			}
		})
	}
}

func TestVerifyWithoutIndexSaysSo(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	v := verify(signer.NewVerifier(signer.PECConfig(ca.Certificate())), forgery{id: id}.build(t))
	wantStep(t, v, signer.StepOK)
	if v.OriginChecked || v.Origin.Provider != "" {
		t.Errorf("origin %+v", v.Origin)
	}
}

func TestVerifyTampering(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	v := verifierFor(ca, id.Certificate)
	p7s := sign(t, newSigner(t, id), entity)
	flip := func(at int) []byte { b := bytes.Clone(p7s); b[at] ^= 1; return b }
	find := func(what []byte) int {
		i := bytes.LastIndex(p7s, what)
		if i < 0 {
			t.Fatal("not found")
		}
		return i
	}
	for name, bad := range map[string][]byte{
		"signature value": flip(len(p7s) - 10),
		"signing time":    flip(find([]byte("260602080000Z")) + 5),
		"message digest":  flip(find(sum(crypto.SHA256, entity))),
		"content type":    flip(find(der(t, pkcs7.OIDAttributeContentType)) + 24),
	} {
		t.Run(name, func(t *testing.T) { wantStep(t, verify(v, bad), signer.StepValue) })
	}
	for i := range entity {
		changed := bytes.Clone(entity)
		changed[i] ^= 0x20
		wantStep(t, v.Verify(p7s, bytes.NewReader(changed), dayOne, address), signer.StepValue)
	}
	wantStep(t, v.Verify(p7s, bytes.NewReader(entity[:len(entity)-1]), dayOne, address), signer.StepValue)
	wantStep(t, v.Verify(p7s, nil, dayOne, address), signer.StepValue)
}

// Whatever octet is damaged, the answer is a verdict; and a verdict that is OK
// is about the same signer.
func TestVerifyEveryOctetDamaged(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	v := verifierFor(ca, id.Certificate)
	for _, p7s := range [][]byte{sign(t, newSigner(t, id), entity), forgery{id: id, chunk: 9, opaque: true}.build(t)} {
		for i := range p7s {
			for _, flip := range []byte{0x01, 0x20, 0x80} {
				p7s[i] ^= flip
				got := verify(v, p7s)
				if got.OK() != (got.Reason == "") || got.OK() && !got.Certificate.Equal(id.Certificate) {
					t.Fatalf("octet %d ^ %#x: %+v", i, flip, got)
				}
				p7s[i] ^= flip
			}
		}
		for n := range p7s {
			if got := verify(v, p7s[:n]); got.OK() {
				t.Fatalf("%d octets of %d are accepted", n, len(p7s))
			}
		}
	}
}

// Unusual signatures that OpenSSL or the standards admit, and those that
// nobody should.
func TestVerifyUnusual(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	dataType := attr(t, pkcs7.OIDAttributeContentType, der(t, pkcs7.OIDData))
	goodDigest := tlv(0x04, sum(crypto.SHA256, entity))
	reverse := func(a [][]byte) [][]byte { return [][]byte{a[2], a[1], a[0]} }
	protection := func(digest, sig asn1.ObjectIdentifier) func([][]byte) [][]byte {
		return func(a [][]byte) [][]byte {
			value := tlv(0x30, tlv(0x30, der(t, digest)), tlv(0xa1, der(t, sig), []byte{5, 0}))
			return append(a, attr(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}, value))
		}
	}
	md5 := asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	for name, c := range map[string]struct {
		f    forgery
		want signer.Step
	}{
		"attributes out of order":             {forgery{attributes: reverse}, signer.StepOK},
		"sent unordered, signed in order":     {forgery{attributes: reverse, signSorted: true}, signer.StepOK},
		"subjectKeyIdentifier":                {forgery{keyID: true}, signer.StepOK},
		"no attributes":                       {forgery{attributes: func([][]byte) [][]byte { return nil }}, signer.StepOK},
		"sha256WithRSAEncryption":             {forgery{signOID: pkcs7.OIDEncryptionAlgorithmRSASHA256}, signer.StepOK},
		"sha1":                                {forgery{hash: crypto.SHA1, digestOID: pkcs7.OIDDigestAlgorithmSHA1}, signer.StepOK},
		"sha384":                              {forgery{hash: crypto.SHA384, digestOID: pkcs7.OIDDigestAlgorithmSHA384}, signer.StepOK},
		"indefinite lengths":                  {forgery{chunk: 7}, signer.StepOK},
		"content inside as well":              {forgery{opaque: true, chunk: 7}, signer.StepOK},
		"CMSAlgorithmProtection":              {forgery{attributes: protection(pkcs7.OIDDigestAlgorithmSHA256, pkcs7.OIDEncryptionAlgorithmRSA)}, signer.StepOK},
		"same signer twice":                   {forgery{signTwice: true}, signer.StepOK},
		"a certificate nobody can read":       {forgery{extraCerts: [][]byte{tlv(0x30, []byte{5, 0})}}, signer.StepOK},
		"an attribute certificate":            {forgery{extraCerts: [][]byte{tlv(0xa2, []byte{2, 1, 0})}}, signer.StepOK},
		"sha384WithRSAEncryption over sha256": {forgery{signOID: pkcs7.OIDEncryptionAlgorithmRSASHA384}, signer.StepValue},
		"ecdsa with an RSA key":               {forgery{signOID: pkcs7.OIDDigestAlgorithmECDSASHA256}, signer.StepValue},
		"pss value under another name":        {forgery{pss: true}, signer.StepValue},
		"md5":                                 {forgery{hash: crypto.SHA256, digestOID: md5}, signer.StepValue},
		"protection names another digest":     {forgery{attributes: protection(pkcs7.OIDDigestAlgorithmSHA1, pkcs7.OIDEncryptionAlgorithmRSA)}, signer.StepValue},
		"protection names another signature":  {forgery{attributes: protection(pkcs7.OIDDigestAlgorithmSHA256, pkcs7.OIDDigestAlgorithmECDSASHA256)}, signer.StepValue},
		"contentType is not data":             {forgery{contentType: pkcs7.OIDSignedData}, signer.StepValue},
		"encapsulated content is not data":    {forgery{outerType: pkcs7.OIDSignedData, contentType: pkcs7.OIDSignedData}, signer.StepValue},
		"no messageDigest":                    {forgery{attributes: func(a [][]byte) [][]byte { return a[:2] }}, signer.StepValue},
		"no contentType":                      {forgery{attributes: func(a [][]byte) [][]byte { return a[1:] }}, signer.StepValue},
		"two messageDigests":                  {forgery{attributes: func(a [][]byte) [][]byte { return append(a, a[2]) }}, signer.StepValue},
		"messageDigest with two values": {forgery{attributes: func(a [][]byte) [][]byte {
			return [][]byte{dataType, attr(t, pkcs7.OIDAttributeMessageDigest, goodDigest, goodDigest)}
		}}, signer.StepValue},
		"messageDigest without value": {forgery{attributes: func(a [][]byte) [][]byte { return [][]byte{dataType, attr(t, pkcs7.OIDAttributeMessageDigest)} }}, signer.StepValue},
		"messageDigest is no OCTET STRING": {forgery{attributes: func(a [][]byte) [][]byte {
			return [][]byte{dataType, attr(t, pkcs7.OIDAttributeMessageDigest, []byte{5, 0})}
		}}, signer.StepValue},
		"attribute that is none": {forgery{attributes: func(a [][]byte) [][]byte { return append(a, []byte{5, 0}) }}, signer.StepValue},
		"a hundred attributes": {forgery{attributes: func(a [][]byte) [][]byte {
			return append(a, bytes.Split(bytes.Repeat([]byte("0\x00,"), 100), []byte(","))...)
		}}, signer.StepValue},
		"digest of something else": {forgery{content: []byte("altro")}, signer.StepValue},
		"certificates without end": {forgery{extraCerts: bytes.Split(bytes.Repeat([]byte("0\x00,"), 100), []byte(","))}, signer.StepForm},
		"signing time that cannot be read": {forgery{attributes: func(a [][]byte) [][]byte {
			return [][]byte{a[0], a[2], attr(t, pkcs7.OIDAttributeSigningTime, []byte{5, 0})}
		}}, signer.StepOK},
	} {
		t.Run(name, func(t *testing.T) {
			c.f.id = id
			v := verify(verifierFor(ca, id.Certificate), c.f.build(t))
			wantStep(t, v, c.want)
		})
	}
}

func TestVerifyNonMinimalLengthsAndTrailingOctets(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	p7s := sign(t, newSigner(t, id), entity)
	long := append([]byte{0x30, 0x84, 0, 0}, p7s[2:]...) // 30 82 xx xx -> 30 84 00 00 xx xx
	wantStep(t, verify(verifierFor(ca, id.Certificate), long), signer.StepOK)
	wantStep(t, verify(verifierFor(ca, id.Certificate), append(bytes.Clone(p7s), "\r\n"...)), signer.StepOK)
	wantStep(t, verify(verifierFor(ca, id.Certificate), p7s[:len(p7s)-1]), signer.StepForm)
}

// Some signers encode the issuer's name anew: PrintableString becomes UTF8String.
func TestVerifyIssuerNameInAnotherStringType(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	p7s := sign(t, newSigner(t, id), entity)
	at := bytes.LastIndex(p7s, id.Certificate.RawIssuer)
	name := p7s[at : at+len(id.Certificate.RawIssuer)]
	changed := bytes.ReplaceAll(name, append([]byte{0x13, 11}, "CA di prova"...), append([]byte{0x0c, 11}, "CA di prova"...))
	if bytes.Equal(changed, name) {
		t.Fatal("nothing to change")
	}
	copy(name, changed)
	wantStep(t, verify(verifierFor(ca, id.Certificate), p7s), signer.StepOK)
}

func TestVerifySHA1Policy(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	p7s := forgery{id: id, hash: crypto.SHA1, digestOID: pkcs7.OIDDigestAlgorithmSHA1}.build(t)
	cfg := signer.PECConfig(ca.Certificate())
	cfg.AllowSHA1Digests = false
	v := verify(signer.NewVerifier(cfg), p7s)
	wantStep(t, v, signer.StepValue)
	if !strings.Contains(v.Reason, "SHA-1") {
		t.Error(v.Reason)
	}
}

// A content that cannot be read is no verdict on the signature.
func TestVerifyReadErrorIsNoVerdict(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	broken := errors.New("disk gone")
	v := verifierFor(ca, id.Certificate).Verify(sign(t, newSigner(t, id), entity), iotest.ErrReader(broken), dayOne, address)
	wantStep(t, v, signer.StepRead)
	if !errors.Is(v.Err, broken) || v.OK() {
		t.Errorf("%v", v.Err)
	}
}

// counted counts what is read of the content.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) { n, err := c.Reader.Read(p); c.n += n; return n, err }

func TestVerifyReadsTheContentOnceAndOnlyWhenNeeded(t *testing.T) {
	ca := testCA(t)
	id := identity(t, ca)
	p7s := sign(t, newSigner(t, id), entity)
	c := &counted{Reader: bytes.NewReader(entity)}
	wantStep(t, verifierFor(ca, id.Certificate).Verify(p7s, c, dayOne, address), signer.StepOK)
	if c.n != len(entity) {
		t.Errorf("read %d octets", c.n)
	}
	c = &counted{Reader: bytes.NewReader(entity)}
	wantStep(t, verifierFor(ca).Verify(p7s, c, dayOne, address), signer.StepOrigin)
	if c.n != 0 {
		t.Errorf("read %d octets of a message from nobody", c.n)
	}
}

// Hostile signatures are refused before they cost anything.
func TestVerifyRefusesBombsQuickly(t *testing.T) {
	ca := testCA(t)
	v := verifierFor(ca)
	for name, bomb := range map[string][]byte{
		"4 MB nested":                   bytes.Repeat([]byte{0x30, 0x80}, 2<<20),
		"200 kB nested":                 bytes.Repeat([]byte{0x30, 0x80}, 100<<10),
		"200 kB nested strings":         bytes.Repeat([]byte{0x24, 0x80}, 100<<10),
		"200 kB nested closed":          append(bytes.Repeat([]byte{0x30, 0x80}, 50<<10), make([]byte, 100<<10)...),
		"oversized":                     append(tlv(0x30, make([]byte, 4)), make([]byte, signer.MaxSignatureBytes)...),
		"many small elements":           tlv(0x30, bytes.Repeat([]byte{5, 0}, 100<<10)),
		"many open siblings":            indefinite(0x30, bytes.Repeat([]byte{0x30, 0x80, 0, 0}, 60<<10)),
		"length of a petabyte":          {0x30, 0x87, 1, 1, 1, 1, 1, 1, 1},
		"length beyond sixty-four bits": {0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			wantStep(t, verify(v, bomb), signer.StepForm)
			if d := time.Since(start); d > 500*time.Millisecond {
				t.Errorf("took %v", d)
			}
		})
	}
}
