// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
)

// Object identifiers of time stamps.
var (
	oidStampInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4} // id-ct-TSTInfo (RFC 3161 §2.4.2)
	// The attributes that name the signer's certificate, with SHA-1 (RFC 2634
	// §5.4) and with any digest (RFC 5035 §3).
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

const (
	tagBoolean         = 0x01
	tagGeneralizedTime = 0x18
	maxStampExtensions = 16
	maxStatusText      = 200
)

// stampInfo is a TSTInfo as far as it is looked at (RFC 3161 §2.4.2).
type stampInfo struct {
	policy  asn1.ObjectIdentifier
	hash    asn1.ObjectIdentifier
	imprint []byte
	at      time.Time
	nonce   *big.Int // nil without
}

// openStamp checks a TimeStampResp in everything but what its request says.
func openStamp(op string, response []byte, sum [sha256.Size]byte, roots []*x509.Certificate) (info stampInfo, err error) {
	token, err := readStampResponse(response)
	var refused *stampRefusal
	if errors.As(err, &refused) {
		return info, &fault.Error{Op: op, Kind: fault.Temporary, Err: err,
			Text: "l'autorità di marcatura temporale ha rifiutato la richiesta / the time-stamping authority refused the request"}
	}
	if err != nil {
		return info, invalidStamp(op, err)
	}
	sd, err := readSignedData(token, berLimits{bytes: maxStampBytes, depth: maxDepth, elements: maxElements})
	if err != nil {
		return info, invalidStamp(op, err)
	}
	if !sd.contentType.Equal(oidStampInfo) || len(sd.signers) != 1 {
		return info, invalidStamp(op, errors.New("no time stamp, or not of one signer"))
	}
	if info, err = readStampInfo(sd.content); err != nil {
		return info, invalidStamp(op, err)
	}
	if !info.hash.Equal(pkcs7.OIDDigestAlgorithmSHA256) || subtle.ConstantTimeCompare(info.imprint, sum[:]) != 1 {
		return info, denied(op, because("la marca temporale è di un altro contenuto", "the time stamp is of another content"))
	}
	by, why := sd.stampSigner()
	if why != (reason{}) {
		return info, denied(op, why)
	}
	r := trust{roots: roots, purpose: x509.ExtKeyUsageTimeStamping}.findPath(by, sd.certificates, info.at)
	if r.step != StepOK {
		return info, denied(op, r.why)
	}
	return info, nil
}

// invalidStamp is the error for a response that cannot be read.
func invalidStamp(op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.Invalid, Err: err, Text: "la marca temporale non è leggibile / the time stamp is unreadable"}
}

// stampSigner returns the certificate that signed a time stamp, or why it does
// not hold. The signed attributes must be there and name the certificate: or
// another with the same key could be put in its place (RFC 3161 §2.4.2).
func (sd *signedData) stampSigner() (*x509.Certificate, reason) {
	si := &sd.signers[0]
	by := si.certificate(sd.certificates)
	if by == nil {
		return nil, because("manca il certificato della marca temporale", "the time stamp's certificate is missing")
	}
	h, why := si.hash(false)
	if why != (reason{}) {
		return nil, why
	}
	if why := si.checkAlgorithm(by.PublicKey, h); why != (reason{}) {
		return nil, why
	}
	if si.attrs == nil {
		return nil, because("la marca temporale non ha attributi firmati", "the time stamp has no signed attributes")
	}
	if why := si.checkValue(by.PublicKey, oidStampInfo, h, digest(h, sd.content)); why != (reason{}) {
		return nil, why
	}
	if err := si.namesCertificate(by); err != nil {
		return nil, because("la marca temporale non indica il certificato che l'ha firmata", "the time stamp does not name its signer's certificate: "+err.Error())
	}
	critical, _ := criticality(by, extExtKeyUsage)
	if !critical || len(by.ExtKeyUsage) != 1 || by.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(by.UnknownExtKeyUsage) > 0 {
		return nil, because("il certificato non è per le sole marche temporali (extendedKeyUsage)",
			"the certificate is not for time stamps alone (extendedKeyUsage)")
	}
	return by, reason{}
}

var errNoSigningCertificate = errors.New("no attribute, or of another certificate")

// namesCertificate checks the attribute signingCertificate, or its second
// version: the first certificate it lists is the signer's.
func (si *signerInfo) namesCertificate(c *x509.Certificate) error {
	list, err := elements(si.attrs, maxAttributes)
	if err != nil {
		return err
	}
	for _, e := range list {
		r := derReader(e.body)
		oid, err := r.oid()
		if err != nil {
			return err
		}
		second := oid.Equal(oidSigningCertificateV2)
		if !second && !oid.Equal(oidSigningCertificate) {
			continue
		}
		h, sum, err := readCertificateID(r, second)
		if err != nil {
			return err
		}
		if !bytes.Equal(sum, digest(h, c.Raw)) {
			return errNoSigningCertificate
		}
		return nil
	}
	return errNoSigningCertificate
}

