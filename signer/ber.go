// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"encoding/binary"
	"errors"
)

// berLimits bounds what transcodeBER takes.
type berLimits struct {
	bytes    int // octets of input
	depth    int // elements inside each other
	elements int // elements in all
}

// The limits for a detached signature. Real ones have 3 to 12 kB, a few hundred
// elements and a depth below 15.
const (
	maxSignatureBytes = 256 << 10
	maxDepth          = 32
)

// What can be wrong with BER input. The texts go to logs.
var (
	errBERSize       = errors.New("BER: too large")
	errBERDepth      = errors.New("BER: nested too deep")
	errBERElements   = errors.New("BER: too many elements")
	errBERTruncated  = errors.New("BER: ends early")
	errBERTag        = errors.New("BER: bad tag")
	errBERLength     = errors.New("BER: bad length")
	errBEREnd        = errors.New("BER: end-of-contents out of place")
	errBERString     = errors.New("BER: constructed OCTET STRING with something else inside")
	errBERIndefinite = errors.New("BER: primitive element of indefinite length")
)

const (
	tagOctetString = 0x04
	bitConstructed = 0x20
)

// berElement is one element as pass 1 found it, in the order of the input.
type berElement struct {
	tag     int32 // offset of the identifier octets
	body    int32 // offset of the contents octets
	end     int32 // offset after the contents (without end-of-contents octets)
	length  int32 // contents octets once transcoded
	tagSize uint8 // identifier octets
	kind    uint8
}

// The kinds of berElement.
const (
	kindPrimitive   uint8 = iota
	kindConstructed       // identifier and length are written, contents follow as elements
	kindJoined            // constructed OCTET STRING, written as a primitive one
	kindSegment           // piece of a joined string: only its contents are written
	kindInnerJoined       // constructed piece of a joined string: nothing is written
)

// berFrame is an element whose contents are being read.
type berFrame struct {
	index      int32 // in the element list
	end        int   // offset after the contents; of the enclosing definite element when indefinite
	indefinite bool
	joined     bool
}

// transcodeBER returns the first element of in with every length definite and
// minimal and every constructed OCTET STRING made primitive, which is what
// encoding/asn1 wants. Octets after the first element are ignored, as OpenSSL
// does. Input that has this form already is returned as it is, not copied.
//
// It runs in linear time, without recursion: pass 1 lists the elements with a
// stack no deeper than the limit, pass 2 writes them. The order of the elements
// of a SET is left alone, because signatures are checked over the order sent.
func transcodeBER(in []byte, lim berLimits) ([]byte, error) {
	if len(in) > lim.bytes || len(in) > 1<<30 {
		return nil, errBERSize
	}
	elements, end, changed, err := scanBER(in, lim)
	if err != nil {
		return nil, err
	}
	if !changed {
		return in[:end], nil
	}
	out := make([]byte, 0, end+end/8)
	for _, e := range elements {
		switch e.kind {
		case kindPrimitive, kindConstructed:
			out = append(out, in[e.tag:e.tag+int32(e.tagSize)]...)
			out = appendLength(out, int(e.length))
		case kindJoined:
			out = append(out, tagOctetString)
			out = appendLength(out, int(e.length))
		}
		if e.kind == kindPrimitive || e.kind == kindSegment {
			out = append(out, in[e.body:e.end]...)
		}
	}
	return out, nil
}

// scanBER is pass 1. It returns the elements in input order with their
// transcoded lengths, the offset after the first top-level element, and whether
// anything has to change.
func scanBER(in []byte, lim berLimits) (elements []berElement, end int, changed bool, err error) {
	elements = make([]berElement, 0, min(len(in)/8+1, 512)) // a real signature has some 300
	var stack []berFrame
	pos := 0
	for {
		// Close what ends here.
		for len(stack) > 0 && !stack[len(stack)-1].indefinite && pos == stack[len(stack)-1].end {
			stack = closeBER(elements, stack, pos)
		}
		if len(elements) > 0 && len(stack) == 0 {
			return elements, pos, changed, nil
		}
		bound := len(in)
		var top *berFrame
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
			bound = top.end
		}
		if bound-pos >= 2 && in[pos] == 0 && in[pos+1] == 0 {
			if top == nil || !top.indefinite {
				return nil, 0, false, errBEREnd
			}
			stack = closeBER(elements, stack, pos)
			pos += 2
			continue
		}
		if len(elements) >= lim.elements {
			return nil, 0, false, errBERElements
		}
		h, err := readHeader(in[pos:bound])
		if err != nil {
			return nil, 0, false, err
		}
		changed = changed || h.indefinite || !h.minimal
		e := berElement{tag: int32(pos), tagSize: uint8(h.tagSize), body: int32(pos + h.size), kind: kindPrimitive}
		octets := in[pos]&^bitConstructed == tagOctetString
		inString := top != nil && top.joined
		if inString && !octets {
			return nil, 0, false, errBERString
		}
		pos += h.size
		if !h.constructed {
			if inString {
				e.kind = kindSegment
			}
			e.end, e.length = int32(pos+h.length), int32(h.length)
			pos += h.length
			elements = append(elements, e)
			if top != nil {
				addLength(elements, top, e)
			}
			continue
		}
		if len(stack) >= lim.depth {
			return nil, 0, false, errBERDepth
		}
		e.kind = kindConstructed
		if octets {
			changed = true
			e.kind = kindJoined
			if inString {
				e.kind = kindInnerJoined
			}
		}
		f := berFrame{index: int32(len(elements)), end: bound, indefinite: h.indefinite, joined: octets}
		if !h.indefinite {
			f.end = pos + h.length
		}
		elements = append(elements, e)
		stack = append(stack, f)
	}
}

