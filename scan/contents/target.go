// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"
)

// target is where a link leads to, as browsers read it (WHATWG URL): leniently.
// There is no link that cannot be read.
type target struct {
	scheme string // lower case; "" where there is none
	host   string // of a web address: lower case, without port and without a point at its end
	user   bool   // something stands before the host
	path   string
	unc    bool // a file on another machine: \\host\…
	long   bool // the host is longer than any name
}

const (
	// maxTarget bounds what is read of a link, in octets.
	maxTarget = 4 << 10
	// maxNormal bounds a text in its normal form, in octets, in which one letter may
	// become eighteen: it takes its time. Names have 253 characters at most.
	maxNormal = 512
)

func parseTarget(href string) target {
	href = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, href[:min(len(href), maxTarget)])
	href = strings.TrimFunc(href, func(r rune) bool { return r <= ' ' })
	var t target
	rest := href
	switch scheme, after, ok := strings.Cut(href, ":"); {
	case strings.HasPrefix(href, `\\`):
		t.unc = true
		return t
	case strings.HasPrefix(href, "//"):
		t.scheme = "http"
	case ok && isScheme(scheme):
		t.scheme, rest = strings.ToLower(scheme), after
	default:
		t.path = href
		return t
	}
	if !t.web() {
		t.path = rest
		return t
	}
	rest = strings.TrimLeft(rest, `/\`)
	authority := rest
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		authority, t.path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		t.user, authority = i > 0, authority[i+1:]
	}
	t.host, t.long = hostOf(authority)
	return t
}

func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}

// hostOf is the host of an authority without user: percent signs and the points of
// other scripts resolved. One that is too long for a name is not read.
func hostOf(authority string) (host string, long bool) {
	if strings.HasPrefix(authority, "[") {
		host, _, _ := strings.Cut(authority[1:], "]")
		return "[" + strings.ToLower(host) + "]", false
	}
	host, _, _ = strings.Cut(authority, ":")
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	host, long = normal(strings.ReplaceAll(host, "\u00ad", "")) // a soft hyphen is ignored in names
	host = strings.Trim(strings.ToLower(strings.ReplaceAll(host, "。", ".")), ".")
	if long || !nameSized(host) {
		return "", true
	}
	return host, false
}

// nameSized tells whether a host has no more characters than a name and its labels may
// have (RFC 1035 §2.3.4).
func nameSized(host string) bool {
	const longestName, longestLabel = 253, 63
	all, label := 0, 0
	for _, r := range host {
		all, label = all+1, label+1
		if r == '.' {
			label = 0
		}
		if all > longestName || label > longestLabel {
			return false
		}
	}
	return true
}

// normal is a text in the form in which letters that stand for the same are the same
// (NFKC), or its beginning.
func normal(text string) (form string, cut bool) {
	var it norm.Iter
	it.InitString(norm.NFKC, text)
	out := make([]byte, 0, min(len(text), maxNormal))
	for !it.Done() {
		next := it.Next()
		if len(out)+len(next) > maxNormal {
			return string(out), true
		}
		out = append(out, next...)
	}
	return string(out), false
}

// web tells whether the target names a host.
func (t target) web() bool {
	return t.scheme == "http" || t.scheme == "https" || t.scheme == "ftp"
}

// danger names what is wrong with the target, "" for nothing.
func (t target) danger() string {
	switch {
	case t.unc:
		return "Link.Scheme"
	case !t.web():
		if badScheme(t.scheme, t.path) {
			return "Link.Scheme"
		}
		return ""
	case t.user:
		return "Link.Credentials"
	case numericHost(t.host):
		return "Link.IpAddress"
	case t.long, lookalike(t.host):
		return "Link.Lookalike"
	case executable(t.path):
		return "Link.Executable"
	}
	return ""
}

// badScheme tells whether a scheme runs something, or opens what is no web page.
// Of data only pictures are let through.
func badScheme(scheme, rest string) bool {
	if scheme == "data" {
		return !strings.HasPrefix(strings.ToLower(strings.TrimSpace(rest)), "image/") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(rest)), "image/svg")
	}
	return strings.HasPrefix(scheme, "ms-") || slices.Contains([]string{
		"javascript", "vbscript", "jscript", "livescript", "file", "smb", "shell", "search", "search-ms", "mhtml", "jar", "res", "hcp", "wscript", "view-source",
	}, scheme)
}

// numericHost tells whether a host is an address and no name, in any of the
// spellings that browsers take: 10.0.0.1, 0x0a.1, 167772161, [::1].
func numericHost(host string) bool {
	if strings.HasPrefix(host, "[") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// executable tells whether what is fetched runs, or is a document with macros, or
// an image of a disk, by the end of its name.
func executable(p string) bool {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		p = p[:i]
	}
	if decoded, err := url.PathUnescape(p); err == nil {
		p = decoded
	}
	return slices.Contains([]string{
		".exe", ".scr", ".pif", ".cpl", ".msi", ".msix", ".appx", ".bat", ".cmd", ".ps1", ".vbs", ".vbe", ".js", ".jse", ".wsf", ".wsh", ".hta",
		".lnk", ".url", ".chm", ".jar", ".apk", ".iso", ".img", ".vhd", ".vhdx", ".docm", ".dotm", ".xlsm", ".xltm", ".xlam", ".xll", ".pptm", ".ppam",
	}, extension(path.Base(strings.ReplaceAll(p, `\`, "/"))))
}

// shownHost is the host that the text of a link names, "" where it names none.
func shownHost(text string) string {
	text, _ = normal(text)
	text = strings.ToLower(strings.TrimSpace(text))
	if i := strings.Index(text, "http"); i >= 0 {
		if after := text[i:]; strings.HasPrefix(after, "http://") || strings.HasPrefix(after, "https://") {
			return named(parseTarget(strings.Fields(after)[0]).host)
		}
	}
	words := strings.Fields(text)
	for _, w := range words {
		if strings.HasPrefix(w, "www.") {
			return named(parseTarget("http://" + w).host)
		}
	}
	if len(words) != 1 || strings.ContainsAny(text, "@:") {
		return ""
	}
	host := parseTarget("http://" + text).host
	suffix, managed := publicsuffix.PublicSuffix(host)
	// Names of files are no names of hosts, although there are such domains.
	if !managed || host == suffix || slices.Contains([]string{"zip", "md", "sh", "py", "rs", "pl", "ps", "mov", "cab", "ai", "cc", "mp", "sc", "so"}, suffix) {
		return ""
	}
	return named(host)
}

// named returns a host that is a name, without what sentences put behind it.
func named(host string) string {
	host = strings.TrimRight(host, ".,;!?)'\"")
	if !strings.Contains(host, ".") {
		return ""
	}
	return host
}

// sameSite tells whether two hosts belong to one owner, as far as names tell.
func sameSite(a, b string) bool {
	a, b = ascii(a), ascii(b)
	if a == b {
		return true
	}
	x, errX := publicsuffix.EffectiveTLDPlusOne(a)
	y, errY := publicsuffix.EffectiveTLDPlusOne(b)
	return errX == nil && errY == nil && x == y
}
