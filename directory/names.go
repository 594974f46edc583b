// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"strings"

	"pecd/fault"
)

// Bounds of names, RFC 5321 §4.5.3.1 and RFC 1035 §2.3.4, in octets.
const (
	maxAddress = 254
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
)

// CanonicalDomain returns a host name in the form in which the directory keeps
// it: lower case, A-labels (RFC 5890), no final dot. It wants at least two
// labels of letters, digits and hyphens. Errors are of kind Invalid.
func CanonicalDomain(name string) (string, error) {
	d, why := canonicalDomain(name)
	if why != "" {
		return "", fault.Say("directory.CanonicalDomain", fault.Invalid, why)
	}
	return d, nil
}

func canonicalDomain(name string) (domain, why string) {
	const (
		malformed = "nome di dominio non valido / malformed domain name"
		short     = "il dominio deve avere almeno due etichette / a domain needs at least two labels"
	)
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 4*maxDomain {
		return "", malformed
	}
	if !plainLower(name) {
		labels := strings.Split(name, ".")
		for i, l := range labels {
			a, ok := toASCIILabel(l)
			if !ok {
				return "", malformed
			}
			labels[i] = a
		}
		name = strings.Join(labels, ".")
	}
	if len(name) > maxDomain {
		return "", malformed
	}
	if !strings.Contains(name, ".") {
		return "", short
	}
	for rest := name; ; {
		label, tail, more := strings.Cut(rest, ".")
		if !isHostLabel(label) {
			return "", malformed
		}
		if !more {
			if strings.Trim(label, "0123456789") == "" {
				return "", malformed // an IPv4 address is no domain
			}
			return name, ""
		}
		rest = tail
	}
}

// CanonicalAddress returns a mailbox address in the form in which the directory
// keeps it: lower case, dot-atom local part, domain as in CanonicalDomain.
// Errors are of kind Invalid.
func CanonicalAddress(address string) (string, error) {
	a, _, why := canonicalAddress(address)
	if why != "" {
		return "", fault.Say("directory.CanonicalAddress", fault.Invalid, why)
	}
	return a, nil
}

func canonicalAddress(address string) (whole, domain, why string) {
	const malformed = "indirizzo non valido / malformed address"
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", "", malformed
	}
	local := strings.ToLower(address[:at])
	if len(local) > maxLocal || !isDotAtom(local) {
		return "", "", malformed
	}
	domain, why = canonicalDomain(address[at+1:])
	if why != "" {
		return "", "", why
	}
	if strings.HasSuffix(address, ".") || len(local)+1+len(domain) > maxAddress {
		return "", "", malformed
	}
	return local + "@" + domain, domain, ""
}

// canonicalLogin accepts an address or a plain dot-atom name of up to 64 octets.
func canonicalLogin(login string) (string, bool) {
	if strings.IndexByte(login, '@') >= 0 {
		a, _, why := canonicalAddress(login)
		return a, why == ""
	}
	if len(login) > maxLocal || !isDotAtom(login) {
		return "", false
	}
	return strings.ToLower(login), true
}

// LoginKey is what wrong passwords for a login are counted by: its canonical form,
// and for what can be no login the text itself.
func LoginKey(login string) string {
	if name, ok := canonicalLogin(login); ok {
		return name
	}
	return strings.ToLower(login)
}

// plainLower reports whether s is ASCII without upper case letters.
func plainLower(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func isHostLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// isDotAtom reports whether s is dot-atom-text of RFC 5322 §3.2.3.
func isDotAtom(s string) bool {
	dot := true // a dot may not come now
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if dot {
				return false
			}
			dot = true
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0:
			dot = false
		default:
			return false
		}
	}
	return !dot
}