// closeBER ends the innermost open element at pos and adds its size to the one around it.
func closeBER(elements []berElement, stack []berFrame, pos int) []berFrame {
	top := stack[len(stack)-1]
	stack = stack[:len(stack)-1]
	elements[top.index].end = int32(pos)
	if len(stack) > 0 {
		addLength(elements, &stack[len(stack)-1], elements[top.index])
	}
	return stack
}

// addLength adds what e will occupy to the contents of the open element parent.
func addLength(elements []berElement, parent *berFrame, e berElement) {
	n := e.length
	switch e.kind {
	case kindPrimitive, kindConstructed, kindJoined:
		size := int32(e.tagSize)
		n += size + int32(lengthSize(int(e.length)))
	}
	elements[parent.index].length += n
}

// berHeader is the identifier and length octets of an element.
type berHeader struct {
	size        int // of both together
	tagSize     int
	length      int // of the contents; 0 when indefinite
	constructed bool
	indefinite  bool
	minimal     bool // the length is encoded as DER wants it
}

// readHeader reads the header at the start of b. A definite length never
// exceeds what is left of b.
func readHeader(b []byte) (berHeader, error) { return readHeaderOf(b, len(b)) }

// readHeaderOf is readHeader where b is the beginning of room octets.
func readHeaderOf(b []byte, room int) (berHeader, error) {
	if len(b) < 2 {
		return berHeader{}, errBERTruncated
	}
	h := berHeader{constructed: b[0]&bitConstructed != 0, tagSize: 1}
	if b[0] == 0 {
		return berHeader{}, errBERTag
	}
	if b[0]&0x1f == 0x1f { // a tag number above 30: seven bits an octet
		for {
			if h.tagSize >= len(b) {
				return berHeader{}, errBERTruncated
			}
			if h.tagSize > 4 {
				return berHeader{}, errBERTag
			}
			h.tagSize++
			if b[h.tagSize-1]&0x80 == 0 {
				break
			}
		}
	}
	if h.tagSize >= len(b) {
		return berHeader{}, errBERTruncated
	}
	first := b[h.tagSize]
	h.size = h.tagSize + 1
	switch {
	case first < 0x80:
		h.length, h.minimal = int(first), true
	case first == 0x80:
		if !h.constructed {
			return berHeader{}, errBERIndefinite
		}
		h.indefinite = true
		return h, nil
	default:
		n := int(first & 0x7f)
		if n > 8 {
			return berHeader{}, errBERLength
		}
		if len(b)-h.size < n {
			return berHeader{}, errBERTruncated
		}
		var eight [8]byte
		copy(eight[8-n:], b[h.size:h.size+n])
		value := binary.BigEndian.Uint64(eight[:])
		h.size += n
		if value > uint64(room-h.size) {
			return berHeader{}, errBERTruncated
		}
		h.length = int(value)
		h.minimal = lengthSize(h.length) == 1+n
	}
	if h.length > room-h.size {
		return berHeader{}, errBERTruncated
	}
	return h, nil
}

// lengthSize returns how many octets the DER encoding of a length takes.
func lengthSize(n int) int {
	size := 1
	if n < 0x80 {
		return size
	}
	for ; n > 0; n >>= 8 {
		size++
	}
	return size
}

// appendLength appends the DER encoding of a length.
func appendLength(out []byte, n int) []byte {
	if n < 0x80 {
		return append(out, byte(n))
	}
	size := lengthSize(n) - 1
	out = append(out, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		out = append(out, byte(n>>(8*i)))
	}
	return out
}
