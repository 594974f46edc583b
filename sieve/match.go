// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"strings"
	"unicode/utf8"

	"pecd/rfc822"
)

// matcher compares a string with keys (RFC 5228 §2.7).
type matcher struct {
	how   matchType
	octet bool
	keys  []string // folded, unless octet
	globs []glob   // the same, where how is matchGlob
}

func newMatcher(o options, keys []string) matcher {
	m := matcher{how: o.match, octet: o.octet}
	for _, k := range keys {
		if !o.octet {
			k = rfc822.FoldCase(k)
		}
		if o.match == matchGlob {
			m.globs = append(m.globs, newGlob(k))
		} else {
			m.keys = append(m.keys, k)
		}
	}
	return m
}

// any reports whether the value matches one of the keys.
func (t matcher) any(m *machine, value string) (bool, error) {
	if err := m.spend(len(value)); err != nil {
		return false, err
	}
	if !t.octet {
		value = rfc822.FoldCase(value)
	}
	for _, k := range t.keys {
		if err := m.spend(len(k)); err != nil {
			return false, err
		}
		if t.how == matchIs && k == value {
			return true, nil
		}
		if t.how == matchContains {
			if err := m.spend(len(value)); err != nil {
				return false, err
			}
			if strings.Contains(value, k) {
				return true, nil
			}
		}
	}
	for _, g := range t.globs {
		if ok, err := g.matches(m, value); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// glob is a pattern of :matches. Each element is an octet, or one of the two
// below, which no octet is.
type glob []rune

const (
	anyText      rune = -1 // "*"
	anyCharacter rune = -2 // "?"
)

func newGlob(pattern string) glob {
	g := make(glob, 0, len(pattern))
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			if len(g) == 0 || g[len(g)-1] != anyText { // two of them say what one says
				g = append(g, anyText)
			}
		case c == '?':
			g = append(g, anyCharacter)
		case c == '\\' && i+1 < len(pattern):
			i++
			g = append(g, rune(pattern[i]))
		default:
			g = append(g, rune(c))
		}
	}
	return g
}

// matches compares a pattern with a whole value. Behind a "*" it goes on from
// there where it fails, and never from an earlier one: the time is at most the
// product of both lengths, and counted.
func (g glob) matches(m *machine, value string) (bool, error) {
	star, again := -1, 0 // behind the last "*", and from where in value it is tried next
	work, i, p := 0, 0, 0
	for i < len(value) {
		if work++; work&0xfff == 0 {
			if err := m.spend(0x1000); err != nil {
				return false, err
			}
		}
		switch {
		case p < len(g) && g[p] == anyText:
			star, again = p+1, i
			p++
			continue
		case p < len(g) && g[p] == anyCharacter:
			_, n := utf8.DecodeRuneInString(value[i:])
			i, p = i+n, p+1
			continue
		case p < len(g) && g[p] == rune(value[i]):
			i, p = i+1, p+1
			continue
		case star < 0:
			return false, m.spend(work & 0xfff)
		}
		again++
		i, p = again, star
	}
	for p < len(g) && g[p] == anyText {
		p++
	}
	return p == len(g), m.spend(work & 0xfff)
}
