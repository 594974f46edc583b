// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"time"

	"pecd/fault"
)

// TranscodeBER is transcodeBER with the limits of a detached signature.
func TranscodeBER(in []byte) ([]byte, error) {
	return transcodeBER(in, berLimits{bytes: maxSignatureBytes, depth: maxDepth, elements: maxElements})
}

// TranscodeLargeBER is TranscodeBER without the limit on the size.
func TranscodeLargeBER(in []byte) ([]byte, error) {
	return transcodeBER(in, berLimits{bytes: len(in), depth: maxDepth, elements: maxElements})
}

// MaxSignatureBytes is the size limit of a detached signature.
const MaxSignatureBytes = maxSignatureBytes

// NewPool and its methods, for the tests of the pool.
type Pool = pool

var NewPool = newPool

var (
	Enter = (*pool).enter
	Leave = (*pool).leave
)

// Assemble returns the CMS for a digest and a time around a value that was made
// before, and the octets that the value signs.
func Assemble(s *Signer, sum [sha256.Size]byte, at time.Time, value []byte) (cms, signed []byte) {
	attrs := signedAttributes(sum, at)
	return s.template.fill(attrs, value), appendElement(nil, tagSet, attrs)
}

// Refresh reads the files and fetches every list now, as Run does when it is
// time. The error says what was not to be had.
func (l *RevocationLists) Refresh(ctx context.Context) error {
	err := l.round(ctx, func(*listSource, time.Time) bool { return true })
	if err == nil {
		return nil
	}
	return fault.New("signer.Refresh", fault.Temporary, err)
}

// CheckCertificate runs the steps chain, time and revocation alone.
func CheckCertificate(cfg VerifierConfig, leaf *x509.Certificate, at time.Time, extra ...*x509.Certificate) (Step, string) {
	step, why := NewVerifier(cfg).certificate(leaf, extra, at, x509.ExtKeyUsageEmailProtection)
	return step, why.en
}

// OpaqueContent returns the content where the reader of streams finds it.
func OpaqueContent(p7m []byte) ([]byte, error) {
	r := bytes.NewReader(p7m)
	o, err := readOpaque(r, r.Size())
	if err != nil {
		return nil, err
	}
	return io.ReadAll(o.content(r))
}

// SignedContent returns the content where the reader of any CMS finds it.
func SignedContent(p7m []byte) ([]byte, error) {
	sd, err := readSignedData(p7m, berLimits{bytes: len(p7m), depth: maxDepth, elements: maxElements})
	if err != nil {
		return nil, err
	}
	return sd.content, nil
}
