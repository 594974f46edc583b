// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// rdn is one component of a distinguished name.
type rdn struct{ attr, value string }

// maxRDNs bounds a distinguished name; those of the index have up to three.
const maxRDNs = 16

// parseDN reads the string form of a distinguished name, RFC 4514 §3, with one
// attribute a component. Attribute types are lower-cased, escapes resolved.
func parseDN(dn string) ([]rdn, error) {
	if !utf8.ValidString(dn) {
		return nil, errors.New("dn is not UTF-8")
	}
	var out []rdn
	for rest := dn; ; {
		if len(out) == maxRDNs {
			return nil, errors.New("dn too long")
		}
		attr, tail, ok := strings.Cut(rest, "=")
		attr = strings.ToLower(strings.TrimSpace(attr))
		if !ok || !isAttrType([]byte(attr)) {
			return nil, fmt.Errorf("malformed dn %.80q", dn)
		}
		value, next, more, err := dnValue(tail)
		if err != nil {
			return nil, fmt.Errorf("malformed dn %.80q: %w", dn, err)
		}
		out = append(out, rdn{attr, value})
		if !more {
			return out, nil
		}
		rest = next
	}
}

// dnValue reads a value up to the next unescaped comma.
func dnValue(s string) (value, rest string, more bool, err error) {
	s = strings.TrimLeft(s, " ")
	var b strings.Builder
	kept := 0 // length up to the last octet that is no trailing space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',':
			return b.String()[:kept], s[i+1:], true, checkUTF8(b.String())
		case c == '\\':
			if i+1 >= len(s) {
				return "", "", false, errors.New("escape at the end")
			}
			if raw, herr := hex.DecodeString(s[i+1 : min(i+3, len(s))]); herr == nil && len(raw) == 1 {
				b.WriteByte(raw[0])
				i += 2
			} else {
				b.WriteByte(s[i+1])
				i++
			}
			kept = b.Len()
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	return b.String()[:kept], "", false, checkUTF8(b.String())
}

func checkUTF8(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("escapes are not UTF-8")
	}
	return nil
}

// escapeDN writes a value as RFC 4514 §2.4 wants it in a distinguished name.
func escapeDN(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == 0:
			b.WriteString(`\00`)
			continue
		case strings.IndexByte(`,+"\<>;=`, c) >= 0, c == ' ' && (i == 0 || i == len(v)-1), c == '#' && i == 0:
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
