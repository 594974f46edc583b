// SPDX-License-Identifier: EUPL-1.2

package rfc822

import "strings"

// maxMessageID bounds a Message-ID: a line of RFC 5322 §2.1.1.
const maxMessageID = 998

// MessageID returns the Message-ID of a header as it compares between two copies
// of one message, whatever became of its folding: between the first pair of
// angle brackets, or all of the field's value, without blanks, at most 998
// octets. "" where there is none.
func MessageID(h Header) string {
	v := h.Get("Message-ID")
	if _, after, ok := strings.Cut(v, "<"); ok {
		v, _, _ = strings.Cut(after, ">")
	}
	v = strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, v)
	return v[:min(len(v), maxMessageID)]
}
