// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"
	"time"
)

// searchOp is what a search key compares.
type searchOp uint8

const (
	opAll searchOp = iota
	opNone
	opSet     // sequence numbers or UIDs
	opFlag    // text
	opLarger  // n
	opSmaller // n
	opSince   // date, of the arrival; the next two as well
	opBefore
	opOn
	opOlder      // n seconds; the next one as well
	opYounger    //
	opSavedSince // date, of when it was put into the folder; the next two as well
	opSavedBefore
	opSavedOn
	opEmailID   // text
	opSentSince // date, of the Date field
	opSentBefore
	opSentOn
	opModSeq // at least n (RFC 7162 §3.1.5)
	opHeader // field contains text
	opBody   // text
	opText   // text
	opNot    // keys[0]
	opOr     // any of keys
	opAnd    // all of keys
)

// searchKey is a node of the criteria.
type searchKey struct {
	op    searchOp
	set   numSet
	text  string
	field string
	// addresses tells that the field holds some, which are looked into as ENVELOPE
	// has them besides.
	addresses bool
	n         int64
	date      time.Time
	keys      []searchKey
}

// searchQuery is a parsed SEARCH command.
type searchQuery struct {
	key searchKey

	extended                   bool // RETURN was given
	min, max, all, count, save bool
	partial                    partialRange

	modseq bool // MODSEQ is among the keys: it is told of the result
}

const (
	maxKeys      = 2000
	maxKeysDepth = 100
)

type searchParser struct {
	parser
	keys   int
	depth  int
	modseq bool                // among the keys
	decode func(string) string // from the charset of the command; nil for UTF-8
}

// parseSearch reads the arguments of SEARCH (RFC 9051 §6.4.4). charset is not
// empty when the command names one that is not supported.
func parseSearch(args []byte) (q searchQuery, charset string, ok bool) {
	p := &searchParser{parser: parser{b: args}}
	p.space()
	if p.keyword("RETURN") {
		p.returns(&q)
	}
	if p.keyword("CHARSET") {
		p.space()
		charset = p.charset()
		p.space()
	}
	q.key = p.conditions()
	q.modseq = p.modseq
	return q, charset, p.end()
}

// conditions reads search keys up to the end of the command, all of which must
// hold.
func (p *searchParser) conditions() searchKey {
	k := searchKey{op: opAnd}
	for {
		k.keys = append(k.keys, p.key())
		if p.failed || len(p.b) == 0 {
			return k
		}
		p.space()
	}
}

// keyword reads an atom if it comes next and a space follows.
func (p *searchParser) keyword(word string) bool {
	n := len(word)
	if p.failed || len(p.b) <= n || !strings.EqualFold(string(p.b[:n]), word) || p.b[n] != ' ' {
		return false
	}
	p.b = p.b[n:]
	return true
}

// returns reads the list of result options (RFC 4731, RFC 5182, RFC 9394).
func (p *searchParser) returns(q *searchQuery) {
	q.extended = true
	p.space()
	p.options(func() {
		switch p.atom() {
		case "MIN":
			q.min = true
		case "MAX":
			q.max = true
		case "ALL":
			q.all = true
		case "COUNT":
			q.count = true
		case "SAVE":
			q.save = true
		case "PARTIAL":
			if q.partial.given() {
				p.fail()
			}
			q.partial = p.spaced().partialRange()
		default:
			p.fail()
		}
	})
	p.space()
	if q.all && q.partial.given() {
		p.fail()
	}
	if !q.min && !q.max && !q.count && !q.save && !q.partial.given() {
		q.all = true
	}
}

func (p *searchParser) key() searchKey {
	if p.keys++; p.keys > maxKeys || p.depth > maxKeysDepth {
		p.fail()
	}
	if p.failed || len(p.b) == 0 {
		p.fail()
		return searchKey{}
	}
	switch ch := p.b[0]; {
	case ch == '(':
		k := searchKey{op: opAnd}
		p.depth++
		p.list(func() { k.keys = append(k.keys, p.key()) })
		p.depth--
		return k
	case isDigit(ch) || ch == '*' || ch == '$':
		return searchKey{op: opSet, set: p.set(false)}
	}
	return p.named(p.atom())
}

func (p *searchParser) named(name string) searchKey {
	switch name {
	case "ALL", "OLD":
		return searchKey{op: opAll}
	case "NEW", "RECENT": // no message is ever \Recent
		return searchKey{op: opNone}
	case "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN":
		return searchKey{op: opFlag, text: `\` + name}
	case "UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN":
		return not(searchKey{op: opFlag, text: `\` + name[2:]})
	case "KEYWORD":
		return searchKey{op: opFlag, text: p.spaced().flag()}
	case "UNKEYWORD":
		return not(searchKey{op: opFlag, text: p.spaced().flag()})
	case "UID":
		return searchKey{op: opSet, set: p.spaced().set(true)}
	case "LARGER":
		return searchKey{op: opLarger, n: p.spaced().number()}
	case "SMALLER":
		return searchKey{op: opSmaller, n: p.spaced().number()}
	case "MODSEQ":
		p.modseq = true
		p.space()
		if len(p.b) > 0 && p.b[0] == '"' { // of one flag: a message has one modseq for all
			p.quoted()
			p.space()
			switch p.atom() {
			case "ALL", "PRIV", "SHARED":
			default:
				p.fail()
			}
			p.space()
		}
		return searchKey{op: opModSeq, n: p.number()}
	case "SINCE":
		return searchKey{op: opSince, date: p.spaced().date()}
	case "BEFORE":
		return searchKey{op: opBefore, date: p.spaced().date()}
	case "ON":
		return searchKey{op: opOn, date: p.spaced().date()}
	case "SENTSINCE":
		return searchKey{op: opSentSince, date: p.spaced().date()}
	case "SENTBEFORE":
		return searchKey{op: opSentBefore, date: p.spaced().date()}
	case "SENTON":
		return searchKey{op: opSentOn, date: p.spaced().date()}
	case "FROM", "TO", "CC", "BCC", "SUBJECT":
		return searchKey{op: opHeader, field: name, addresses: name != "SUBJECT", text: p.spaced().text()}
	case "HEADER":
		field := p.spaced().astring()
		return searchKey{op: opHeader, field: field, text: p.spaced().text()}
	case "BODY":
		return searchKey{op: opBody, text: p.spaced().text()}
	case "TEXT":
		return searchKey{op: opText, text: p.spaced().text()}
	case "NOT":
		p.space()
		return not(p.nested())
	case "OR":
		p.space()
		first := p.nested()
		p.space()
		return searchKey{op: opOr, keys: []searchKey{first, p.nested()}}
	}
	return p.ofExtension(name)
}

// text reads a string to search for, collated (RFC 5255 §4.1).
func (p *searchParser) text() string {
	s := p.astring()
	if p.decode != nil {
		s = p.decode(s)
	}
	return collate(s)
}

// spaced reads the space before an argument.
func (p *searchParser) spaced() *searchParser {
	p.space()
	return p
}

func (p *searchParser) nested() searchKey {
	p.depth++
	defer func() { p.depth-- }()
	return p.key()
}

func not(k searchKey) searchKey { return searchKey{op: opNot, keys: []searchKey{k}} }

// date reads a date, quoted or not.
func (p *searchParser) date() time.Time {
	t, err := time.Parse("2-Jan-2006", p.astring())
	if err != nil {
		p.fail()
	}
	return t
}
