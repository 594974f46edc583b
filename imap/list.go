// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"

	"pecd/storage"
)

// Bounds of the patterns of one LIST: their number, and the octets of each with
// the reference. Any name that the store takes fits.
const (
	maxPatterns = 50
	maxPattern  = 16 << 10
)

// listQuery is a parsed LIST or LSUB.
type listQuery struct {
	lsub       bool
	subscribed bool // only these, or what is above them (RFC 5258)
	specialUse bool // only folders that have one (RFC 6154)
	recursive  bool // RECURSIVEMATCH
	patterns   []string

	tellSubscribed bool     // RETURN (SUBSCRIBED)
	status         []string // RETURN (STATUS (…)) (RFC 5819), nil for none
}

// list answers LIST (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154) and LSUB
// (RFC 3501 §6.3.9).
func (s *session) list(args []byte) error {
	q, err := parseList(args, s.c.now.verb == "LSUB", s.utf8())
	if err != nil {
		return err
	}
	if !s.open() {
		return errNotOpen
	}
	if len(q.patterns) == 0 { // LIST "" "": what is the delimiter?
		return s.c.put(s.appendList(nil, &q, listed{attrs: []string{`\Noselect`}}))
	}
	folders, err := s.store.Folders(s.ctx, s.grant.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	tree := newTree(folders)
	by := s.c.after(s.srv.timing.work)
	var b []byte
	for _, f := range folders {
		if s.c.after(0) > by {
			return errTooMuchWork
		}
		entry, ok := tree.entry(f, &q)
		if !ok {
			continue
		}
		b = s.appendList(b[:0], &q, entry)
		if q.status != nil {
			if b, err = s.appendStatus(b, f, q.status); err != nil {
				return s.refuse(err)
			}
		}
		if err := s.c.put(b); err != nil {
			return err
		}
	}
	return nil
}

// listed is what is told of one folder.
type listed struct {
	name  string // "" for the root
	attrs []string
	below bool // subscribed folders lie below (CHILDINFO)
}

// appendList writes a LIST or LSUB response.
func (s *session) appendList(b []byte, q *listQuery, e listed) []byte {
	if q.lsub {
		b = append(b, "* LSUB "...)
	} else {
		b = append(b, "* LIST "...)
	}
	b = appendFlags(b, e.attrs)
	b = append(b, ` "/" `...)
	b = appendName(b, e.name, s.utf8())
	if e.below {
		b = append(b, ` (CHILDINFO ("SUBSCRIBED"))`...)
	}
	return append(b, "\r\n"...)
}

// tree knows which folders have others below them.
type tree struct {
	children map[string]bool // name: some folder lies below
	below    map[string][]storage.Folder
}

func newTree(folders []storage.Folder) *tree {
	t := &tree{children: make(map[string]bool), below: make(map[string][]storage.Folder)}
	for _, f := range folders {
		for name := f.Name; ; {
			i := strings.LastIndexByte(name, delimiter)
			if i < 0 {
				break
			}
			name = name[:i]
			t.children[name] = true
			if f.Subscribed {
				t.below[name] = append(t.below[name], f)
			}
		}
	}
	return t
}

// entry is what is told of one folder, if it is to be listed.
func (t *tree) entry(f storage.Folder, q *listQuery) (e listed, ok bool) {
	if !matchAny(q.patterns, f.Name) {
		return e, false
	}
	e.name = f.Name
	chosen := (!q.subscribed || f.Subscribed) && (!q.specialUse || f.SpecialUse != "")
	if !chosen {
		// Folders below that are chosen, and would not be listed themselves
		// (RFC 9051 §6.3.9.6: no redundant CHILDINFO).
		hidden := false
		for _, child := range t.below[f.Name] {
			hidden = hidden || !matchAny(q.patterns, child.Name)
		}
		if !hidden || !q.lsub && !q.recursive {
			return e, false
		}
		if q.lsub { // RFC 3501 §6.3.9
			e.attrs = append(e.attrs, `\Noselect`)
		}
	}
	e.below = q.recursive && len(t.below[f.Name]) > 0
	if t.children[f.Name] {
		e.attrs = append(e.attrs, `\HasChildren`)
	} else {
		e.attrs = append(e.attrs, `\HasNoChildren`)
	}
	if f.Subscribed && (q.subscribed || q.tellSubscribed) && !q.lsub {
		e.attrs = append(e.attrs, `\Subscribed`)
	}
	if f.SpecialUse != "" {
		e.attrs = append(e.attrs, f.SpecialUse)
	}
	return e, true
}

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if match(p, name) || name == inbox && match(strings.ToUpper(p), name) {
			return true
		}
	}
	return false
}

// match tells whether a folder name matches a LIST pattern: "*" stands for any
// octets, "%" for any without the delimiter. It keeps the set of pattern
// positions that are reached, so its time is bounded by the product of the
// lengths, whatever the pattern is.
func match(pattern, name string) bool {
	reached, next := make([]bool, len(pattern)+1), make([]bool, len(pattern)+1)
	reached[0] = true
	skipWild(reached, pattern)
	for i := 0; i < len(name); i++ {
		clear(next)
		for j := 0; j < len(pattern); j++ {
			if !reached[j] {
				continue
			}
			switch {
			case pattern[j] == '*' || pattern[j] == '%' && name[i] != delimiter:
				next[j] = true
			case pattern[j] == name[i]:
				next[j+1] = true
			}
		}
		skipWild(next, pattern)
		reached, next = next, reached
	}
	return reached[len(pattern)]
}

// skipWild adds the positions after wildcards that stand for nothing.
func skipWild(reached []bool, pattern string) {
	for j := 0; j < len(pattern); j++ {
		if reached[j] && (pattern[j] == '*' || pattern[j] == '%') {
			reached[j+1] = true
		}
	}
}
