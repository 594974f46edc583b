// SPDX-License-Identifier: EUPL-1.2

package imap

// sortKey is what messages are ordered by.
type sortKey uint8

const (
	keyArrival     sortKey = iota // INTERNALDATE
	keyDate                       // Date field, RFC 5256 §2.2
	keySize                       // RFC822.SIZE
	keySubject                    // base subject
	keyFrom                       // local part of the first address; the next two as well
	keyTo                         //
	keyCc                         //
	keyDisplayFrom                // name of the first address, else the address (RFC 5957)
	keyDisplayTo                  //
)

// criterion is one of the sort criteria: what the ones before leave equal is
// ordered by it.
type criterion struct {
	key     sortKey
	reverse bool
}

// maxCriteria is how many criteria a command may name. There are nine keys, and
// each counts once.
const maxCriteria = 50

// sortQuery is a parsed SORT command.
type sortQuery struct {
	searchQuery
	criteria []criterion
}

// parseSort reads the arguments of SORT (RFC 5256 §3, RFC 5267 §3). charset is as
// in parseSearch.
func parseSort(args []byte) (q sortQuery, charset string, ok bool) {
	p := &searchParser{parser: parser{b: args}}
	p.space()
	if p.keyword("RETURN") {
		p.returns(&q.searchQuery)
	}
	n := 0
	p.list(func() {
		if n++; n > maxCriteria {
			p.fail()
		}
		c := p.criterion()
		for _, earlier := range q.criteria {
			if earlier.key == c.key {
				return // it decides nothing any more
			}
		}
		q.criteria = append(q.criteria, c)
	})
	p.space()
	charset = p.charset()
	p.space()
	q.key = p.conditions()
	q.modseq = p.modseq
	return q, charset, p.end()
}

func (p *searchParser) criterion() (c criterion) {
	name := p.atom()
	if name == "REVERSE" {
		c.reverse = true
		name = p.spaced().atom()
	}
	switch name {
	case "ARRIVAL":
		c.key = keyArrival
	case "DATE":
		c.key = keyDate
	case "SIZE":
		c.key = keySize
	case "SUBJECT":
		c.key = keySubject
	case "FROM":
		c.key = keyFrom
	case "TO":
		c.key = keyTo
	case "CC":
		c.key = keyCc
	case "DISPLAYFROM":
		c.key = keyDisplayFrom
	case "DISPLAYTO":
		c.key = keyDisplayTo
	default:
		p.fail()
	}
	return c
}

// threading is one of the algorithms of RFC 5256 §3.
type threading uint8

const (
	orderedSubject threading = iota
	references
)

// parseThread reads the arguments of THREAD (RFC 5256 §3). charset is as in
// parseSearch.
func parseThread(args []byte) (by threading, q searchQuery, charset string, ok bool) {
	p := &searchParser{parser: parser{b: args}}
	switch p.spaced().atom() {
	case "ORDEREDSUBJECT":
		by = orderedSubject
	case "REFERENCES":
		by = references
	default:
		p.fail()
	}
	p.space()
	charset = p.charset()
	p.space()
	q.key = p.conditions()
	q.modseq = p.modseq
	return by, q, charset, p.end()
}
