// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// A receipt is mostly base64: certification data that repeat themselves, whose
// repetition the encoding's lines hide from a compressor. fold turns runs of
// full base64 lines back into octets. What it cannot restore to the same bytes
// it leaves alone, so that unfold(fold(b)) is b for every b.
//
// Folded form: pairs of a plain stretch and a decoded stretch, each with its
// length as uvarint before it; either may be empty.
const (
	foldLine     = 76 // characters of a full base64 line (RFC 2045 §6.8)
	foldOctets   = foldLine / 4 * 3
	foldFull     = foldLine + 2 // with CRLF
	minFoldLines = 4            // shorter runs are not worth their lengths
	// maxFoldOverhead bounds what folding adds to a segment nothing of which folds.
	maxFoldOverhead = 4 * binary.MaxVarintLen64
)

func fold(b []byte) []byte {
	out := make([]byte, 0, len(b)+maxFoldOverhead)
	plain := 0 // where the present plain stretch begins
	for at := 0; at < len(b); {
		n := foldable(b[at:])
		if n >= minFoldLines {
			out = appendStretch(out, b[plain:at])
			out = binary.AppendUvarint(out, uint64(n*foldOctets))
			for range n {
				out, _ = base64.StdEncoding.AppendDecode(out, b[at:at+foldLine]) // foldable has looked
				at += foldFull
			}
			plain = at
			continue
		}
		end := bytes.IndexByte(b[at+n*foldFull:], '\n')
		if end < 0 {
			break
		}
		at += n*foldFull + end + 1
	}
	out = appendStretch(out, b[plain:])
	return binary.AppendUvarint(out, 0)
}

func appendStretch(out, b []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

// foldable counts the full base64 lines at the start of b.
func foldable(b []byte) (lines int) {
	for len(b) >= foldFull && b[foldLine] == '\r' && b[foldLine+1] == '\n' && isBase64(b[:foldLine]) {
		lines++
		b = b[foldFull:]
	}
	return lines
}

func isBase64(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' {
			return false
		}
	}
	return true
}

// unfold restores the size bytes that fold was given.
func unfold(f []byte, size int) ([]byte, error) {
	out := make([]byte, 0, size)
	for len(f) > 0 {
		plain, rest, err := stretch(f)
		if err != nil {
			return nil, err
		}
		coded, rest, err := stretch(rest)
		if err != nil {
			return nil, err
		}
		if len(out)+len(plain)+len(coded)/foldOctets*foldFull > size || len(coded)%foldOctets != 0 {
			return nil, fmt.Errorf("segment is not of %d bytes", size)
		}
		out = append(out, plain...)
		for ; len(coded) > 0; coded = coded[foldOctets:] {
			out = append(base64.StdEncoding.AppendEncode(out, coded[:foldOctets]), '\r', '\n')
		}
		f = rest
	}
	if len(out) != size {
		return nil, fmt.Errorf("segment has %d bytes, not %d", len(out), size)
	}
	return out, nil
}

func stretch(f []byte) (b, rest []byte, err error) {
	n, w := binary.Uvarint(f)
	if w <= 0 || n > uint64(len(f)-w) {
		return nil, nil, fmt.Errorf("segment's folding is damaged")
	}
	return f[w : w+int(n)], f[w+int(n):], nil
}
