// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"pecd/storage"
)

var (
	errNotOpen     = bad("prima serve il login / not logged in")
	errNotSelected = bad("nessuna cartella aperta / no mailbox selected")
)

// selection is a parsed SELECT or EXAMINE.
type selection struct {
	name      string
	condstore bool
	resync    *resync // nil: not asked for
}

// parseSelect reads the arguments of SELECT (RFC 9051 §6.3.2, RFC 7162 §7).
func parseSelect(args []byte, utf8ok bool) (q selection, ok bool) {
	p := &parser{b: args}
	p.space()
	q.name = p.mailbox(utf8ok)
	if p.take(' ') {
		p.options(func() {
			switch p.atom() {
			case "CONDSTORE":
				q.condstore = true
			case "QRESYNC":
				p.space()
				q.resync = p.resync()
			default:
				p.fail()
			}
		})
	}
	return q, p.end()
}

// selectFolder answers SELECT and EXAMINE. A folder that was open is closed
// first, whatever comes of the other one.
func (s *session) selectFolder(args []byte) error {
	q, ok := parseSelect(args, s.utf8())
	if !ok {
		return errSyntax
	}
	if !s.open() {
		return errNotOpen
	}
	if s.view != nil {
		s.view = nil
		if err := s.c.put([]byte("* OK [CLOSED] cartella chiusa / previous mailbox closed\r\n")); err != nil {
			return err
		}
	}
	if q.condstore || q.resync != nil {
		s.knowsModSeqs()
	}
	// RFC 7162 §3.2.5 wants ENABLE first; there are clients that take the
	// parameter for it, and who uses it knows VANISHED.
	if q.resync != nil {
		s.qresync = true
	}
	f, at, err := s.folder(q.name)
	if err != nil {
		return s.noFolder(err)
	}
	if err := s.reach(at); err != nil {
		return err
	}
	examine := s.c.now.verb == "EXAMINE"
	v, err := s.load(f, examine || at.mayWrite() != nil)
	if err != nil {
		return s.refuse(err)
	}
	v.at, v.marks = at, !v.readOnly || !examine && f.PersonalSeen
	var away missed
	if q.resync != nil && q.resync.validity == f.UIDValidity {
		if away, err = s.missed(v, q.resync); err != nil {
			return s.refuse(err)
		}
	}
	s.view = v
	s.code = "READ-WRITE"
	if !v.marks {
		s.code = "READ-ONLY"
	}
	if err := s.tellSelected(v); err != nil {
		return err
	}
	return s.tellMissed(v, away)
}

// load reads a folder into a view. What is committed while the rows are read is
// told by the next sync: it asks for everything after f.ModSeq.
func (s *session) load(f storage.Folder, readOnly bool) (*view, error) {
	v := newView(f, readOnly)
	err := s.store.Flags(s.ctx, f.ID, 1, 0, func(uid uint32, flags []string) error {
		v.add(uid, flags)
		return nil
	})
	return v, err
}

// tellSelected writes what is told of a folder that was opened.
func (s *session) tellSelected(v *view) error {
	out := s.c.lines()
	code := func(name string, n uint64, text string) {
		out.b = append(out.b, "* OK ["...)
		out.b = append(out.b, name...)
		out.b = append(out.b, ' ')
		out.b = appendInt(out.b, n)
		out.b = append(out.b, "] "...)
		out.b = append(out.b, text...)
		out.end()
	}
	out.exists(len(v.uids))
	if !s.rev2 {
		out.b = append(out.b, "* 0 RECENT"...)
		out.end()
		if i, ok := v.firstUnseen(); ok {
			code("UNSEEN", uint64(i+1), "first unseen")
		}
	}
	code("UIDVALIDITY", uint64(v.folder.UIDValidity), "UIDs valid")
	code("UIDNEXT", uint64(max(v.folder.UIDNext, v.last()+1)), "predicted next UID")
	code("HIGHESTMODSEQ", v.modseq, "highest")
	out.b = append(append(append(out.b, "* OK [MAILBOXID ("...), mailboxID(v.folder.ID)...), ")] unique"...)
	out.end()
	flags := append(systemFlags(), v.table.told()...)
	out.b = append(out.b, "* FLAGS "...)
	out.b = appendFlags(out.b, flags)
	out.end()
	switch {
	case !v.marks:
		flags = nil
	case v.readOnly: // but for what is the user's own
		flags = []string{flagSeen}
	default:
		flags = append(flags, `\*`)
	}
	out.b = append(out.b, "* OK [PERMANENTFLAGS "...)
	out.b = appendFlags(out.b, flags)
	out.b = append(out.b, "] permanent flags"...)
	out.end()
	if s.rev2 {
		e := listed{name: v.folder.Name}
		if v.folder.SpecialUse != "" {
			e.attrs = append(e.attrs, v.folder.SpecialUse)
		}
		out.b = s.appendList(out.b, &listQuery{}, e)
		out.flush()
	}
	return out.done()
}

// unselect answers UNSELECT (RFC 9051 §6.4.2).
func (s *session) unselect(args []byte) error {
	if len(args) > 0 {
		return errSyntax
	}
	if s.view == nil {
		return errNotSelected
	}
	s.view = nil
	return nil
}
