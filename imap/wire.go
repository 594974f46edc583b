// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The append functions write response data in the syntax of RFC 9051 §9. They
// take any bytes: what a form cannot carry is sent in another one.

func appendInt[T ~int | ~int64 | ~uint32 | ~uint64](b []byte, n T) []byte {
	return strconv.AppendUint(b, uint64(n), 10)
}

// isAtomChar tells whether ch may stand in an atom (RFC 9051, ATOM-CHAR).
func isAtomChar(ch byte) bool {
	if ch <= ' ' || ch >= 0x7f {
		return false
	}
	switch ch {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return true
}

func isAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAtomChar(s[i]) {
			return false
		}
	}
	return s != ""
}

// appendString writes s as a quoted string where that can carry it, as a
// literal otherwise. utf8ok allows UTF-8 in quoted strings (RFC 6855). NUL,
// which no string may hold, is left out.
func appendString(b []byte, s string, utf8ok bool) []byte {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !quotable(s, utf8ok) {
		b = append(b, '{')
		b = appendInt(b, len(s))
		b = append(b, "}\r\n"...)
		return append(b, s...)
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

func quotable(s string, utf8ok bool) bool {
	if len(s) > 4096 {
		return false
	}
	high := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\r' || s[i] == '\n':
			return false
		case s[i] >= utf8.RuneSelf:
			high = true
		}
	}
	return !high || utf8ok && utf8.ValidString(s)
}

// appendNString is appendString with NIL for the empty string.
func appendNString(b []byte, s string, utf8ok bool) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendString(b, s, utf8ok)
}

func appendFlags(b []byte, flags []string) []byte {
	b = append(b, '(')
	for i, f := range flags {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, f...)
	}
	return append(b, ')')
}

// appendDate writes a date-time (RFC 9051, date-time).
func appendDate(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, `"_2-Jan-2006 15:04:05 -0700"`)
}

// appendSet writes numbers as a sequence set that keeps their order.
func appendSet(b []byte, nums []uint32) []byte {
	for i := 0; i < len(nums); {
		j := i
		for j+1 < len(nums) && nums[j+1] == nums[j]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRange(b, numRange{nums[i], nums[j]})
		i = j + 1
	}
	return b
}

// appendRange writes a range of a sequence set.
func appendRange(b []byte, r numRange) []byte {
	b = appendInt(b, r.from)
	if r.to > r.from {
		b = append(b, ':')
		b = appendInt(b, r.to)
	}
	return b
}

// italian replaces the letters that Italian texts need beyond ASCII: resp-text
// carries ASCII only.
var italian = strings.NewReplacer("à", "a'", "è", "e'", "é", "e'", "ì", "i'", "ò", "o'", "ù", "u'",
	"À", "A'", "È", "E'", "É", "E'", "Ì", "I'", "Ò", "O'", "Ù", "U'", "«", "\"", "»", "\"", "’", "'", "…", "...", "–", "-")

// respText makes s fit for the text of a response.
func respText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, italian.Replace(s))
}
