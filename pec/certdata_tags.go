// SPDX-License-Identifier: EUPL-1.2

package pec

import "bytes"

// The longest tag that the DTD of RFC 6109 §4.4 allows has two short attributes.
const (
	maxTagOctets     = 256
	maxTagAttributes = 8
	maxComment       = 64 << 10
)

// plainTags looks at the tags before the decoder does: it keeps every attribute
// of a tag in memory, so that a few megabytes of empty ones would cost a hundred
// times their size, to anyone who cares to send them.
func plainTags(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			return true
		}
		b = b[i:]
		end, limit := []byte(">"), maxTagOctets
		if bytes.HasPrefix(b, []byte("<!--")) {
			end, limit = []byte("-->"), maxComment
		}
		n := bytes.Index(b[:min(len(b), limit)], end)
		if n < 0 || limit == maxTagOctets && bytes.Count(b[:n], []byte("=")) > maxTagAttributes {
			return false
		}
		b = b[n+len(end):]
	}
}
