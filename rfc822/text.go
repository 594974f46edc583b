// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// DecodeText turns an unstructured field value with encoded words (RFC 2047)
// into UTF-8 that is safe to show and to put on one line: CR, LF and TAB become
// a space, other controls, octets that are no UTF-8 and characters of unknown
// charsets become U+FFFD. A word that cannot be decoded stays as it is.
func DecodeText(v string) string {
	if !strings.Contains(v, "=?") {
		return safeText(v)
	}
	var out strings.Builder
	var pending []byte // octets of adjacent words: a character may be split between them
	pendingCharset := ""
	flush := func() {
		out.WriteString(decodeCharset(pendingCharset, pending))
		pending, pendingCharset = pending[:0], ""
	}
	afterWord := false
	for len(v) > 0 {
		i := strings.Index(v, "=?")
		if i < 0 {
			break
		}
		word, n, ok := parseWord(v[i:])
		if !ok {
			flush()
			out.WriteString(v[:i+2])
			v, afterWord = v[i+2:], false
			continue
		}
		if gap := v[:i]; !afterWord || strings.Trim(gap, " \t\r\n") != "" {
			flush()
			out.WriteString(gap)
		}
		if !strings.EqualFold(word.charset, pendingCharset) {
			flush()
			pendingCharset = word.charset
		}
		pending = append(pending, word.octets...)
		v, afterWord = v[i+n:], true
	}
	flush()
	out.WriteString(v)
	return safeText(out.String())
}

type encodedWord struct {
	charset string
	octets  []byte
}

// parseWord reads the encoded word at the start of s and returns its length.
// It looks no further than the third question mark, so that a text full of
// beginnings costs no more than its length.
func parseWord(s string) (w encodedWord, n int, ok bool) {
	rest := s[2:]
	i := strings.IndexByte(rest[:min(len(rest), 64)], '?')
	if i <= 0 || !isToken(rest[:i]) {
		return w, 0, false
	}
	w.charset, _, _ = strings.Cut(rest[:i], "*") // RFC 2231 §5: language
	rest = rest[i+1:]
	if len(rest) < 2 || rest[1] != '?' {
		return w, 0, false
	}
	kind, text := rest[0]|0x20, rest[2:]
	end := strings.IndexByte(text, '?')
	if end < 0 || end+1 >= len(text) || text[end+1] != '=' {
		return w, 0, false
	}
	n = len(s) - len(text) + end + 2
	switch kind {
	case 'q':
		w.octets = decodeQ(text[:end])
		return w, n, true
	case 'b':
		w.octets, ok = decodeB(text[:end])
		return w, n, ok
	}
	return w, 0, false
}

func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s):
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if !ok1 || !ok2 {
				out = append(out, c)
				continue
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func decodeB(s string) ([]byte, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
	octets, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return octets, err == nil
}

// decodeCharset turns octets of a charset into a string. Where the charset is
// unknown or the octets are wrong the result may be no valid UTF-8.
func decodeCharset(name string, octets []byte) string {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return string(octets)
	}
	r, err := charset.Reader(name, bytes.NewReader(octets))
	if err != nil {
		return string(octets)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return string(octets)
	}
	return string(text)
}

// safeText makes s valid UTF-8 without controls.
func safeText(s string) string {
	safe := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			safe = false
			break
		}
	}
	if safe {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == '\t':
			return ' '
		case isControl(r):
			return utf8.RuneError
		}
		return r // an octet that is no UTF-8 arrives here as U+FFFD
	}, s)
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
