// SPDX-License-Identifier: EUPL-1.2

package imap

import "pecd/rfc822"

// binary appends BINARY or BINARY.SIZE (RFC 3516).
func (f *fetcher) binary(b []byte, it *fetchItem, mm *fetched) ([]byte, piece, error) {
	var p *rfc822.Part
	if len(it.part) > 0 {
		tree, err := mm.tree()
		if err != nil {
			return b, piece{}, err
		}
		if p = locate(tree.Root, it.part); p == nil {
			if it.kind == itemBinarySize {
				return append(b, '0'), piece{}, nil
			}
			return append(b, "NIL"...), piece{}, nil
		}
	} else {
		p = &rfc822.Part{End: mm.m.Size, Encoding: "binary"}
	}
	n, err := mm.decodedSize(p)
	if err != nil {
		return b, piece{}, err
	}
	if it.kind == itemBinarySize {
		return appendInt(b, n), piece{}, nil
	}
	off := int64(0)
	if it.partial {
		off = min(it.off, n)
		n = min(n-off, it.n)
	}
	b = append(b, '~', '{')
	b = appendInt(b, n)
	b = append(b, '}', '\r', '\n')
	return b, piece{decode: p, off: off, n: n}, nil
}
