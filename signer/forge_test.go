// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"testing"

	"go.mozilla.org/pkcs7"

	"pecd/signer"
)

// forgery is a CMS signature put together by hand, so that each part of it can
// be wrong or unusual.
type forgery struct {
	id          signer.Identity
	content     []byte // what the messageDigest is over
	opaque      bool   // content inside
	chunk       int    // content in chunks, indefinite lengths throughout
	hash        crypto.Hash
	digestOID   asn1.ObjectIdentifier
	signOID     asn1.ObjectIdentifier
	contentType asn1.ObjectIdentifier // of the attribute
	outerType   asn1.ObjectIdentifier // of the encapsulated content
	attributes  func(usual [][]byte) [][]byte
	signSorted  bool // sign the DER order whatever is sent
	pss         bool
	keyID       bool
	noSigner    bool
	noCerts     bool
	extraCerts  [][]byte
	signTwice   bool
}

// tlv encodes one element with a definite, minimal length.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	out := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	case n < 0x10000:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, body...)
}

// indefinite encodes one constructed element with an indefinite length.
func indefinite(tag byte, parts ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	must(t, err)
	return b
}

func attr(t testing.TB, oid asn1.ObjectIdentifier, values ...[]byte) []byte {
	return tlv(0x30, der(t, oid), tlv(0x31, values...))
}

func sum(h crypto.Hash, b []byte) []byte {
	f := h.New()
	f.Write(b)
	return f.Sum(nil)
}

// build returns the encoded ContentInfo.
func (f forgery) build(t testing.TB) []byte {
	t.Helper()
	if f.content == nil {
		f.content = entity
	}
	if f.hash == 0 {
		f.hash, f.digestOID = crypto.SHA256, pkcs7.OIDDigestAlgorithmSHA256
	}
	if f.signOID == nil {
		f.signOID = pkcs7.OIDEncryptionAlgorithmRSA
	}
	if f.contentType == nil {
		f.contentType = pkcs7.OIDData
	}
	if f.outerType == nil {
		f.outerType = pkcs7.OIDData
	}
	null := []byte{5, 0}
	attrs := [][]byte{
		attr(t, pkcs7.OIDAttributeContentType, der(t, f.contentType)),
		attr(t, pkcs7.OIDAttributeSigningTime, der(t, dayOne)),
		attr(t, pkcs7.OIDAttributeMessageDigest, tlv(0x04, sum(f.hash, f.content))),
	}
	if f.attributes != nil {
		attrs = f.attributes(attrs)
	}
	signed := tlv(0x31, attrs...)
	if f.signSorted {
		signed = tlv(0x31, sortedAttributes(attrs)...)
	}
	over := sum(f.hash, signed)
	if len(attrs) == 0 {
		over = sum(f.hash, f.content)
	}
	var opts crypto.SignerOpts = f.hash
	if f.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: f.hash}
	}
	value, err := f.id.Key.Sign(rand.Reader, over, opts)
	must(t, err)
	sid := tlv(0x30, f.id.Certificate.RawIssuer, der(t, f.id.Certificate.SerialNumber))
	if f.keyID {
		sid = tlv(0x80, f.id.Certificate.SubjectKeyId)
	}
	info := [][]byte{{2, 1, 1}, sid, tlv(0x30, der(t, f.digestOID), null)}
	if len(attrs) > 0 {
		info = append(info, tlv(0xa0, attrs...))
	}
	info = append(info, tlv(0x30, der(t, f.signOID), null), tlv(0x04, value))
	signers := tlv(0x30, info...)
	if f.signTwice {
		signers = append(bytes.Clone(signers), signers...)
	}
	if f.noSigner {
		signers = nil
	}
	certs := append([][]byte{f.id.Certificate.Raw}, f.extraCerts...)
	if f.noCerts {
		certs = f.extraCerts
	}
	wrap := tlv
	if f.chunk > 0 {
		wrap = indefinite
	}
	encap := der(t, f.outerType)
	if f.opaque {
		octets := tlv(0x04, f.content)
		if f.chunk > 0 {
			var chunks [][]byte
			for rest := f.content; len(rest) > 0; {
				n := min(f.chunk, len(rest))
				chunks = append(chunks, tlv(0x04, rest[:n]))
				rest = rest[n:]
			}
			octets = indefinite(0x24, chunks...)
		}
		encap = append(encap, wrap(0xa0, octets)...)
	}
	return wrap(0x30, der(t, pkcs7.OIDSignedData), wrap(0xa0, wrap(0x30,
		[]byte{2, 1, 1},
		tlv(0x31, tlv(0x30, der(t, f.digestOID), null)),
		wrap(0x30, encap),
		wrap(0xa0, certs...),
		tlv(0x31, signers),
	)))
}

// sortedAttributes returns the attributes in DER order.
func sortedAttributes(attrs [][]byte) [][]byte {
	out := make([][]byte, 0, len(attrs))
	for _, a := range attrs {
		i := 0
		for i < len(out) && bytes.Compare(out[i], a) < 0 {
			i++
		}
		out = append(out[:i], append([][]byte{a}, out[i:]...)...)
	}
	return out
}

// signWith signs octets with RSA and SHA-256.
func signWith(t testing.TB, key crypto.Signer, b []byte) []byte {
	t.Helper()
	value, err := key.Sign(rand.Reader, sum(crypto.SHA256, b), crypto.SHA256)
	must(t, err)
	return value
}
