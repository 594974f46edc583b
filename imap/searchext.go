// SPDX-License-Identifier: EUPL-1.2

package imap

// ofExtension reads a search key of an extension: WITHIN (RFC 5032), SAVEDATE
// (RFC 8514), OBJECTID (RFC 8474).
func (p *searchParser) ofExtension(name string) searchKey {
	switch name {
	case "OLDER":
		return searchKey{op: opOlder, n: p.spaced().interval()}
	case "YOUNGER":
		return searchKey{op: opYounger, n: p.spaced().interval()}
	case "SAVEDSINCE":
		return searchKey{op: opSavedSince, date: p.spaced().date()}
	case "SAVEDBEFORE":
		return searchKey{op: opSavedBefore, date: p.spaced().date()}
	case "SAVEDON":
		return searchKey{op: opSavedOn, date: p.spaced().date()}
	case "SAVEDATESUPPORTED":
		return searchKey{op: opAll}
	case "EMAILID":
		return searchKey{op: opEmailID, text: p.spaced().objectID()}
	case "THREADID": // no message has one
		p.spaced().objectID()
		return searchKey{op: opNone}
	}
	p.fail()
	return searchKey{}
}

// interval reads a number of seconds, at least one.
func (p *searchParser) interval() int64 {
	n := p.number()
	if n < 1 {
		p.fail()
	}
	return n
}
