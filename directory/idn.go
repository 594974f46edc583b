// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// toASCIILabel turns one label into lower-case LDH form: ASCII is lower-cased,
// anything else is mapped (NFKC, lower case) and encoded as an A-label when all
// of it is PVALID by RFC 5892: letters, marks, digits. Code points that need
// context rules and right-to-left scripts are refused; their A-labels are not.
func toASCIILabel(label string) (string, bool) {
	if !utf8.ValidString(label) || len(label) > 4*maxDomain {
		return "", false
	}
	mapped := norm.NFKC.String(strings.ToLower(norm.NFKC.String(label)))
	ascii := true
	for i, r := range mapped {
		if r < utf8.RuneSelf {
			continue // isHostLabel judges it
		}
		ascii = false
		if !unicode.In(r, unicode.Ll, unicode.Lo, unicode.Lm, unicode.Mn, unicode.Mc, unicode.Nd) {
			return "", false
		}
		if i == 0 && unicode.IsMark(r) {
			return "", false
		}
		p, _ := bidi.LookupString(string(r))
		if c := p.Class(); c == bidi.R || c == bidi.AL || c == bidi.AN {
			return "", false
		}
	}
	if ascii {
		return mapped, true
	}
	if strings.HasPrefix(mapped, "-") || strings.HasSuffix(mapped, "-") || len(mapped) >= 4 && mapped[2:4] == "--" {
		return "", false
	}
	coded, ok := punycode(mapped)
	return "xn--" + coded, ok && len(coded)+4 <= maxLabel
}

// punycode encodes s by RFC 3492 §6.3 with the parameters of its §5.
func punycode(s string) (string, bool) {
	const (
		base, tMin, tMax     = 36, 1, 26
		skew, damp, initBias = 38, 700, 72
		digits               = "abcdefghijklmnopqrstuvwxyz0123456789"
	)
	runes := []rune(s)
	var out strings.Builder
	for _, r := range runes {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
		}
	}
	basic := out.Len()
	done := basic
	if basic > 0 {
		out.WriteByte('-')
	}
	n, delta, bias := rune(utf8.RuneSelf), 0, initBias
	for done < len(runes) {
		next := rune(math.MaxInt32)
		for _, r := range runes {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (done + 1)
		if delta > math.MaxInt32 {
			return "", false
		}
		n = next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tMin), tMax)
				if q < t {
					break
				}
				out.WriteByte(digits[t+(q-t)%(base-t)])
				q = (q - t) / (base - t)
			}
			out.WriteByte(digits[q])
			// adapt the bias, §6.1
			if done == basic {
				delta /= damp
			} else {
				delta /= 2
			}
			delta += delta / (done + 1)
			k := 0
			for delta > (base-tMin)*tMax/2 {
				delta /= base - tMin
				k += base
			}
			bias = k + (base-tMin+1)*delta/(delta+skew)
			delta = 0
			done++
		}
		delta++
		n++
	}
	return out.String(), true
}
