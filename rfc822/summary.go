// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
)

// The first octet of a summary is its version. It grows with every change of the
// encoding or of what is kept: a summary of a version that is not known is made
// anew. The two that are differ in the preview alone, so that what was stored
// before there were previews goes on being read.
const (
	summaryVersion = 1
	previewVersion = 2 // a preview stands before the tree
)

const (
	summaryTree  = 1 << iota // the MIME tree follows
	summaryClean             // the header is whole and well formed
)

// ErrSummary is returned for octets that are no summary of this version, or are
// damaged: the message has to be read again.
var ErrSummary = errors.New("rfc822: no usable summary")

// Summary is what a mail store keeps of a message so as to answer for it without
// opening it: the header fields that clients ask for, the MIME tree, and the
// beginning of its text.
type Summary struct {
	// Header holds the fields for which KeptField is true, exactly as received,
	// with the blank line that ends the header.
	Header Header
	// Clean tells that the header was within the limits and had no malformed line:
	// then a field that KeptField names and Header lacks is not there.
	Clean bool
	// BodyOffset is where the header ends, in octets.
	BodyOffset int64

	size    int64
	head    int    // octets of the encoding before the preview
	preview []byte // nil: not known
	tree    []byte // nil: not known
}

// Summary encodes what is kept of m. The result holds no reference to m.
func (m *Message) Summary() []byte {
	root := m.Root
	whole := m.Find(DefectHeaderSize, DefectHeaderFields) == nil // of any part: the root's cannot be told apart
	b := startSummary(root.Header, root.BodyOffset, whole, true)
	return endSummary(appendTree(b, root, 0, true))
}

// HeaderSummary encodes a summary without the tree of a message that starts with
// the octets of head. ok is false where its header does not end there.
func HeaderSummary(head []byte) (b []byte, ok bool) {
	h, err := ParseHeader(head, DefaultLimits())
	if err != nil || len(h.blank()) == 0 {
		return nil, false
	}
	return endSummary(startSummary(h, int64(len(h.raw)), true, false)), true
}

// startSummary writes everything before the tree.
func startSummary(h Header, bodyOffset int64, whole, tree bool) []byte {
	var flags byte
	if tree {
		flags |= summaryTree
	}
	if whole && len(h.defects) == 0 {
		flags |= summaryClean
	}
	b := make([]byte, 0, 768)
	b = append(b, summaryVersion, flags)
	b = binary.AppendVarint(b, bodyOffset)
	return appendKept(b, h, true)
}

// endSummary writes the check sum.
func endSummary(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

// appendKept writes the kept fields of a header, their length before them.
func appendKept(b []byte, h Header, message bool) []byte {
	blank := h.blank()
	n := len(blank)
	for _, s := range h.spans {
		if keptField(h.name(s), message) {
			n += int(s.end - s.start)
		}
	}
	b = binary.AppendUvarint(slices.Grow(b, n+8), uint64(n))
	for _, s := range h.spans {
		if keptField(h.name(s), message) {
			b = append(b, h.raw[s.start:s.end]...)
		}
	}
	return append(b, blank...)
}

// blank is the blank line at the end of the block, empty where there is none.
func (h Header) blank() []byte {
	if n := len(h.spans); n > 0 {
		return h.raw[h.spans[n-1].end:]
	}
	return h.raw
}

// Bits of a part.
const (
	partHas8Bit = 1 << iota
	partTruncated
	partMessage
	partChildren
)

// appendTree writes a part and what is below it. Offsets are told from base, the
// header of the root is told elsewhere.
func appendTree(b []byte, p *Part, base int64, root bool) []byte {
	var flags byte
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(partHas8Bit, p.Has8Bit)
	set(partTruncated, p.Truncated)
	set(partMessage, p.Message != nil)
	set(partChildren, len(p.Children) > 0)
	b = append(b, flags)
	b = binary.AppendVarint(b, p.Offset-base)
	b = binary.AppendVarint(b, p.BodyOffset-p.Offset)
	b = binary.AppendVarint(b, p.End-p.BodyOffset)
	b = binary.AppendVarint(b, p.HeaderLines)
	b = binary.AppendVarint(b, p.BodyLines)
	b = append(binary.AppendUvarint(b, uint64(len(p.MediaType))), p.MediaType...)
	b = append(binary.AppendUvarint(b, uint64(len(p.Encoding))), p.Encoding...)
	if p.Message != nil {
		b = appendKept(b, p.Message.Header, true)
		b = appendTree(b, p.Message, p.BodyOffset, true)
	}
	if len(p.Children) > 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Children)))
	}
	for _, c := range p.Children {
		b = appendKept(b, c.Header, false)
		b = appendTree(b, c, p.BodyOffset, false)
	}
	return b
}

// KeptField tells whether a summary keeps the header fields of that name, in any
// case of letters, of the message itself and of attached messages.
func KeptField(name string) bool { return keptField([]byte(name), true) }

// keptField is KeptField; of parts that are no messages those that say what the
// part is are enough.
func keptField(name []byte, message bool) bool {
	var lower [32]byte
	if len(name) > len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case "content-type", "content-transfer-encoding", "content-disposition", "content-id",
		"content-description", "content-md5", "content-language", "content-location":
		return true
	case "date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id",
		"references", "newsgroups", "priority", "x-priority",
		// RFC 6109 §4: what applications look for receipts by.
		"x-ricevuta", "x-trasporto", "x-riferimento-message-id", "x-tiporicevuta", "x-verificasicurezza":
		return message
	}
	return false
}
