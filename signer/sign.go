// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"time"

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
	attrs := signedAttributes(sum, at)
	value, err := s.value(ctx, attrs)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	return s.template.fill(attrs, value), nil
}

// value has the key sign the DER encoding of SET OF Attribute (RFC 5652 §5.4),
// of which attrs is the contents.
func (s *Signer) value(ctx context.Context, attrs []byte) ([]byte, error) {
	signed := sha256.Sum256(appendElement(make([]byte, 0, 2+len(attrs)), tagSet, attrs))
	if err := s.slots.enter(ctx); err != nil {
		return nil, err
	}
	defer s.slots.leave()
	return s.id.Key.Sign(rand.Reader, signed[:], crypto.SHA256)
}
