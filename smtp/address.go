// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"net/netip"
	"strings"
)

const (
	maxAddress = 254 // RFC 5321 §4.5.3.1.3, without the angle brackets
	postmaster = "postmaster"
)

// parsePath reads "<...>" at the start of s: a mailbox, the null path ("") or
// the bare postmaster of RFC 5321 §4.1.1.3. A source route is skipped as
// RFC 5321 appendix C wants it. rest is what follows the closing bracket.
//
// go-smtp's own parser returns a quoted local part without its quotes, which
// makes <"a@b"@c> and <a@b@c> one address; it is not asked.
func parsePath(s string) (addr, rest string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		return "", "", false
	}
	s = s[1:]
	if strings.HasPrefix(s, "@") {
		i := strings.IndexAny(s, ":>")
		if i < 0 || s[i] != ':' {
			return "", "", false
		}
		s = s[i+1:]
	} else if strings.HasPrefix(s, ">") {
		return "", s[1:], restOK(s[1:])
	}
	local, s, ok := parseLocal(s)
	if !ok {
		return "", "", false
	}
	if strings.HasPrefix(s, ">") && strings.EqualFold(local, postmaster) {
		return postmaster, s[1:], restOK(s[1:])
	}
	if !strings.HasPrefix(s, "@") {
		return "", "", false
	}
	domain, s, found := strings.Cut(s[1:], ">")
	if !found || !validDomain(domain) {
		return "", "", false
	}
	addr = local + "@" + domain
	return addr, s, len(addr) <= maxAddress && restOK(s)
}

func restOK(rest string) bool { return rest == "" || rest[0] == ' ' }

// parseLocal reads a dot-string or quoted-string. A quoted string that needs no
// quotes is returned without them; any other keeps them in one canonical form.
func parseLocal(s string) (local, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := 0
		for i < len(s) && (isAtext(s[i]) || s[i] == '.') {
			i++
		}
		return s[:i], s[i:], isDotString(s[:i])
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return quoteLocal(b.String()), s[i+1:], b.Len() > 0
		case c == '\\':
			i++
			if i == len(s) || !isPrintable(s[i]) {
				return "", "", false
			}
			b.WriteByte(s[i])
		case !isPrintable(c):
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

func quoteLocal(s string) string {
	if isDotString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAtext(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

func isAtext(c byte) bool {
	return isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isPrintable(c byte) bool { return c >= ' ' && c <= '~' }

// validDomain accepts a domain of RFC 5321 §4.1.2 or an address literal of
// §4.1.3. Underscores are let through: bounce addresses of others carry them.
func validDomain(d string) bool {
	if lit, ok := strings.CutPrefix(d, "["); ok {
		_, ok = literalIP(lit)
		return ok
	}
	if d == "" || len(d) > 253 {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// literalIP reads what follows the "[" of an address literal.
func literalIP(lit string) (netip.Addr, bool) {
	lit, ok := strings.CutSuffix(lit, "]")
	if !ok {
		return netip.Addr{}, false
	}
	v6 := len(lit) > 5 && strings.EqualFold(lit[:5], "IPv6:")
	if v6 {
		lit = lit[5:]
	}
	a, err := netip.ParseAddr(lit)
	return a, err == nil && a.Zone() == "" && a.Is6() == v6
}

// validMailbox reports whether addr can stand between the brackets of a
// command: nothing in it can end the path or the line.
func validMailbox(addr string) bool {
	got, rest, ok := parsePath("<" + addr + ">")
	return ok && rest == "" && got != "" && strings.Contains(got, "@") && addr[0] != '@'
}
