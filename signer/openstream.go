// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"errors"
	"io"
	"math"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
)

// maxOpaqueHead bounds what stands before the content: of ours, some 100 octets.
const maxOpaqueHead = 4 << 10

// errNotStrict is for files that OpenSigned may read all the same.
var errNotStrict = errors.New("CMS: not the definite-length form of SignOpaque")

// VerifyOpaque is OpenSigned for files of any length that SignOpaque wrote: the
// content is read as a stream, once, and stays where it is. What is returned
// reads it again, so that r must not change meanwhile. r has size octets, all
// of which belong to the signed file.
//
// Errors: Invalid when the structure is not that of SignOpaque; Denied when the
// signature does not hold; Temporary when reading fails, or when the policy
// wants a revocation list that is missing or out of date. The text says why in
// Italian and English.
func (v *Verifier) VerifyOpaque(r io.ReaderAt, size int64, at time.Time) (content *io.SectionReader, by *x509.Certificate, err error) {
	const op = "signer.VerifyOpaque"
	o, err := readOpaque(r, size)
	if err != nil {
		if !fault.Is(err, fault.Temporary) {
			err = invalidCMS(op, err)
		}
		return nil, nil, err
	}
	if len(o.sd.signers) == 0 {
		return nil, nil, invalidCMS(op, errNotOpaque)
	}
	opened, err := v.openedBy(op, o.sd, o.content(r), at)
	if err != nil {
		return nil, opened.By, err
	}
	return o.content(r), opened.By, nil
}

// opaqueFile is an opaque SignedData whose content stays in its file.
type opaqueFile struct {
	sd   *signedData // without content
	off  int         // where the content begins
	size int         // of the content
}

// content returns a reader of the content.
func (o opaqueFile) content(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, int64(o.off), int64(o.size))
}

// readOpaque reads everything of an opaque SignedData but its content.
func readOpaque(r io.ReaderAt, size int64) (o opaqueFile, err error) {
	if size < 0 || size > math.MaxInt {
		return o, errBERSize
	}
	head, err := readPart(r, 0, int(min(size, maxOpaqueHead)))
	if err != nil {
		return o, err
	}
	c := &opaqueHead{head: head, end: int(size)}
	fixed, err := c.read()
	if err != nil {
		return o, err
	}
	o.off, o.size = c.pos, c.end-c.pos
	rest := int(size) - c.end
	if rest > maxSignatureBytes {
		return o, errBERSize
	}
	tail, err := readPart(r, int64(c.end), rest)
	if err != nil {
		return o, err
	}
	body := append(fixed, tail...)
	der, err := transcodeBER(append(appendHeader(nil, tagSequence, len(body)), body...),
		berLimits{bytes: 2 * maxSignatureBytes, depth: maxDepth, elements: maxElements})
	if err != nil {
		return o, err
	}
	fields := derReader(der)
	signed, err := fields.expect(tagSequence)
	if err != nil {
		return o, err
	}
	o.sd, err = readSignedDataBody(derReader(signed.body))
	return o, err
}

// readPart reads n octets from off on. A file that is shorter than was said is
// cut, one that cannot be read may be readable later.
func readPart(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	read, err := r.ReadAt(b, off)
	switch {
	case read == n:
		return b, nil
	case err == io.EOF:
		return nil, errBERTruncated
	}
	return nil, fault.New("signer.readPart", fault.Temporary, err)
}

// opaqueHead reads the elements that stand before the content.
type opaqueHead struct {
	head []byte // the beginning of the file
	pos  int
	end  int // of the innermost element that is open
}

// read goes down to the content, whose octets are then those from pos to end,
// and returns the fields of SignedData up to there, as if it were detached.
// Each element down to the content ends with the one around it, but for
// encapContentInfo, which certificates and signers follow.
func (c *opaqueHead) read() (fixed []byte, err error) {
	if err := c.enter(tagSequence, true); err != nil {
		return nil, err
	}
	kind, err := c.take(tagOID)
	if err != nil {
		return nil, err
	}
	named := derReader(kind)
	if oid, err := named.oid(); err != nil || !oid.Equal(pkcs7.OIDSignedData) {
		return nil, errNotStrict
	}
	for _, tag := range []byte{tagCtx0, tagSequence} {
		if err := c.enter(tag, true); err != nil {
			return nil, err
		}
	}
	for _, tag := range []byte{tagInteger, tagSet} { // version, digestAlgorithms
		e, err := c.take(tag)
		if err != nil {
			return nil, err
		}
		fixed = append(fixed, e...)
	}
	if err := c.enter(tagSequence, false); err != nil {
		return nil, err
	}
	if kind, err = c.take(tagOID); err != nil {
		return nil, err
	}
	for _, tag := range []byte{tagCtx0, tagOctetString} {
		if err := c.enter(tag, true); err != nil {
			return nil, err
		}
	}
	return append(appendHeader(fixed, tagSequence, len(kind)), kind...), nil
}

// header reads the header at pos, which must have the tag.
func (c *opaqueHead) header(tag byte) (berHeader, error) {
	if c.pos >= len(c.head) {
		return berHeader{}, errBERTruncated
	}
	h, err := readHeaderOf(c.head[c.pos:min(len(c.head), c.end)], c.end-c.pos)
	if err != nil {
		return berHeader{}, err
	}
	if c.head[c.pos] != tag {
		return berHeader{}, errElementTag
	}
	if h.indefinite || !h.minimal {
		return berHeader{}, errNotStrict
	}
	return h, nil
}

// enter goes into an element. last: nothing may follow it in the one around it.
func (c *opaqueHead) enter(tag byte, last bool) error {
	h, err := c.header(tag)
	if err != nil {
		return err
	}
	end := c.pos + h.size + h.length
	if last && end != c.end {
		return errElementRest
	}
	c.pos, c.end = c.pos+h.size, end
	return nil
}

// take returns a whole element and goes behind it.
func (c *opaqueHead) take(tag byte) ([]byte, error) {
	h, err := c.header(tag)
	if err != nil {
		return nil, err
	}
	end := c.pos + h.size + h.length
	if end > len(c.head) {
		return nil, errNotStrict
	}
	e := c.head[c.pos:end:end]
	c.pos = end
	return e, nil
}
