// SPDX-License-Identifier: EUPL-1.2

package imap

import imaplib "github.com/emersion/go-imap/v2"

// parseList reads the arguments of LIST or LSUB. The patterns have the reference
// before them.
func parseList(args []byte, lsub, utf8ok bool) (listQuery, error) {
	q := listQuery{lsub: lsub, subscribed: lsub}
	p := &parser{b: args}
	p.space()
	if !lsub && len(p.b) > 0 && p.b[0] == '(' {
		p.options(func() { p.listSelect(&q) })
		p.space()
	}
	ref, ok := decodeName(p.astring(), utf8ok)
	p.space()
	count := 0
	pattern := func() {
		text, valid := decodeName(p.listString(), utf8ok)
		ok = ok && valid
		if count++; text != "" {
			q.patterns = append(q.patterns, ref+text)
		}
	}
	if !lsub && len(p.b) > 0 && p.b[0] == '(' {
		p.list(pattern)
	} else {
		pattern()
	}
	if !lsub && p.take(' ') {
		if p.atom() != "RETURN" {
			p.fail()
		}
		p.space()
		p.options(func() { p.listReturn(&q) })
	}
	// RECURSIVEMATCH says nothing without what to look for below.
	if !p.end() || !ok || q.recursive && !q.subscribed {
		return q, errSyntax
	}
	if count > maxPatterns {
		return q, bad("troppi modelli / too many patterns")
	}
	for i, text := range q.patterns {
		if len(text) > maxPattern {
			return q, no(imaplib.ResponseCodeLimit, "modello troppo lungo / pattern too long")
		}
		q.patterns[i] = folderName(text)
	}
	return q, nil
}

// listSelect reads a selection option.
func (p *parser) listSelect(q *listQuery) {
	switch p.atom() {
	case "SUBSCRIBED":
		q.subscribed = true
	case "SPECIAL-USE":
		q.specialUse = true
	case "RECURSIVEMATCH":
		q.recursive = true
	case "REMOTE": // all folders are here
	default:
		p.fail()
	}
}

// listReturn reads a return option.
func (p *parser) listReturn(q *listQuery) {
	switch p.atom() {
	case "SUBSCRIBED":
		q.tellSubscribed = true
	case "CHILDREN", "SPECIAL-USE": // told in any case
	case "STATUS":
		p.space()
		q.status = p.statusItems()
	default:
		p.fail()
	}
}

// listString reads a pattern: an astring in which wildcards may stand.
func (p *parser) listString() string {
	if len(p.b) > 0 && (p.b[0] == '"' || p.b[0] == '{') {
		return p.astring()
	}
	return p.word(func(ch byte) bool { return isAtomChar(ch) || ch == ']' || ch == '%' || ch == '*' })
}
