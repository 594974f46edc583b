// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"strconv"
	"strings"
)

// parser reads the arguments of a command that the filter kept, in the grammar
// of RFC 9051 §9. A method that finds something else sets failed; the caller
// looks at it once, at the end of what it parses.
type parser struct {
	b      []byte
	failed bool
}

// fail marks the input as wrong.
func (p *parser) fail() { p.failed = true }

// end tells whether everything was read and nothing was wrong.
func (p *parser) end() bool { return !p.failed && len(p.b) == 0 }

// take reads ch where it comes next.
func (p *parser) take(ch byte) bool {
	if p.failed || len(p.b) == 0 || p.b[0] != ch {
		return false
	}
	p.b = p.b[1:]
	return true
}

// want reads ch.
func (p *parser) want(ch byte) {
	if !p.take(ch) {
		p.fail()
	}
}

// space reads the one space that separates arguments.
func (p *parser) space() { p.want(' ') }

// word reads octets as long as valid takes them; there must be one.
func (p *parser) word(valid func(byte) bool) string {
	i := 0
	for i < len(p.b) && valid(p.b[i]) {
		i++
	}
	if i == 0 || p.failed {
		p.fail()
		return ""
	}
	w := string(p.b[:i])
	p.b = p.b[i:]
	return w
}

// atom reads an atom in upper case: a keyword of the grammar.
func (p *parser) atom() string { return strings.ToUpper(p.word(isAtomChar)) }

// number reads a number of up to 63 bits.
func (p *parser) number() int64 {
	n, err := strconv.ParseInt(p.word(isDigit), 10, 64)
	if err != nil {
		p.fail()
	}
	return n
}

// upTo reads a number from 1 to a bound.
func (p *parser) upTo(bound int64) int64 {
	n := p.number()
	if n < 1 || n > bound {
		p.fail()
	}
	return n
}

func isDigit(ch byte) bool { return ch >= '0' && ch <= '9' }

// astring reads an atom, a quoted string or a literal.
func (p *parser) astring() string {
	switch {
	case p.failed || len(p.b) == 0:
		p.fail()
		return ""
	case p.b[0] == '"':
		return p.quoted()
	case p.b[0] == '{' || bytes.HasPrefix(p.b, []byte("~{")):
		return p.literal()
	}
	return p.word(func(ch byte) bool { return isAtomChar(ch) || ch == ']' })
}

func (p *parser) quoted() string {
	var s []byte
	for i := 1; i < len(p.b); i++ {
		switch ch := p.b[i]; ch {
		case '"':
			p.b = p.b[i+1:]
			return string(s)
		case '\\':
			if i++; i < len(p.b) {
				s = append(s, p.b[i])
			}
		case '\r', '\n', 0:
			p.fail()
			return ""
		default:
			s = append(s, ch)
		}
	}
	p.fail()
	return ""
}

// literal reads a literal, whose octets follow a line end within the arguments.
func (p *parser) literal() string {
	p.take('~')
	p.want('{')
	n := p.number()
	p.take('+')
	p.want('}')
	p.want('\r')
	p.want('\n')
	if p.failed || n > int64(len(p.b)) {
		p.fail()
		return ""
	}
	s := string(p.b[:n])
	p.b = p.b[n:]
	return s
}

// list reads a parenthesized list with at least one element.
func (p *parser) list(element func()) {
	p.want('(')
	element()
	for !p.failed && !p.take(')') {
		p.space()
		element()
	}
}

// options is list for one that may be empty.
func (p *parser) options(element func()) {
	if len(p.b) > 1 && p.b[0] == '(' && p.b[1] == ')' {
		p.b = p.b[2:]
		return
	}
	p.list(element)
}

// flag reads a flag or an attribute.
func (p *parser) flag() string {
	if p.take('\\') {
		return `\` + p.word(isAtomChar)
	}
	return p.word(isAtomChar)
}

// set reads a sequence set.
func (p *parser) set(uid bool) numSet {
	s := numSet{uid: uid}
	if p.take('$') {
		s.saved = true
		return s
	}
	for {
		r := numRange{from: p.setNumber()}
		r.to = r.from
		if p.take(':') {
			r.to = p.setNumber()
		}
		s.ranges = append(s.ranges, r)
		if !p.take(',') || p.failed {
			return s
		}
	}
}

func (p *parser) setNumber() uint32 {
	if p.take('*') {
		return 0
	}
	return uint32(p.upTo(1<<32 - 1))
}
