// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"errors"

	"github.com/emersion/go-imap/v2/imapserver"

	"pecd/fault"
	"pecd/storage"
)

// Poll implements imapserver.Session.
func (s *session) Poll(_ *imapserver.UpdateWriter, allowExpunge bool) error {
	err := s.sync(allowExpunge)
	if err != nil {
		s.c.failed(err)
	}
	return err
}

// errFolderGone ends the session of a client whose selected folder was deleted
// (RFC 2180 §3.3).
var errFolderGone = errors.New("selected folder deleted")

// sync brings the view up to the store and tells the client the difference:
// EXPUNGE where that is allowed, flags, EXISTS (RFC 9051 §7.5). What happened
// since the last time is read from the store, so nothing can be missed between
// two commands or before IDLE.
func (s *session) sync(allowExpunge bool) error {
	v := s.view
	if v == nil {
		return nil
	}
	ch, err := s.store.Changes(s.ctx, v.folder.ID, v.modseq)
	if fault.Is(err, fault.NotFound) {
		return errFolderGone
	}
	if err != nil {
		_ = s.refuse(err) // logged; the command itself was done, the next one tells
		return nil
	}
	return s.tell(ch, allowExpunge)
}

// tell applies changes to the view and writes them.
func (s *session) tell(ch storage.Changes, allowExpunge bool) error {
	v := s.view
	for _, uid := range ch.Vanished {
		if _, ok := v.index(uid); ok {
			v.gone[uid] = struct{}{}
		}
	}
	grown := false
	var flagged []uint32 // UIDs
	for _, m := range ch.Changed {
		i, ok := v.index(m.UID)
		switch {
		case ok:
			if v.set(i, m.Flags) {
				flagged = append(flagged, m.UID)
			}
		case m.UID > v.last():
			v.add(m.UID, m.Flags)
			grown = true
		}
	}
	v.modseq = max(v.modseq, ch.ModSeq)

	out := s.c.lines()
	if allowExpunge {
		seqs := v.remove()
		for i := len(seqs) - 1; i >= 0; i-- {
			out.expunge(seqs[i])
		}
	}
	out.keywords(v)
	for _, uid := range flagged {
		if i, ok := v.index(uid); ok {
			if _, gone := v.gone[uid]; !gone {
				out.flags(i+1, uid, v.flagsOf(i))
			}
		}
	}
	if grown {
		out.exists(len(v.uids))
	}
	v.compact()
	return out.done()
}

// lines gathers untagged responses and puts them out in larger pieces.
type lines struct {
	c   *conn
	b   []byte
	err error
}

func (c *conn) lines() *lines { return &lines{c: c} }

func (l *lines) end() {
	l.b = append(l.b, '\r', '\n')
	if len(l.b) >= 8<<10 {
		l.flush()
	}
}

func (l *lines) flush() {
	if l.err == nil && len(l.b) > 0 {
		l.err = l.c.put(l.b)
	}
	l.b = l.b[:0]
}

// done puts out the rest and returns the first error.
func (l *lines) done() error {
	l.flush()
	return l.err
}

func (l *lines) expunge(seq uint32) {
	l.b = append(l.b, "* "...)
	l.b = appendInt(l.b, seq)
	l.b = append(l.b, " EXPUNGE"...)
	l.end()
}

func (l *lines) exists(n int) {
	l.b = append(l.b, "* "...)
	l.b = appendInt(l.b, n)
	l.b = append(l.b, " EXISTS"...)
	l.end()
}

// keywords announces the flags in use when there are keywords the client was
// not told of (RFC 9051 §7.3.1: before they are used). PERMANENTFLAGS, which
// allows any, stays as it was.
func (l *lines) keywords(v *view) {
	if !v.table.fresh {
		return
	}
	l.b = append(l.b, "* FLAGS "...)
	l.b = appendFlags(l.b, append(systemFlags(), v.table.told()...))
	l.end()
}

// flags writes a FETCH response with the flags of a message.
func (l *lines) flags(seq int, uid uint32, flags []string) {
	l.b = append(l.b, "* "...)
	l.b = appendInt(l.b, seq)
	l.b = append(l.b, " FETCH (UID "...)
	l.b = appendInt(l.b, uid)
	l.b = append(l.b, " FLAGS "...)
	l.b = appendFlags(l.b, flags)
	l.b = append(l.b, ')')
	l.end()
}
