// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"go.mozilla.org/pkcs7"
)

// Object identifiers the library has no name for, and short names for the rest.
var (
	oidData          = pkcs7.OIDData
	oidContentType   = pkcs7.OIDAttributeContentType
	oidMessageDigest = pkcs7.OIDAttributeMessageDigest
	oidSigningTime   = pkcs7.OIDAttributeSigningTime
	oidRSA           = pkcs7.OIDEncryptionAlgorithmRSA
	oidECDSASHA256   = pkcs7.OIDDigestAlgorithmECDSASHA256
	oidRSAPSS        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidECPublicKey   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	// oidProtection is CMSAlgorithmProtection (RFC 6211).
	oidProtection = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
)

// Counts no PEC signature comes near.
const (
	maxSignerInfos  = 16
	maxCertificates = 64
	maxAttributes   = 64
)

// signedData is a CMS SignedData as read (RFC 5652 §5.1). The slices point into
// the transcoded input.
//
// The library's Parse is not used for what comes from outside: it recurses as
// deep as the input says, ignores errors of the structure, knows no
// subjectKeyIdentifier, refuses a whole signature for one certificate that
// crypto/x509 dislikes, and re-orders attributes before it checks them.
type signedData struct {
	contentType  asn1.ObjectIdentifier
	content      []byte // eContent; nil when detached
	certificates []*x509.Certificate
	refused      int // certificates that crypto/x509 does not read
	signers      []signerInfo
}

// readSignedData reads a ContentInfo with a SignedData, BER or DER.
func readSignedData(ber []byte, lim berLimits) (*signedData, error) {
	der, err := transcodeBER(ber, lim)
	if err != nil {
		return nil, err
	}
	_, fields, err := signedDataFields(derReader(der))
	if err != nil {
		return nil, err
	}
	return readSignedDataBody(fields)
}

// signedDataFields takes a ContentInfo and returns its content type, which is
// signed data, and the fields of the SignedData inside.
func signedDataFields(r derReader) (kind element, fields derReader, err error) {
	info, err := r.expect(tagSequence)
	if err != nil {
		return kind, nil, err
	}
	r = derReader(info.body)
	if kind, err = r.expect(tagOID); err != nil {
		return kind, nil, err
	}
	named := derReader(kind.full)
	oid, err := named.oid()
	if err != nil {
		return kind, nil, err
	}
	if !oid.Equal(pkcs7.OIDSignedData) {
		return kind, nil, fmt.Errorf("CMS: content type %s is not signed data", oid)
	}
	outer, err := r.expect(tagCtx0)
	if err != nil {
		return kind, nil, err
	}
	r = derReader(outer.body)
	sd, err := r.expect(tagSequence)
	return kind, derReader(sd.body), err
}

// readSignedDataBody reads the fields of a SignedData.
func readSignedDataBody(r derReader) (*signedData, error) {
	if _, err := r.expect(tagInteger); err != nil { // version: follows from the contents
		return nil, err
	}
	if _, err := r.expect(tagSet); err != nil { // digestAlgorithms: each signer repeats its own
		return nil, err
	}
	sd := new(signedData)
	encap, err := r.expect(tagSequence)
	if err != nil {
		return nil, err
	}
	if err := sd.readContent(derReader(encap.body)); err != nil {
		return nil, err
	}
	certs, _, err := r.optional(tagCtx0)
	if err != nil {
		return nil, err
	}
	if err := sd.readCertificates(certs.body); err != nil {
		return nil, err
	}
	if _, _, err := r.optional(tagCtx1); err != nil { // crls: ours come from the CA itself
		return nil, err
	}
	signers, err := r.expect(tagSet)
	if err != nil {
		return nil, err
	}
	list, err := elements(signers.body, maxSignerInfos)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		si, err := readSignerInfo(e)
		if err != nil {
			return nil, err
		}
		sd.signers = append(sd.signers, si)
	}
	return sd, r.end()
}

// readContent reads an EncapsulatedContentInfo.
func (sd *signedData) readContent(r derReader) (err error) {
	if sd.contentType, err = r.oid(); err != nil {
		return err
	}
	wrapped, ok, err := r.optional(tagCtx0)
	if err != nil || !ok {
		return err
	}
	r = derReader(wrapped.body)
	octets, err := r.expect(tagOctetString)
	if err != nil {
		return err
	}
	sd.content = octets.body
	return nil
}

// readCertificates reads a CertificateSet. A certificate that crypto/x509
// refuses is left out; other forms than X.509 are skipped.
func (sd *signedData) readCertificates(body []byte) error {
	list, err := elements(body, maxCertificates)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.tag != tagSequence {
			continue
		}
		c, err := x509.ParseCertificate(e.full)
		if err != nil {
			sd.refused++
			continue
		}
		sd.certificates = append(sd.certificates, c)
	}
	return nil
}

// oid takes an object identifier.
func (r *derReader) oid() (asn1.ObjectIdentifier, error) {
	e, err := r.expect(tagOID)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(e.full, &oid); err != nil {
		return nil, err
	}
	return oid, nil
}

// algorithmOID takes an AlgorithmIdentifier and returns its identifier.
func (r *derReader) algorithmOID() (asn1.ObjectIdentifier, error) {
	e, err := r.expect(tagSequence)
	if err != nil {
		return nil, err
	}
	inner := derReader(e.body)
	return inner.oid()
}
