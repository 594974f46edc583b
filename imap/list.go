// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"

	"pecd/fault"
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
	l := &lister{s: s, q: &q, by: s.c.after(s.srv.timing.work), above: newTree(nil)}
	for _, p := range s.places() {
		if !q.reaches(p.prefix) {
			continue
		}
		if err := l.mailbox(p); err != nil {
			return err
		}
	}
	if len(s.others) > 0 {
		return l.entry(l.above, storage.Folder{Name: othersName})
	}
	return nil
}

// reaches tells whether a pattern may match a folder below prefix, or what is
// above them.
func (q *listQuery) reaches(prefix string) bool {
	return slices.ContainsFunc(q.patterns, func(p string) bool {
		if wild := strings.IndexAny(p, "*%"); wild >= 0 {
			p = p[:wild]
		}
		return strings.HasPrefix(p, prefix) || strings.HasPrefix(prefix, p)
	})
}

// lister answers one LIST.
type lister struct {
	s     *session
	q     *listQuery
	by    int64
	above *tree // what lies below othersName
	b     []byte
}

// mailbox lists the folders of one mailbox. Those of a further one have no special
// use: clients would file into them what is of their own.
func (l *lister) mailbox(p place) error {
	if err := l.s.inUse(p); fault.Is(err, fault.Disabled) {
		return nil
	} else if err != nil {
		return l.s.refuse(err)
	}
	folders, err := l.s.store.Folders(l.s.ctx, p.grant.Mailbox)
	if err != nil {
		return l.s.refuse(err)
	}
	if l.q.subscribed {
		gone, err := l.s.store.GoneSubscriptions(l.s.ctx, p.grant.Mailbox)
		if err != nil {
			return l.s.refuse(err)
		}
		folders = withGone(folders, gone)
	}
	if p.prefix != "" {
		for i := range folders {
			folders[i].Name, folders[i].SpecialUse = p.shown(folders[i].Name), ""
		}
		folders = slices.Insert(folders, 0, storage.Folder{Name: strings.TrimSuffix(p.prefix, string(delimiter))})
	}
	t := newTree(folders)
	for _, f := range folders {
		if err := l.entry(t, f); err != nil {
			return err
		}
	}
	if p.prefix != "" {
		l.above.children[othersName] = true
		if l.q.subscribed {
			l.above.below[othersName] = append(l.above.below[othersName], t.below[othersName]...)
		}
	}
	return nil
}

// withGone adds to the folders the names that are subscribed to without one, and
// those above them that are no folders either.
func withGone(folders []storage.Folder, gone []string) []storage.Folder {
	known := make(map[string]bool, len(folders)+len(gone))
	for _, f := range folders {
		known[f.Name] = true
	}
	add := func(f storage.Folder) {
		if !known[f.Name] { // a folder may have gone since they were listed
			known[f.Name] = true
			folders = append(folders, f)
		}
	}
	for _, name := range gone {
		add(storage.Folder{Name: name, Subscribed: true})
	}
	for _, name := range gone {
		for i := range len(name) {
			if name[i] == delimiter {
				add(storage.Folder{Name: name[:i]})
			}
		}
	}
	return folders
}

// entry lists a folder, or a name that is none, if it is to be listed.
func (l *lister) entry(t *tree, f storage.Folder) error {
	if l.s.c.after(0) > l.by {
		return errTooMuchWork
	}
	entry, ok := t.entry(f, l.q)
	if !ok {
		return nil
	}
	l.b = l.s.appendList(l.b[:0], l.q, entry)
	if l.q.status != nil && f.ID != 0 {
		var err error
		if l.b, err = l.s.appendStatus(l.b, f, l.q.status); err != nil {
			return l.s.refuse(err)
		}
	}
	return l.s.c.put(l.b)
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
			if f.ID != 0 {
				t.children[name] = true
			}
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
	}
	switch {
	case f.ID == 0 && q.subscribed && !q.lsub: // who asks so knows RFC 5258
		e.attrs = append(e.attrs, `\NonExistent`)
	case f.ID == 0: // no folder; clients of before RFC 5258 know the second one
		e.attrs = append(e.attrs, `\NonExistent`, `\Noselect`)
	case !chosen && q.lsub: // RFC 3501 §6.3.9
		e.attrs = append(e.attrs, `\Noselect`)
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
