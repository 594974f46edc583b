// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"io"
	"slices"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
)

// Sign returns the detached CMS SignedData (DER, the contents of smime.p7s)
// over the content with the SHA-256 digest sum. Inside are the signing
// certificate and the CA certificates of the identity, and the signed
// attributes contentType, signingTime (at, to the second) and messageDigest.
//
// It waits for a free slot; when ctx ends first, or the certificate is not
// valid at the time, or the key fails, the error is Temporary.
func (s *Signer) Sign(ctx context.Context, sum [sha256.Size]byte, at time.Time) (der []byte, err error) {
	const op = "signer.Sign"
	if c := s.id.Certificate; at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return nil, fault.Say(op, fault.Temporary,
			"il certificato di firma del gestore non è valido alla data / the provider's signing certificate is not valid at this time")
	}
	attrs, err := signedAttributes(sum, at)
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	if err := s.slots.enter(ctx); err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	defer s.slots.leave()
	value, err := s.id.Key.Sign(rand.Reader, digest(crypto.SHA256, attrs), crypto.SHA256)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	if der, err = s.assemble(attrs, value); err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	return der, nil
}

// assemble puts the CMS structure together around a signature that was already
// made. The library would hash the content itself, sign with concrete key types
// only and take the time from the machine; given a finished value it does none
// of these, and the rest of its structure is filled through GetSignedData.
func (s *Signer) assemble(attrs, value []byte) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(nil)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	sd.SetEncryptionAlgorithm(s.sigAlg.oid)
	done := finished{pub: s.id.Certificate.PublicKey, value: value}
	if err := sd.SignWithoutAttr(s.id.Certificate, done, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, ca := range s.id.Chain {
		sd.AddCertificate(ca)
	}
	sd.Detach()
	info := &sd.GetSignedData().SignerInfos[0]
	if s.sigAlg.null {
		info.DigestEncryptionAlgorithm.Parameters = asn1.NullRawValue
	}
	if _, err := asn1.UnmarshalWithParams(attrs, &info.AuthenticatedAttributes, "set"); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// finished is a key that returns a signature made before.
type finished struct {
	pub   crypto.PublicKey
	value []byte
}

// Public implements crypto.Signer.
func (f finished) Public() crypto.PublicKey { return f.pub }

// Sign implements crypto.Signer.
func (f finished) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return f.value, nil }

// attribute is a CMS Attribute with one value (RFC 5652 §5.3).
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// signedAttributes returns the DER encoding of SET OF Attribute, which is what
// gets signed (RFC 5652 §5.4).
func signedAttributes(sum [sha256.Size]byte, at time.Time) ([]byte, error) {
	values := []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{
		{oidContentType, oidData},
		{oidSigningTime, at.UTC().Truncate(time.Second)},
		{oidMessageDigest, sum[:]},
	}
	var encoded [][]byte
	for _, v := range values {
		raw, err := asn1.Marshal(v.value)
		if err != nil {
			return nil, err
		}
		a, err := asn1.Marshal(attribute{v.oid, []asn1.RawValue{{FullBytes: raw}}})
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, a)
	}
	return setOf(encoded)
}

// setOf returns the DER SET OF the encoded elements: in the order of their
// octets (X.690 §11.6).
func setOf(elements [][]byte) ([]byte, error) {
	sorted := slices.Clone(elements)
	slices.SortFunc(sorted, bytes.Compare)
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(sorted, nil)})
}
