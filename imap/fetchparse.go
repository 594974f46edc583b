// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"
)

// itemKind is what a FETCH item asks for.
type itemKind uint8

const (
	itemUID itemKind = iota
	itemFlags
	itemModSeq
	itemDate
	itemSize
	itemEnvelope
	itemBody          // BODY
	itemBodyStructure // BODYSTRUCTURE
	itemSection       // BODY[…], RFC822…
	itemBinary        // BINARY[…]
	itemBinarySize    // BINARY.SIZE[…]
	itemPreview       // RFC 8970
	itemEmailID       // RFC 8474; the next one as well
	itemThreadID
	itemSaveDate // RFC 8514
)

// specifier is what of a part a section names.
type specifier uint8

const (
	specAll specifier = iota
	specHeader
	specFields    // HEADER.FIELDS
	specFieldsNot // HEADER.FIELDS.NOT
	specText
	specMIME
)

// fetchItem is one data item of a FETCH command.
type fetchItem struct {
	kind   itemKind
	name   string // as it stands before the value in the response
	peek   bool   // does not set \Seen
	lazy   bool   // a preview only if it is known
	part   []int
	spec   specifier
	fields []string

	partial bool
	off, n  int64
}

const (
	maxItems  = 200
	maxFields = 500
	maxPath   = 200
)

// fetchQuery is a parsed FETCH.
type fetchQuery struct {
	set   numSet
	items []fetchItem

	changed  bool   // CHANGEDSINCE was given
	since    uint64 // its value
	vanished bool   // VANISHED was given
	page     partialRange
}

// parseFetch reads the arguments of FETCH (RFC 9051 §6.4.5, RFC 3501 §6.4.5,
// RFC 7162 §3.1.4 and §3.2.6, RFC 9394 §3.3).
func parseFetch(args []byte, uid bool) (q fetchQuery, ok bool) {
	p := &parser{b: args}
	p.space()
	q.set = p.set(uid)
	p.space()
	if len(p.b) > 0 && p.b[0] == '(' {
		p.list(func() { q.items = append(q.items, p.fetchItem()) })
	} else if q.items = p.macro(); q.items == nil {
		q.items = []fetchItem{p.fetchItem()}
	}
	if p.take(' ') {
		p.list(func() { p.fetchModifier(&q) })
	}
	if !p.end() || len(q.items) > maxItems || q.vanished && !(q.changed && uid) || q.page.given() && !uid {
		return fetchQuery{}, false
	}
	if uid && !hasItem(q.items, itemUID) {
		q.items = append([]fetchItem{{kind: itemUID, name: "UID"}}, q.items...)
	}
	if q.changed && !hasItem(q.items, itemModSeq) {
		q.items = append(q.items, fetchItem{kind: itemModSeq, name: "MODSEQ"})
	}
	return q, true
}

func (p *parser) fetchModifier(q *fetchQuery) {
	switch p.atom() {
	case "CHANGEDSINCE":
		p.space()
		q.changed, q.since = true, uint64(p.number())
	case "VANISHED":
		q.vanished = true
	case "PARTIAL":
		if q.page.given() {
			p.fail()
		}
		p.space()
		q.page = p.partialRange()
	default:
		p.fail()
	}
}

func hasItem(items []fetchItem, kind itemKind) bool {
	for _, it := range items {
		if it.kind == kind {
			return true
		}
	}
	return false
}

// macro reads ALL, FAST or FULL, which stand alone.
func (p *parser) macro() []fetchItem {
	fast := []fetchItem{{kind: itemFlags, name: "FLAGS"}, {kind: itemDate, name: "INTERNALDATE"}, {kind: itemSize, name: "RFC822.SIZE"}}
	word, rest := cutWord(p.b)
	switch strings.ToUpper(string(word)) {
	case "FAST":
	case "ALL":
		fast = append(fast, fetchItem{kind: itemEnvelope, name: "ENVELOPE"})
	case "FULL":
		fast = append(fast, fetchItem{kind: itemEnvelope, name: "ENVELOPE"}, fetchItem{kind: itemBody, name: "BODY"})
	default:
		return nil
	}
	p.b = rest
	return fast
}

