// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"errors"
	"io"
	"mime"
	"net/mail"
	"strings"
)

// Address is one mailbox of an address list: the display name decoded, the
// address (local@domain) as given.
type Address struct{ Name, Address string }

// Errors of ParseAddressList.
var (
	ErrNoAddress        = errors.New("rfc822: no address in the list")
	ErrTooManyAddresses = errors.New("rfc822: too many addresses in the list")
)

const (
	maxAddresses   = 5000
	maxAddressList = 1 << 20 // octets of an address list that are read
)

// ParseAddressList reads the value of From, To, Cc and the like (RFC 5322 §3.4),
// unfolded; groups are flattened. What the grammar does not allow but clients
// send (semicolons between addresses, unquoted names) is read leniently, so that
// every address a list can be taken to hold is returned; they need not be valid:
// see ValidAddress. An empty value gives ErrNoAddress; of more than 5,000
// addresses that many are returned with ErrTooManyAddresses.
func ParseAddressList(v string) ([]Address, error) {
	if strings.Trim(v, " \t\r\n") == "" {
		return nil, ErrNoAddress
	}
	if len(v) > maxAddressList {
		return nil, ErrTooManyAddresses
	}
	var list []Address
	if parsed, err := newAddressParser().ParseList(v); err == nil {
		for _, a := range parsed {
			list = append(list, Address{Name: safeText(a.Name), Address: requote(a.Address)})
		}
	} else {
		list = lenientList(v)
	}
	switch {
	case len(list) == 0:
		return nil, ErrNoAddress
	case len(list) > maxAddresses:
		return list[:maxAddresses], ErrTooManyAddresses
	}
	return list, nil
}

// ParseMailbox reads a value that is to hold exactly one address, such as From in
// PEC. A value outside the grammar is read leniently only where no second address
// can be meant.
func ParseMailbox(v string) (Address, error) {
	list, err := ParseAddressList(v)
	if err != nil {
		return Address{}, err
	}
	if len(list) > 1 {
		return Address{}, ErrTooManyAddresses
	}
	if strings.Count(v, "@") > 1 {
		if _, err := newAddressParser().Parse(v); err != nil {
			return Address{}, ErrTooManyAddresses
		}
	}
	return list[0], nil
}

func newAddressParser() *mail.AddressParser {
	return &mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: lenientCharset}}
}

// lenientCharset never fails, so that an unknown charset in a name does not cost
// the address.
func lenientCharset(name string, r io.Reader) (io.Reader, error) {
	octets, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return strings.NewReader(decodeCharset(name, octets)), nil
}

// requote puts back the quotes net/mail takes off a local part.
func requote(a string) string {
	i := strings.LastIndexByte(a, '@')
	if i < 0 || isDotAtom(a[:i], true) {
		return a
	}
	return `"` + quotedEscaper.Replace(a[:i]) + `"` + a[i:]
}

var quotedEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// lenientList cuts a list at commas, semicolons and the colon of groups, and
// takes an address out of every piece that has an "@". A piece without one is
// the beginning of a name with a comma in it.
func lenientList(v string) []Address {
	var list []Address
	start := 0
	add := func(piece string) bool {
		a, ok := lenientAddress(piece)
		if ok {
			list = append(list, a)
		}
		return ok
	}
	var quoted, angle bool
	comment := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\':
			i++
		case quoted:
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '(':
			comment++
		case c == ')' && comment > 0:
			comment--
		case comment > 0:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case angle:
		case c == ':':
			add(v[start:i])
			start = i + 1
		case c == ',' || c == ';':
			if add(v[start:i]) || c == ';' {
				start = i + 1
			}
			if len(list) > maxAddresses {
				return list
			}
		}
	}
	add(v[start:])
	return list
}

func lenientAddress(piece string) (Address, bool) {
	piece = strings.Trim(piece, " \t\r\n")
	if open := strings.LastIndexByte(piece, '<'); open >= 0 {
		inside := piece[open+1:]
		if end := strings.IndexByte(inside, '>'); end >= 0 {
			inside = inside[:end]
		}
		inside = strings.Trim(inside, " \t")
		if !strings.Contains(inside, "@") {
			return Address{}, false
		}
		name := strings.Trim(piece[:open], " \t")
		if n := len(name); n > 1 && name[0] == '"' && name[n-1] == '"' {
			name = name[1 : n-1]
		}
		return Address{Name: DecodeText(name), Address: safeText(inside)}, true
	}
	for _, word := range strings.FieldsFunc(withoutComments(piece), func(r rune) bool {
		return strings.ContainsRune(" \t\r\n()\"", r)
	}) {
		if strings.Contains(word, "@") {
			return Address{Address: safeText(word)}, true
		}
	}
	return Address{}, false
}

// withoutComments leaves out what stands in parentheses.
func withoutComments(s string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
			b.WriteByte(' ')
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ValidAddress tells whether a is an address PEC can carry: a dot-atom or quoted
// local part of at most 64 octets, "@", a host name; ASCII, at most 254 octets
// (RFC 5321 §4.1.2, §4.5.3.1).
func ValidAddress(a string) bool {
	i := strings.LastIndexByte(a, '@')
	if i < 1 || i > 64 || len(a) > 254 {
		return false
	}
	return (isDotAtom(a[:i], false) || isQuotedLocal(a[:i])) && isHostName(a[i+1:])
}

// isDotAtom tells whether s is a dot-atom of RFC 5322 §3.2.3; utf8 also allows
// the octets RFC 6532 adds.
func isDotAtom(s string, utf8 bool) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 && utf8 {
			continue
		}
		if c <= ' ' || c > '~' || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return true
}

func isQuotedLocal(s string) bool {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				return false
			}
		} else if s[i] == '"' {
			return false
		}
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}

// FoldCase returns a with ASCII letters in lower case, for comparing addresses.
// Other letters stay: Unicode folding would make different addresses equal.
func FoldCase(a string) string {
	for i := 0; i < len(a); i++ {
		if a[i] >= 'A' && a[i] <= 'Z' {
			b := []byte(a)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return a
}
