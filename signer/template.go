// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"io"
	"time"

	"go.mozilla.org/pkcs7"
)

// template is the CMS structure of one signer, of which attributes and value
// alone change from signature to signature. The library builds the structure
// once; the constant octets are taken out of it. Building it anew each time took
// a tenth of the time of an RSA-2048 signature.
type template struct {
	outer  []byte // contentType of ContentInfo
	signed []byte // version, digestAlgorithms, encapContentInfo, certificates of SignedData
	info   []byte // version, sid, digestAlgorithm of SignerInfo
	sigAlg []byte // its signatureAlgorithm
}

// newTemplate returns the template for an identity.
func newTemplate(id Identity, alg algorithm) (t template, err error) {
	example, err := signedByLibrary(id, alg)
	if err != nil {
		return t, err
	}
	oid, body, err := signedDataFields(derReader(example))
	if err != nil {
		return t, err
	}
	t.outer = oid.full
	rest := body
	for _, tag := range []byte{tagInteger, tagSet, tagSequence, tagCtx0} {
		e, err := rest.expect(tag)
		if err != nil {
			return t, err
		}
		t.signed = append(t.signed, e.full...)
	}
	infos, err := rest.expect(tagSet)
	if err != nil {
		return t, err
	}
	r := derReader(infos.body)
	info, err := r.expect(tagSequence)
	if err != nil {
		return t, err
	}
	r = derReader(info.body)
	for _, tag := range []byte{tagInteger, tagSequence, tagSequence} {
		e, err := r.expect(tag)
		if err != nil {
			return t, err
		}
		t.info = append(t.info, e.full...)
	}
	algID, err := r.expect(tagSequence)
	if err != nil {
		return t, err
	}
	t.sigAlg = algID.full
	_, err = r.expect(tagOctetString)
	return t, errors.Join(err, r.end(), rest.end())
}

// signedByLibrary returns the structure without signed attributes, around an
// empty value. The library would hash the content itself, sign with concrete key
// types only and take the time from the machine; given a finished value it does
// none of these.
func signedByLibrary(id Identity, alg algorithm) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(nil)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	sd.SetEncryptionAlgorithm(alg.oid)
	if err := sd.SignWithoutAttr(id.Certificate, finished{pub: id.Certificate.PublicKey}, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, ca := range id.Chain {
		sd.AddCertificate(ca)
	}
	sd.Detach()
	if alg.null {
		sd.GetSignedData().SignerInfos[0].DigestEncryptionAlgorithm.Parameters = asn1.NullRawValue
	}
	return sd.Finish()
}

// finished is a key that returns an empty signature.
type finished struct{ pub crypto.PublicKey }

// Public implements crypto.Signer.
func (f finished) Public() crypto.PublicKey { return f.pub }

// Sign implements crypto.Signer.
func (finished) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte{}, nil }

// fill returns the CMS with the contents of signedAttrs and the value.
func (t *template) fill(attrs, value []byte) []byte {
	info := len(t.info) + elementSize(len(attrs)) + len(t.sigAlg) + elementSize(len(value))
	signed := len(t.signed) + elementSize(elementSize(info))
	outer := len(t.outer) + elementSize(elementSize(signed))

	out := make([]byte, 0, elementSize(outer))
	out = appendHeader(out, tagSequence, outer)
	out = append(out, t.outer...)
	out = appendHeader(out, tagCtx0, elementSize(signed))
	out = appendHeader(out, tagSequence, signed)
	out = append(out, t.signed...)
	out = appendHeader(out, tagSet, elementSize(info))
	out = appendHeader(out, tagSequence, info)
	out = append(out, t.info...)
	out = appendElement(out, tagCtx0, attrs) // [0] IMPLICIT, in place of SET
	out = append(out, t.sigAlg...)
	return appendElement(out, tagOctetString, value)
}

// appendElement appends a whole element.
func appendElement(out []byte, tag byte, body []byte) []byte {
	return append(appendHeader(out, tag, len(body)), body...)
}

// The heads of the three attributes (RFC 5652 §11), up to their values: SEQUENCE,
// OBJECT IDENTIFIER 1.2.840.113549.1.9.x, SET.
const (
	attrContentType = "\x30\x18\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03\x31\x0b" +
		"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" // its value, id-data, as well
	attrUTCTime         = "\x30\x1c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x0f\x17\x0d"
	attrGeneralizedTime = "\x30\x1e\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05\x31\x11\x18\x0f"
	attrMessageDigest   = "\x30\x2f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04\x31\x22\x04\x20"
)

// signedAttributes returns the contents of SET OF Attribute: contentType,
// signingTime, messageDigest, which is their order in DER (X.690 §11.6) whatever
// their values. Times are UTCTime from 1950 to 2049 (RFC 5652 §11.3).
func signedAttributes(sum [sha256.Size]byte, at time.Time) []byte {
	out := make([]byte, 0, 128)
	out = append(out, attrContentType...)
	if at = at.UTC(); at.Year() >= 1950 && at.Year() < 2050 {
		out = append(out, attrUTCTime...)
		out = at.AppendFormat(out, "060102150405Z")
	} else {
		out = append(out, attrGeneralizedTime...)
		out = at.AppendFormat(out, "20060102150405Z")
	}
	out = append(out, attrMessageDigest...)
	return append(out, sum[:]...)
}
