// SPDX-License-Identifier: EUPL-1.2

package signer

import "errors"

// Identifier octets used in CMS.
const (
	tagInteger   = 0x02
	tagBitString = 0x03
	tagOID       = 0x06
	tagSequence  = 0x30
	tagSet       = 0x31
	tagCtx0      = 0xa0 // [0] constructed
	tagCtx1      = 0xa1 // [1] constructed
	tagCtx0Prim  = 0x80 // [0] primitive
)

// element is one element of the output of transcodeBER.
type element struct {
	tag  byte   // identifier octet; tag numbers above 30 do not occur in CMS
	full []byte // with identifier and length
	body []byte // contents octets
}

var (
	errElementMissing = errors.New("CMS: element missing")
	errElementTag     = errors.New("CMS: unexpected element")
	errElementMany    = errors.New("CMS: too many elements")
	errElementRest    = errors.New("CMS: unexpected data after an element")
)

// derReader takes elements one after the other off the contents of another.
type derReader []byte

// next takes the next element, whatever it is.
func (r *derReader) next() (element, error) {
	if len(*r) == 0 {
		return element{}, errElementMissing
	}
	h, err := readHeader(*r)
	if err != nil {
		return element{}, err
	}
	if h.indefinite || h.tagSize != 1 {
		return element{}, errElementTag
	}
	end := h.size + h.length
	e := element{tag: (*r)[0], full: (*r)[:end:end], body: (*r)[h.size:end:end]}
	*r = (*r)[end:]
	return e, nil
}

// expect takes the next element, which must have the tag.
func (r *derReader) expect(tag byte) (element, error) {
	e, err := r.next()
	if err == nil && e.tag != tag {
		err = errElementTag
	}
	return e, err
}

// optional takes the next element if it has the tag.
func (r *derReader) optional(tag byte) (e element, ok bool, err error) {
	if len(*r) == 0 || (*r)[0] != tag {
		return element{}, false, nil
	}
	e, err = r.next()
	return e, err == nil, err
}

// end checks that nothing is left.
func (r *derReader) end() error {
	if len(*r) != 0 {
		return errElementRest
	}
	return nil
}

// elements splits contents octets into at most limit elements.
func elements(body []byte, limit int) ([]element, error) {
	r := derReader(body)
	var out []element
	for len(r) > 0 {
		if len(out) == limit {
			return nil, errElementMany
		}
		e, err := r.next()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
