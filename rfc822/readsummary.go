// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"encoding/binary"
	"hash/crc32"
)

// ReadSummary reads a summary of a message of size octets. It keeps b, which the
// caller must not change afterwards. The only error is ErrSummary.
func ReadSummary(b []byte, size int64) (Summary, error) {
	if len(b) < 6 || b[0] != summaryVersion && b[0] != previewVersion {
		return Summary{}, ErrSummary
	}
	body := b[:len(b)-4]
	if binary.BigEndian.Uint32(b[len(body):]) != crc32.ChecksumIEEE(body) {
		return Summary{}, ErrSummary
	}
	flags := body[1]
	r := summaryReader{b: body[2:], size: size}
	s := Summary{Clean: flags&summaryClean != 0, size: size, BodyOffset: r.offset(0)}
	s.Header = r.header()
	s.head = len(body) - len(r.b)
	if b[0] == previewVersion {
		s.preview = r.octets()
	}
	if r.bad || flags&summaryTree == 0 && len(r.b) > 0 {
		return Summary{}, ErrSummary
	}
	if flags&summaryTree != 0 {
		s.tree = r.b
	}
	return s, nil
}

// HasTree tells whether the summary has the MIME tree.
func (s *Summary) HasTree() bool { return s.tree != nil }

// Preview returns the preview, which may be empty; ok is false where it is not
// known.
func (s *Summary) Preview() (text string, ok bool) { return string(s.preview), s.preview != nil }

// WithPreview returns the summary b of a message of size octets with a preview in
// place of the one it may have. The only error is ErrSummary.
func WithPreview(b []byte, size int64, text string) ([]byte, error) {
	s, err := ReadSummary(b, size)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b)+len(text)+binary.MaxVarintLen64)
	out = append(append(out, previewVersion), b[1:s.head]...)
	out = append(binary.AppendUvarint(out, uint64(len(text))), text...)
	return endSummary(append(out, s.tree...)), nil
}

// Tree returns the MIME tree, made anew by every call: that of a Scanner, but
// that its headers hold kept fields alone (KeptField) and that defects and what a
// Message tells of all its octets are left out. The error is ErrSummary, also
// where HasTree is false.
func (s *Summary) Tree() (*Message, error) {
	r := summaryReader{b: s.tree, size: s.size, parts: defaultParts + shallowParts}
	root := r.part(s.Header, 0, defaultDepth+1)
	if r.bad || len(r.b) > 0 {
		return nil, ErrSummary
	}
	return &Message{Root: root, Size: s.size}, nil
}

// summaryReader takes a summary apart. After the first thing that is wrong it
// yields zeros.
type summaryReader struct {
	b     []byte
	size  int64
	parts int // that may still come
	bad   bool
}

func (r *summaryReader) fail() {
	r.bad, r.b = true, nil
}

func (r *summaryReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// offset reads an offset into the message, told from base.
func (r *summaryReader) offset(base int64) int64 {
	v := r.varint()
	if v < -base || v > r.size-base {
		r.fail()
		return base
	}
	return base + v
}

// count reads a number of things of at least one octet each.
func (r *summaryReader) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n) {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *summaryReader) octets() []byte {
	n := r.count()
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *summaryReader) header() Header {
	h, err := ParseHeader(r.octets(), DefaultLimits())
	if err != nil {
		r.fail()
	}
	return h
}

// part reads a part whose header is known, with at most depth levels.
func (r *summaryReader) part(h Header, base int64, depth int) *Part {
	p := &Part{Header: h}
	if r.parts--; r.parts < 0 || depth < 0 || len(r.b) == 0 {
		r.fail()
		return p
	}
	flags := r.b[0]
	r.b = r.b[1:]
	p.Has8Bit, p.Truncated = flags&partHas8Bit != 0, flags&partTruncated != 0
	p.Offset = r.offset(base)
	p.BodyOffset = r.offset(p.Offset)
	p.End = r.offset(p.BodyOffset)
	p.HeaderLines, p.BodyLines = r.varint(), r.varint()
	p.MediaType, p.Encoding = string(r.octets()), string(r.octets())
	if p.BodyOffset < p.Offset || p.End < p.BodyOffset || p.HeaderLines < 0 || p.BodyLines < 0 {
		r.fail()
	}
	p.readParams()
	if flags&partMessage != 0 && !r.bad {
		p.Message = r.part(r.header(), p.BodyOffset, depth-1)
	}
	if flags&partChildren == 0 || r.bad {
		return p
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		p.Children = append(p.Children, r.part(r.header(), p.BodyOffset, depth-1))
	}
	return p
}
