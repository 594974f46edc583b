// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// shifted is the base64 of modified UTF-7: a comma for the slash, no padding,
// and no bits set that stand for nothing.
var shifted = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// decodeName reads the name of a folder, or a pattern of LIST, as a client wrote
// it. With utf8ok (RFC 6855, RFC 9051 §5.1) it stands for itself; otherwise it is
// modified UTF-7 (RFC 3501 §5.1.3), in which UTF-8 is let through: there are
// clients that send it unasked. ok is false for what is neither, and for a name
// that has a shorter form: two names must not be one folder.
func decodeName(s string, utf8ok bool) (name string, ok bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	if utf8ok {
		return s, true
	}
	var b strings.Builder
	justShifted := false
	for s != "" {
		plain, rest, shift := strings.Cut(s, "&")
		if strings.ContainsFunc(plain, isControl) {
			return "", false
		}
		b.WriteString(plain)
		if !shift {
			break
		}
		justShifted = justShifted && plain == ""
		code, after, closed := strings.Cut(rest, "-")
		if !closed {
			return "", false
		}
		s = after
		if code == "" {
			b.WriteByte('&')
			justShifted = false
			continue
		}
		text, ok := decodeShift(code)
		if !ok || justShifted {
			return "", false
		}
		b.WriteString(text)
		justShifted = true
	}
	return b.String(), true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// decodeShift reads the base64 of UTF-16 between "&" and "-". What could stand
// for itself may not be written so.
func decodeShift(code string) (string, bool) {
	if strings.ContainsAny(code, "\r\n") { // which package base64 passes over
		return "", false
	}
	raw, err := shifted.DecodeString(code)
	if err != nil || len(raw)%2 != 0 {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i == len(raw) {
				return "", false
			}
			r = utf16.DecodeRune(r, rune(raw[i])<<8|rune(raw[i+1]))
			if r == utf8.RuneError {
				return "", false
			}
		}
		if r >= ' ' && r <= '~' {
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), true
}

// encodeName writes a folder's name in modified UTF-7.
func encodeName(name string) string {
	var b strings.Builder
	var high []byte // UTF-16 to be shifted
	flush := func() {
		if len(high) > 0 {
			b.WriteByte('&')
			b.WriteString(shifted.EncodeToString(high))
			b.WriteByte('-')
			high = high[:0]
		}
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			for _, u := range utf16.AppendRune(nil, r) {
				high = append(high, byte(u>>8), byte(u))
			}
			continue
		}
		flush()
		b.WriteRune(r)
		if r == '&' {
			b.WriteByte('-')
		}
	}
	flush()
	return b.String()
}

// appendName writes the name of a folder into a response.
func appendName(b []byte, name string, utf8ok bool) []byte {
	if name == inbox {
		return append(b, inbox...)
	}
	if !utf8ok {
		name = encodeName(name)
	}
	return appendString(b, name, utf8ok)
}

// mailbox reads the name of a folder and returns it in the stored form.
func (p *parser) mailbox(utf8ok bool) string {
	name, ok := decodeName(p.astring(), utf8ok)
	if !ok {
		p.fail()
	}
	return folderName(name)
}
