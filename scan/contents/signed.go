// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// The identifiers of CMS contents (RFC 5652 §4, §5.1, §6.1), as encoded.
const (
	idSigned    = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	idEnveloped = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
)

// cmsOf tells whether a file is signed or enveloped data of CMS.
func cmsOf(head []byte) format {
	switch start := head[:min(len(head), 24)]; {
	case bytes.Contains(start, []byte(idSigned)):
		return signedData
	case bytes.Contains(start, []byte(idEnveloped)):
		return enveloped
	}
	return unknown
}

// signed looks into a file that was signed (.p7m): signing is no reason not to look
// at what was signed. The signature is not verified.
func (s *Inspection) signed(f Scratch, where string, nested int) error {
	in := bufio.NewReaderSize(rationed{s: s, r: newSignedContent(io.NewSectionReader(&source{r: f}, 0, f.Size()))}, sniffed)
	head, err := in.Peek(sniffed)
	if err != nil && err != io.EOF {
		return s.settle(err, "Cms.Malformed", where)
	}
	if f := formatOf(head); f != unknown {
		return s.file(in, f, where, nested+1)
	}
	return nil
}

var errCMS = errors.New("contents: malformed CMS")

// signedContent reads what is signed in SignedData, in DER or BER: the octets of
// one string, or of the strings of a constructed one.
type signedContent struct {
	r       *bufio.Reader
	read    int64 // octets
	started bool
	strings bool  // several follow
	left    int64 // of the present string
	over    bool
}

func newSignedContent(r io.Reader) *signedContent {
	return &signedContent{r: bufio.NewReader(r)}
}

// Read implements io.Reader.
func (c *signedContent) Read(p []byte) (int, error) {
	if !c.started {
		c.started = true
		if err := c.find(); err != nil {
			return 0, err
		}
	}
	for c.left == 0 {
		if c.over || !c.strings {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

const (
	tagInteger, tagString, tagObject = 0x02, 0x04, 0x06
	tagSequence, tagSet, tagExplicit = 0x30, 0x31, 0xa0
	tagStrings                       = 0x24 // a constructed string
	indefinite                       = -1
	maxLength                        = 1 << 40
)

// find reads up to the content: ContentInfo, SignedData, EncapsulatedContentInfo.
func (c *signedContent) find() error {
	var end int64 // of the innermost sequence
	for _, want := range []byte{tagSequence, tagObject, tagExplicit, tagSequence, tagInteger, tagSet, tagSequence, tagObject} {
		tag, n, err := c.header()
		switch {
		case err != nil:
			return err
		case tag != want:
			return errCMS
		case want == tagSequence || want == tagExplicit:
			if end = c.read + n; n == indefinite {
				end = indefinite
			}
			continue // what is inside follows
		}
		if err := c.skip(n, 0); err != nil {
			return err
		}
	}
	if c.over = end == c.read; c.over { // a signature of what is elsewhere
		return nil
	}
	tag, _, err := c.header()
	if err != nil || tag != tagExplicit { // also that, with its end marked
		c.over = true
		return err
	}
	tag, n, err := c.header()
	switch {
	case err != nil:
		return err
	case tag == tagString && n != indefinite:
		c.left = n
	case tag == tagStrings:
		c.strings = true
	default:
		return errCMS
	}
	return nil
}

// next goes on to the next string of a constructed one; its end is whatever is no
// string.
func (c *signedContent) next() error {
	tag, n, err := c.header()
	switch {
	case err == io.ErrUnexpectedEOF || err == nil && tag != tagString:
		c.over = true
		return nil
	case err != nil:
		return err
	case n == indefinite:
		return errCMS
	}
	c.left = n
	return nil
}

// header reads a tag of one octet and a length (X.690 §8.1).
func (c *signedContent) header() (tag byte, n int64, err error) {
	b, err := c.octet()
	if err != nil {
		return 0, 0, err
	}
	tag = b
	if b, err = c.octet(); err != nil {
		return 0, 0, err
	}
	switch {
	case b < 0x80:
		return tag, int64(b), nil
	case b == 0x80:
		return tag, indefinite, nil
	}
	for range b & 0x7f {
		d, err := c.octet()
		if err != nil {
			return 0, 0, err
		}
		if n = n<<8 | int64(d); n > maxLength {
			return 0, 0, errCMS
		}
	}
	return tag, n, nil
}

func (c *signedContent) octet() (byte, error) {
	b, err := c.r.ReadByte()
	c.read++
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// skip passes over a value, also one of indefinite length.
func (c *signedContent) skip(n int64, depth int) error {
	const maxDepth = 16
	if n != indefinite {
		_, err := io.CopyN(io.Discard, c.r, n)
		c.read += n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if depth == maxDepth {
		return errCMS
	}
	for {
		tag, n, err := c.header()
		if err != nil || tag == 0 && n == 0 {
			return err
		}
		if err := c.skip(n, depth+1); err != nil {
			return err
		}
	}
}
