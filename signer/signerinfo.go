// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1"   // for crypto.SHA1
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"go.mozilla.org/pkcs7"
)

// maxRSABits bounds the keys we compute with: the cost grows with the cube of
// the size, and a certificate in a hostile signature has room for a million bits.
const maxRSABits = 8192

// signerInfo is a CMS SignerInfo as read (RFC 5652 §5.3).
type signerInfo struct {
	issuer    []byte // encoded Name; nil when keyID names the certificate
	serial    *big.Int
	keyID     []byte
	digestOID asn1.ObjectIdentifier
	signOID   asn1.ObjectIdentifier
	attrs     []byte // contents octets of signedAttrs as sent; nil without
	signature []byte
}

// readSignerInfo reads a SignerInfo.
func readSignerInfo(e element) (si signerInfo, err error) {
	if e.tag != tagSequence {
		return si, errElementTag
	}
	r := derReader(e.body)
	if _, err = r.expect(tagInteger); err != nil {
		return si, err
	}
	sid, err := r.next()
	if err != nil {
		return si, err
	}
	if err = si.readIdentifier(sid); err != nil {
		return si, err
	}
	if si.digestOID, err = r.algorithmOID(); err != nil {
		return si, err
	}
	attrs, ok, err := r.optional(tagCtx0)
	if err != nil {
		return si, err
	}
	if ok {
		si.attrs = attrs.body
	}
	if si.signOID, err = r.algorithmOID(); err != nil {
		return si, err
	}
	value, err := r.expect(tagOctetString)
	if err != nil {
		return si, err
	}
	si.signature = value.body
	if _, _, err = r.optional(tagCtx1); err != nil { // unsignedAttrs: nobody vouches for them
		return si, err
	}
	return si, r.end()
}

// readIdentifier reads a SignerIdentifier.
func (si *signerInfo) readIdentifier(sid element) error {
	switch sid.tag {
	case tagCtx0Prim:
		si.keyID = sid.body
		return nil
	case tagSequence:
		r := derReader(sid.body)
		name, err := r.expect(tagSequence)
		if err != nil {
			return err
		}
		number, err := r.expect(tagInteger)
		if err != nil {
			return err
		}
		si.issuer = name.full
		_, err = asn1.Unmarshal(number.full, &si.serial)
		return err
	}
	return errElementTag
}

// certificate returns the signer's certificate out of those given, nil without.
func (si *signerInfo) certificate(certs []*x509.Certificate) *x509.Certificate {
	var similar *x509.Certificate
	for _, c := range certs {
		if si.issuer == nil {
			if len(si.keyID) > 0 && bytes.Equal(c.SubjectKeyId, si.keyID) {
				return c
			}
			continue
		}
		if c.SerialNumber.Cmp(si.serial) != 0 {
			continue
		}
		if bytes.Equal(c.RawIssuer, si.issuer) {
			return c
		}
		if similar == nil && sameName(c.RawIssuer, si.issuer) {
			similar = c
		}
	}
	return similar
}

// maxName bounds the names compared by their text, which costs more than
// comparing octets. Names of CAs have some 200 octets.
const maxName = 1024

// sameName compares two encoded names by their text: some signers encode the
// issuer's name anew, with other string types than the certificate has.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) > maxName || len(b) > maxName {
		return false
	}
	var x, y pkix.RDNSequence
	if _, err := asn1.Unmarshal(a, &x); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(b, &y); err != nil {
		return false
	}
	return len(x) > 0 && x.String() == y.String()
}

// hash returns the digest algorithm, or why there is none.
func (si *signerInfo) hash(allowSHA1 bool) (crypto.Hash, reason) {
	switch oid := si.digestOID; {
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA256):
		return crypto.SHA256, reason{}
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA384):
		return crypto.SHA384, reason{}
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA512):
		return crypto.SHA512, reason{}
	case oid.Equal(pkcs7.OIDDigestAlgorithmSHA1):
		if allowSHA1 {
			return crypto.SHA1, reason{}
		}
		return 0, because("impronta SHA-1 non ammessa", "SHA-1 digest not admitted")
	default:
		return 0, because("algoritmo di impronta non previsto ("+oid.String()+")", "unsupported digest algorithm ("+oid.String()+")")
	}
}

