// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// lookalike tells whether a host has a label that pretends to be another one:
// letters of several scripts in one word, a word of foreign letters that all look
// Latin, or an encoding of which nothing can be read (UTS #39, simplified). Letters
// with accents are Latin: città.it is what it says.
func lookalike(host string) bool {
	labels := strings.Split(host, ".")
	latinEnd := !strings.HasPrefix(labels[len(labels)-1], "xn--") && isASCII(labels[len(labels)-1])
	for _, l := range labels {
		if isASCII(l) && !strings.HasPrefix(l, "xn--") {
			continue
		}
		shown, err := idna.Punycode.ToUnicode(l)
		if err != nil || shown == "" || strings.HasPrefix(shown, "xn--") || mixed(shown) || latinEnd && posing(shown) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// mixed tells whether Latin letters stand beside those of another script. Chinese,
// Japanese and Korean words do have Latin letters among them.
func mixed(label string) bool {
	var latin, other bool
	for _, r := range label {
		switch {
		case unicode.Is(unicode.Latin, r):
			latin = latin || !strange(r)
			other = other || strange(r)
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo), !unicode.IsLetter(r):
		default:
			other = true
		}
	}
	return latin && other
}

// strange are Latin letters that no word of a language has which is written here,
// and that look like common ones.
func strange(r rune) bool {
	return r == 'ı' || r >= 0x0250 && r <= 0x02af || r >= 0x1d00 && r <= 0x1dbf || r >= 0xa720 && r <= 0xa7ff
}

// posing tells whether all letters of a foreign word look like Latin ones.
func posing(label string) bool {
	const alike = "асеоруіјѕһԁԛԝӏкмтвнхьъгѵүҫӓӧё" + "αορυνικτγωηεχβ" + "ոսօցհ"
	letters := 0
	for _, r := range label {
		if !unicode.IsLetter(r) {
			continue
		}
		if letters++; !strings.ContainsRune(alike, unicode.ToLower(r)) {
			return false
		}
	}
	return letters > 0
}

// ascii is a host in the form in which names are registered.
func ascii(host string) string {
	if isASCII(host) {
		return host
	}
	if a, err := idna.Punycode.ToASCII(host); err == nil {
		return a
	}
	return host
}
