// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// collate returns the form of s in which the collation i;unicode-casemap
// (RFC 5051 §2) compares octets: each character in title case, and decomposed as
// far as Unicode has decompositions.
func collate(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && (s[i] < 'a' || s[i] > 'z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+8), s[:i]...)
	for _, r := range s[i:] {
		r = unicode.ToTitle(r)
		at := len(b)
		b = utf8.AppendRune(b, r)
		if r < utf8.RuneSelf {
			continue
		}
		if d := norm.NFKD.Properties(b[at:]).Decomposition(); d != nil {
			b = append(b[:at], d...)
		}
	}
	return string(b)
}
