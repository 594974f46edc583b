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
	return string(appendCollated(append(make([]byte, 0, len(s)+8), s[:i]...), s[i:]))
}

// appendCollated appends the collated form of text. What is no UTF-8 becomes
// U+FFFD.
func appendCollated[T string | []byte](b []byte, text T) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		i += n
		at := len(b)
		b = utf8.AppendRune(b, unicode.ToTitle(r))
		if b[at] >= utf8.RuneSelf {
			if d := norm.NFKD.Properties(b[at:]).Decomposition(); d != nil {
				b = append(b[:at], d...)
			}
		}
	}
	return b
}
