// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"

	"pecd/rfc822"
)

// maxAddresses is how many addresses of one field an ENVELOPE tells.
const maxAddresses = 5000

// appendEnvelope writes an ENVELOPE (RFC 9051 §7.5.2): the values as they stand
// in the header, unfolded, nothing decoded or normalised.
func appendEnvelope(b []byte, h rfc822.Header, utf8ok bool) []byte {
	b = append(b, '(')
	b = appendNString(b, h.Get("Date"), utf8ok)
	b = append(b, ' ')
	b = appendNString(b, h.Get("Subject"), utf8ok)
	from := addressList(h, "From")
	for _, name := range []string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc"} {
		list := from
		if name != "From" {
			list = addressList(h, name)
		}
		if len(list) == 0 && (name == "Sender" || name == "Reply-To") {
			list = from
		}
		b = append(b, ' ')
		b = appendAddresses(b, list, utf8ok)
	}
	b = append(b, ' ')
	b = appendNString(b, h.Get("In-Reply-To"), utf8ok)
	b = append(b, ' ')
	b = appendNString(b, h.Get("Message-ID"), utf8ok)
	return append(b, ')')
}

// address is one element of an address list: a mailbox, the start of a group
// (host empty) or its end (both empty).
type address struct{ name, route, mailbox, host string }

func addressList(h rfc822.Header, field string) []address {
	var list []address
	for _, v := range h.Values(field) {
		list = append(list, parseAddresses(v, maxAddresses-len(list))...)
	}
	return list
}

func appendAddresses(b []byte, list []address, utf8ok bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for _, a := range list {
		b = append(b, '(')
		b = appendNString(b, a.name, utf8ok)
		b = append(b, ' ')
		b = appendNString(b, a.route, utf8ok)
		b = append(b, ' ')
		b = appendNString(b, a.mailbox, utf8ok)
		b = append(b, ' ')
		b = appendNString(b, a.host, utf8ok)
		b = append(b, ')')
	}
	return append(b, ')')
}

// parseAddresses reads an address list (RFC 5322 §3.4) without decoding it, and
// makes what it can of one that is malformed. At most limit elements.
func parseAddresses(v string, limit int) []address {
	var list []address
	p := addressParser{s: v}
	group := false
	for len(list) < limit {
		a, stop := p.element()
		if stop == ':' && !group {
			list = append(list, address{mailbox: orUnknown(a.phrase())})
			group = true
			continue
		}
		if addr, ok := a.address(); ok {
			list = append(list, addr)
		}
		if stop == ';' && group {
			list = append(list, address{})
			group = false
		}
		if stop == 0 {
			break
		}
	}
	if group {
		list = append(list, address{})
	}
	return list
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

type addressParser struct {
	s string
	i int
}

// element is what stands between two separators of an address list.
type element struct {
	words   []string // outside of angle brackets, quotes removed
	spaced  []bool   // white space stands before the word
	angle   []string // inside them
	isAngle bool
	comment string // the last one
}

// element reads up to the next separator: ',', ';', ':' or 0 for the end.
func (p *addressParser) element() (e element, stop byte) {
	space, inside := false, false
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == ' ' || c == '\t':
			p.i++
			space = true
			continue
		case c == '(':
			e.comment = p.comment()
			space = true
			continue
		case c == '<' && !e.isAngle:
			p.i++
			e.isAngle, inside = true, true
			continue
		case c == '>' && inside:
			p.i++
			inside = false
			continue
		case !inside && (c == ',' || c == ';' || c == ':'):
			p.i++
			return e, c
		}
		word := p.word(inside)
		if inside {
			e.angle = append(e.angle, word)
			continue
		}
		e.words = append(e.words, word)
		e.spaced = append(e.spaced, space)
		space = false
	}
	return e, 0
}

// word reads a quoted string, a special or a run of other characters.
func (p *addressParser) word(inside bool) string {
	if p.s[p.i] == '"' {
		return p.quoted()
	}
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == ' ' || c == '\t' || c == '"' || c == '<' || c == '(' || inside && c == '>' ||
			!inside && (c == ',' || c == ';' || c == ':') {
			break
		}
		p.i++
	}
	if p.i == start { // a stray special
		p.i++
	}
	return p.s[start:p.i]
}

func (p *addressParser) quoted() string {
	var b strings.Builder
	for p.i++; p.i < len(p.s); p.i++ {
		c := p.s[p.i]
		if c == '"' {
			p.i++
			break
		}
		if c == '\\' && p.i+1 < len(p.s) {
			p.i++
			c = p.s[p.i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (p *addressParser) comment() string {
	depth, start := 0, p.i+1
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.i++
				return p.s[start : p.i-1]
			}
		}
	}
	p.i = len(p.s)
	return p.s[min(start, len(p.s)):]
}

// phrase joins the words as they stood, white space reduced to one blank.
func (e *element) phrase() string {
	var b strings.Builder
	for i, w := range e.words {
		if e.spaced[i] && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

// address makes a mailbox of an element; ok is false for an empty one.
func (e *element) address() (a address, ok bool) {
	spec := strings.Join(e.words, "")
	if e.isAngle {
		spec = strings.Join(e.angle, "")
		a.name = e.phrase()
		if i := strings.IndexByte(spec, ':'); i >= 0 && strings.HasPrefix(spec, "@") { // source route
			a.route, spec = spec[:i], spec[i+1:]
		}
	} else {
		a.name = e.comment // RFC 822 style: user@host (Name)
	}
	if spec == "" && (a.name == "" || !e.isAngle) { // nothing, or a comment alone
		return a, false
	}
	a.mailbox, a.host = spec, ""
	if i := strings.LastIndexByte(spec, '@'); i >= 0 {
		a.mailbox, a.host = spec[:i], spec[i+1:]
	} else if !e.isAngle {
		a.mailbox = e.phrase()
	}
	// An empty mailbox or host would be taken for a group.
	a.mailbox = orUnknown(a.mailbox)
	if a.host == "" {
		a.host = ".SYNTAX-ERROR."
	}
	return a, true
}
