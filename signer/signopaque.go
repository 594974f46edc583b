// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"time"

	"pecd/fault"
)

// maxOpaqueAround is more than anything around a content has.
const maxOpaqueAround = 1 << 20

var (
	errContentSize    = errors.New("the content has another length than was said")
	errContentChanged = errors.New("the content changed while it was signed")
)

// SignOpaque writes a CMS SignedData in DER with the content inside, the
// contents of a .p7m file (RFC 5652 §5.1, RFC 6109 §4.5.6). The content has
// size octets from the start of its reader and is read twice, once for its
// digest and once to be written, so that its length does not matter. What is
// signed, and when it fails, is as with Sign.
//
// Errors are those of Sign; Invalid for another size than said; Temporary when
// reading or writing fails, or the content changes meanwhile. What was written
// by then is no signed file.
func (s *Signer) SignOpaque(ctx context.Context, w io.Writer, content io.ReadSeeker, size int64, at time.Time) error {
	const op = "signer.SignOpaque"
	if size < 0 || size > math.MaxInt-maxOpaqueAround {
		return fault.New(op, fault.Invalid, errContentSize)
	}
	sum, err := copyContent(io.Discard, content, size)
	if err != nil {
		return contentError(op, err)
	}
	detached, err := s.Sign(ctx, sum, at)
	if err != nil {
		return err
	}
	before, after, err := aroundContent(detached, int(size))
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	if _, err := w.Write(before); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	again, err := copyContent(w, content, size)
	if err == nil && again != sum {
		err = errContentChanged
	}
	if err != nil {
		return contentError(op, err)
	}
	if _, err := w.Write(after); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	return nil
}

// copyContent writes the content from its start and returns its digest.
func copyContent(w io.Writer, content io.ReadSeeker, size int64) (sum [sha256.Size]byte, err error) {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return sum, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), io.LimitReader(content, size))
	if err != nil {
		return sum, err
	}
	var more [1]byte
	extra, err := io.ReadFull(content, more[:])
	switch {
	case n != size || extra > 0:
		return sum, errContentSize
	case err != io.EOF:
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// contentError classes an error of copyContent.
func contentError(op string, err error) error {
	if errors.Is(err, errContentSize) {
		return fault.New(op, fault.Invalid, err)
	}
	return fault.New(op, fault.Temporary, err)
}

// aroundContent returns what stands before and after a content of size octets
// in the opaque form of a detached signature.
func aroundContent(detached []byte, size int) (before, after []byte, err error) {
	oid, body, err := signedDataFields(derReader(detached))
	if err != nil {
		return nil, nil, err
	}
	version, err := body.expect(tagInteger)
	if err != nil {
		return nil, nil, err
	}
	digests, err := body.expect(tagSet)
	if err != nil {
		return nil, nil, err
	}
	encap, err := body.expect(tagSequence)
	if err != nil {
		return nil, nil, err
	}
	octets := elementSize(size)
	encapBody := len(encap.body) + elementSize(octets)
	signedBody := len(version.full) + len(digests.full) + elementSize(encapBody) + len(body)
	outer := elementSize(signedBody)

	before = appendHeader(before, tagSequence, len(oid.full)+elementSize(outer))
	before = append(before, oid.full...)
	before = appendHeader(before, tagCtx0, outer)
	before = appendHeader(before, tagSequence, signedBody)
	before = append(before, version.full...)
	before = append(before, digests.full...)
	before = appendHeader(before, tagSequence, encapBody)
	before = append(before, encap.body...) // the content's type
	before = appendHeader(before, tagCtx0, octets)
	return appendHeader(before, tagOctetString, size), body, nil
}

// appendHeader appends identifier and length octets.
func appendHeader(out []byte, tag byte, length int) []byte {
	return appendLength(append(out, tag), length)
}

// elementSize returns how many octets an element with contents of n has.
func elementSize(n int) int { return 1 + lengthSize(n) + n }