// checkAlgorithm says why the signature algorithm is not one for the key and
// the digest; the zero reason when it is.
func (si *signerInfo) checkAlgorithm(pub crypto.PublicKey, h crypto.Hash) reason {
	oid := si.signOID
	unsupported := because("algoritmo di firma non previsto ("+oid.String()+")", "unsupported signature algorithm ("+oid.String()+")")
	if oid.Equal(oidRSAPSS) {
		return because("algoritmo di firma RSA-PSS non previsto per la PEC", "signature algorithm RSA-PSS is not supported for PEC")
	}
	var known []asn1.ObjectIdentifier // without a digest of its own, then with the one wanted
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > maxRSABits {
			return because("chiave RSA troppo lunga", "RSA key too long")
		}
		known = []asn1.ObjectIdentifier{oidRSA, signatureOID(h, true)}
	case *ecdsa.PublicKey:
		known = []asn1.ObjectIdentifier{oidECPublicKey, signatureOID(h, false)}
	default:
		return because("tipo di chiave non previsto", "unsupported type of key")
	}
	for _, k := range known {
		if oid.Equal(k) {
			return reason{}
		}
	}
	return unsupported
}

// signatureOID returns the identifier of RSA (PKCS #1 v1.5) or ECDSA with a digest.
func signatureOID(h crypto.Hash, isRSA bool) asn1.ObjectIdentifier {
	pair := [2]asn1.ObjectIdentifier{}
	switch h {
	case crypto.SHA1:
		pair = [...]asn1.ObjectIdentifier{pkcs7.OIDDigestAlgorithmECDSASHA1, pkcs7.OIDEncryptionAlgorithmRSASHA1}
	case crypto.SHA256:
		pair = [...]asn1.ObjectIdentifier{pkcs7.OIDDigestAlgorithmECDSASHA256, pkcs7.OIDEncryptionAlgorithmRSASHA256}
	case crypto.SHA384:
		pair = [...]asn1.ObjectIdentifier{pkcs7.OIDDigestAlgorithmECDSASHA384, pkcs7.OIDEncryptionAlgorithmRSASHA384}
	case crypto.SHA512:
		pair = [...]asn1.ObjectIdentifier{pkcs7.OIDDigestAlgorithmECDSASHA512, pkcs7.OIDEncryptionAlgorithmRSASHA512}
	}
	if isRSA {
		return pair[1]
	}
	return pair[0]
}

// checkValue says why the signature does not fit the content with the digest
// sum; the zero reason when it does.
func (si *signerInfo) checkValue(pub crypto.PublicKey, contentType asn1.ObjectIdentifier, h crypto.Hash, sum []byte) reason {
	broken := because("la firma non è integra: il valore della firma non corrisponde", "signature broken: the signature value does not fit")
	if si.attrs == nil {
		if !checkSignature(pub, h, sum, si.signature) {
			return because("la firma non è integra: il contenuto è stato modificato", "signature broken: the content was changed")
		}
		return reason{}
	}
	a, err := readAttributes(si.attrs)
	if err != nil {
		return because("attributi firmati illeggibili", "signed attributes unreadable: "+err.Error())
	}
	if !a.contentType.Equal(contentType) {
		return because("l'attributo contentType non corrisponde", "contentType attribute does not fit")
	}
	if !a.protects(si) {
		return because("gli algoritmi della firma sono stati sostituiti", "the algorithms of the signature were replaced")
	}
	if subtle.ConstantTimeCompare(a.digest, sum) != 1 {
		return because("la firma non è integra: il contenuto è stato modificato", "signature broken: the content was changed")
	}
	// The signature covers the attributes as a SET OF, not under their implicit
	// tag (RFC 5652 §5.4). OpenSSL and others sign them in the order they send
	// them, which need not be that of DER; so that is tried first.
	sent := append(appendLength([]byte{tagSet}, len(si.attrs)), si.attrs...)
	if checkSignature(pub, h, digest(h, sent), si.signature) {
		return reason{}
	}
	sorted, err := setOf(a.encoded)
	if err != nil || bytes.Equal(sorted, sent) || !checkSignature(pub, h, digest(h, sorted), si.signature) {
		return broken
	}
	return reason{}
}

// signingTime returns what the signer claims, the zero time without a claim.
func (si *signerInfo) signingTime() time.Time {
	if si.attrs == nil {
		return time.Time{}
	}
	a, err := readAttributes(si.attrs)
	if err != nil {
		return time.Time{}
	}
	return a.signingTime
}

// digest returns the hash of b.
func digest(h crypto.Hash, b []byte) []byte {
	f := h.New()
	f.Write(b)
	return f.Sum(nil)
}

// checkSignature verifies an RSA PKCS #1 v1.5 or ECDSA signature over a digest.
func checkSignature(pub crypto.PublicKey, h crypto.Hash, sum, signature []byte) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() <= maxRSABits && rsa.VerifyPKCS1v15(k, h, sum, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum, signature)
	}
	return false
}

// setOf returns the DER SET OF the encoded elements: in the order of their
// octets (X.690 §11.6).
func setOf(elements [][]byte) ([]byte, error) {
	sorted := slices.Clone(elements)
	slices.SortFunc(sorted, bytes.Compare)
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(sorted, nil)})
}
