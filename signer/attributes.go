// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"encoding/asn1"
	"errors"
	"time"
)

var (
	errAttributeMissing = errors.New("CMS: contentType or messageDigest attribute missing")
	errAttributeTwice   = errors.New("CMS: attribute given twice")
	errAttributeValues  = errors.New("CMS: attribute without exactly one value")
)

// attributes are the signed attributes that verification looks at.
type attributes struct {
	encoded     [][]byte // every attribute, as sent
	contentType asn1.ObjectIdentifier
	digest      []byte
	signingTime time.Time // zero when absent or unreadable
	// CMSAlgorithmProtection; nil when absent
	protectedDigest    asn1.ObjectIdentifier
	protectedSignature asn1.ObjectIdentifier
}

// readAttributes reads the contents octets of signedAttrs. contentType and
// messageDigest must be there, once and with one value (RFC 5652 §11).
func readAttributes(body []byte) (a attributes, err error) {
	list, err := elements(body, maxAttributes)
	if err != nil {
		return a, err
	}
	seen := make(map[string]bool, len(list))
	for _, e := range list {
		if e.tag != tagSequence {
			return a, errElementTag
		}
		a.encoded = append(a.encoded, e.full)
		r := derReader(e.body)
		oid, err := r.oid()
		if err != nil {
			return a, err
		}
		values, err := r.expect(tagSet)
		if err != nil {
			return a, err
		}
		if !a.wanted(oid) {
			continue
		}
		if seen[oid.String()] {
			return a, errAttributeTwice
		}
		seen[oid.String()] = true
		r = derReader(values.body)
		value, err := r.next()
		if err != nil || r.end() != nil {
			return a, errAttributeValues
		}
		if err := a.take(oid, value); err != nil {
			return a, err
		}
	}
	if a.contentType == nil || a.digest == nil {
		return a, errAttributeMissing
	}
	return a, nil
}

// wanted says whether an attribute matters here.
func (a *attributes) wanted(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(oidContentType) || oid.Equal(oidMessageDigest) || oid.Equal(oidSigningTime) || oid.Equal(oidProtection)
}

// take keeps the one value of a wanted attribute.
func (a *attributes) take(oid asn1.ObjectIdentifier, value element) (err error) {
	switch {
	case oid.Equal(oidContentType):
		r := derReader(value.full)
		a.contentType, err = r.oid()
	case oid.Equal(oidMessageDigest):
		if value.tag != tagOctetString {
			return errElementTag
		}
		a.digest = value.body
	case oid.Equal(oidSigningTime):
		// A claim only: an odd encoding is no reason to refuse the signature.
		if _, err := asn1.Unmarshal(value.full, &a.signingTime); err != nil {
			a.signingTime = time.Time{}
		}
	case oid.Equal(oidProtection):
		return a.takeProtection(value)
	}
	return err
}

// takeProtection reads a CMSAlgorithmProtection (RFC 6211 §2): the digest
// algorithm and, under [1], the signature algorithm.
func (a *attributes) takeProtection(value element) (err error) {
	if value.tag != tagSequence {
		return errElementTag
	}
	r := derReader(value.body)
	if a.protectedDigest, err = r.algorithmOID(); err != nil {
		return err
	}
	sig, ok, err := r.optional(tagCtx1)
	if err != nil || !ok {
		return err
	}
	r = derReader(sig.body)
	a.protectedSignature, err = r.oid()
	return err
}

// protects says whether the algorithms are those the signer vouches for, as far
// as it does. Parameters are not compared: NULL and absent mean the same.
func (a *attributes) protects(si *signerInfo) bool {
	if a.protectedDigest != nil && !a.protectedDigest.Equal(si.digestOID) {
		return false
	}
	return a.protectedSignature == nil || a.protectedSignature.Equal(si.signOID)
}