func (p *parser) fetchItem() fetchItem {
	name := strings.ToUpper(p.word(func(ch byte) bool { return isAtomChar(ch) && ch != '[' }))
	it := fetchItem{name: name}
	switch name {
	case "UID":
		it.kind = itemUID
	case "FLAGS":
		it.kind = itemFlags
	case "MODSEQ":
		it.kind = itemModSeq
	case "INTERNALDATE":
		it.kind = itemDate
	case "RFC822.SIZE":
		it.kind = itemSize
	case "ENVELOPE":
		it.kind = itemEnvelope
	case "BODYSTRUCTURE":
		it.kind = itemBodyStructure
	case "BODY":
		if len(p.b) > 0 && p.b[0] == '[' {
			p.section(&it)
		} else {
			it.kind = itemBody
		}
	case "BODY.PEEK":
		it.name, it.peek = "BODY", true
		p.section(&it)
	case "RFC822":
		it.kind = itemSection
	case "RFC822.HEADER":
		it.kind, it.spec, it.peek = itemSection, specHeader, true
	case "RFC822.TEXT":
		it.kind, it.spec = itemSection, specText
	case "BINARY", "BINARY.PEEK":
		it.kind, it.name, it.peek = itemBinary, "BINARY", name != "BINARY"
		p.want('[')
		p.path(&it)
		p.want(']')
		it.name += "[" + pathText(it.part) + "]"
		p.partial(&it)
	case "BINARY.SIZE":
		it.kind, it.peek = itemBinarySize, true
		p.want('[')
		p.path(&it)
		p.want(']')
		it.name += "[" + pathText(it.part) + "]"
	case "PREVIEW":
		it.kind, it.lazy = itemPreview, p.lazy()
	case "EMAILID":
		it.kind = itemEmailID
	case "THREADID":
		it.kind = itemThreadID
	case "SAVEDATE":
		it.kind = itemSaveDate
	default:
		p.fail()
	}
	return it
}

// section reads what stands in the brackets of BODY[…] and after them.
func (p *parser) section(it *fetchItem) {
	it.kind = itemSection
	p.want('[')
	p.path(it)
	text := ""
	if !p.take(']') {
		if len(it.part) > 0 {
			p.want('.')
		}
		text = p.sectionText(it)
		p.want(']')
	}
	if len(it.part) > 0 && text != "" {
		text = "." + text
	}
	it.name += "[" + pathText(it.part) + text + "]"
	p.partial(it)
}

func (p *parser) sectionText(it *fetchItem) string {
	name := p.atom()
	switch name {
	case "HEADER":
		it.spec = specHeader
	case "TEXT":
		it.spec = specText
	case "MIME":
		it.spec = specMIME
		if len(it.part) == 0 {
			p.fail()
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		it.spec = specFields
		if name != "HEADER.FIELDS" {
			it.spec = specFieldsNot
		}
		p.space()
		p.list(func() { it.fields = append(it.fields, p.astring()) })
		if len(it.fields) > maxFields {
			p.fail()
		}
		b := []byte(name + " (")
		for i, f := range it.fields {
			if i > 0 {
				b = append(b, ' ')
			}
			if isAtom(f) {
				b = append(b, f...)
			} else {
				b = appendString(b, f, false)
			}
		}
		return string(append(b, ')'))
	default:
		p.fail()
	}
	return name
}

// path reads part numbers, up to a dot that a specifier follows.
func (p *parser) path(it *fetchItem) {
	for !p.failed && len(p.b) > 0 && isDigit(p.b[0]) {
		n := p.number()
		if n < 1 || n > 1<<31-1 || len(it.part) == maxPath {
			p.fail()
			return
		}
		it.part = append(it.part, int(n))
		if len(p.b) < 2 || p.b[0] != '.' || !isDigit(p.b[1]) {
			return
		}
		p.take('.')
	}
}

// partial reads <offset.length>.
func (p *parser) partial(it *fetchItem) {
	if !p.take('<') {
		return
	}
	it.partial = true
	it.off = p.number()
	p.want('.')
	it.n = p.number()
	p.want('>')
	if it.n == 0 {
		p.fail()
	}
	it.name = string(append(appendInt([]byte(it.name+"<"), it.off), '>'))
}

func pathText(part []int) string {
	var b []byte
	for i, n := range part {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendInt(b, n)
	}
	return string(b)
}