// readCertificateID reads the digest out of the first ESSCertID of an
// attribute's values.
func readCertificateID(r derReader, second bool) (h crypto.Hash, sum []byte, err error) {
	// SET OF SigningCertificate, SEQUENCE { certs SEQUENCE OF ESSCertID, ... }
	for _, tag := range []byte{tagSet, tagSequence, tagSequence, tagSequence} {
		e, err := r.expect(tag)
		if err != nil {
			return 0, nil, err
		}
		r = derReader(e.body)
	}
	h = crypto.SHA1
	if second {
		h = crypto.SHA256 // by default
		if len(r) > 0 && r[0] == tagSequence {
			var si signerInfo
			if si.digestOID, err = r.algorithmOID(); err != nil {
				return 0, nil, err
			}
			var why reason
			if h, why = si.hash(false); why != (reason{}) {
				return 0, nil, why
			}
		}
	}
	e, err := r.expect(tagOctetString)
	return h, e.body, err
}

// stampRefusal is a response without a stamp: the status, and what the
// authority says about it (RFC 3161 §2.4.2).
type stampRefusal struct {
	status int
	text   string
}

// Error implements error.
func (e *stampRefusal) Error() string {
	return fmt.Sprintf("status %d of the time-stamping authority: %.*q", e.status, maxStatusText, e.text)
}

// readStampResponse returns the token of a TimeStampResp, encoded.
func readStampResponse(response []byte) ([]byte, error) {
	lim := berLimits{bytes: maxStampBytes, depth: maxDepth, elements: maxElements}
	if _, end, _, err := scanBER(response, lim); err == nil && end != len(response) {
		return nil, errElementRest
	}
	der, err := transcodeBER(response, lim)
	if err != nil {
		return nil, err
	}
	r := derReader(der)
	outer, err := r.expect(tagSequence)
	if err != nil {
		return nil, err
	}
	r = derReader(outer.body)
	info, err := r.expect(tagSequence)
	if err != nil {
		return nil, err
	}
	if err := readStampStatus(derReader(info.body)); err != nil {
		return nil, err
	}
	token, err := r.expect(tagSequence)
	if err != nil {
		return nil, err
	}
	return token.full, r.end()
}

// readStampStatus reads a PKIStatusInfo. Granted is 0, granted with
// modifications 1: what was modified is looked at in the stamp itself.
func readStampStatus(r derReader) error {
	number, err := r.expect(tagInteger)
	if err != nil {
		return err
	}
	var status int
	if _, err := asn1.Unmarshal(number.full, &status); err != nil {
		return err
	}
	if status == 0 || status == 1 {
		return nil
	}
	refused := &stampRefusal{status: status}
	if texts, ok, err := r.optional(tagSequence); err == nil && ok {
		inner := derReader(texts.body)
		if first, err := inner.next(); err == nil {
			refused.text = string(first.body)
		}
	}
	return refused
}

// readStampInfo reads a TSTInfo.
func readStampInfo(der []byte) (info stampInfo, err error) {
	r := derReader(der)
	outer, err := r.expect(tagSequence)
	if err != nil {
		return info, err
	}
	if err := r.end(); err != nil {
		return info, err
	}
	r = derReader(outer.body)
	version, err := r.expect(tagInteger)
	if err != nil {
		return info, err
	}
	if !bytes.Equal(version.body, []byte{1}) {
		return info, errors.New("time stamp of an unknown version")
	}
	if info.policy, err = r.oid(); err != nil {
		return info, err
	}
	imprint, err := r.expect(tagSequence)
	if err != nil {
		return info, err
	}
	if err := info.readImprint(derReader(imprint.body)); err != nil {
		return info, err
	}
	if _, err := r.expect(tagInteger); err != nil { // serialNumber
		return info, err
	}
	at, err := r.expect(tagGeneralizedTime)
	if err != nil {
		return info, err
	}
	if info.at, err = readStampTime(at); err != nil {
		return info, err
	}
	return info, info.readRest(r)
}

// readImprint reads a MessageImprint.
func (info *stampInfo) readImprint(r derReader) (err error) {
	if info.hash, err = r.algorithmOID(); err != nil {
		return err
	}
	sum, err := r.expect(tagOctetString)
	info.imprint = sum.body
	if err != nil {
		return err
	}
	return r.end()
}

// readStampTime reads a genTime: in UTC, with or without fractions of a second.
func readStampTime(e element) (at time.Time, err error) {
	if !bytes.HasSuffix(e.body, []byte("Z")) {
		return at, errors.New("time stamp with a time that is not UTC")
	}
	_, err = asn1.UnmarshalWithParams(e.full, &at, "generalized")
	return at, err
}

// readRest reads the fields that may be missing, and refuses what is critical.
func (info *stampInfo) readRest(r derReader) error {
	for _, tag := range []byte{tagSequence, tagBoolean} { // accuracy, ordering
		if _, _, err := r.optional(tag); err != nil {
			return err
		}
	}
	nonce, ok, err := r.optional(tagInteger)
	if err != nil {
		return err
	}
	if ok {
		if _, err := asn1.Unmarshal(nonce.full, &info.nonce); err != nil {
			return err
		}
	}
	if _, _, err := r.optional(tagCtx0); err != nil { // tsa: a name without weight
		return err
	}
	extensions, _, err := r.optional(tagCtx1)
	if err != nil {
		return err
	}
	list, err := elements(extensions.body, maxStampExtensions)
	if err != nil {
		return err
	}
	for _, e := range list {
		inner := derReader(e.body)
		if _, err := inner.oid(); err != nil {
			return err
		}
		// DER leaves FALSE, the default, out.
		if _, critical, err := inner.optional(tagBoolean); err != nil || critical {
			return errors.New("time stamp with a critical extension")
		}
	}
	return r.end()
}
