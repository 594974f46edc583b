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
	if err == nil && v.modseq < ch.Horizon {
		ch.Vanished, err = s.lost(v)
	}
	if fault.Is(err, fault.NotFound) {
		return errFolderGone
	}
	if err != nil {
		_ = s.refuse(err) // logged; the command itself was done, the next one tells
		return nil
	}
	return s.tell(ch, allowExpunge)
}

// lost returns which messages of the view are not there any more, for a session
// that was silent for so long that the store has forgotten what went.
func (s *session) lost(v *view) ([]uint32, error) {
	var lost []uint32
	i := 0
	err := s.store.Flags(s.ctx, v.folder.ID, 1, v.last(), func(uid uint32, _ []string) error {
		for ; i < len(v.uids) && v.uids[i] < uid; i++ {
			lost = append(lost, v.uids[i])
		}
		if i < len(v.uids) && v.uids[i] == uid {
			i++
		}
		return nil
	})
	return append(lost, v.uids[i:]...), err
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
	var flagged []storage.Message
	for _, m := range ch.Changed {
		i, ok := v.index(m.UID)
		switch {
		case ok:
			// With CONDSTORE a message is told of also where its flags are what
			// they were: its modseq is not.
			if v.set(i, m.Flags) || s.condstore {
				flagged = append(flagged, m)
			}
		case m.UID > v.last():
			v.add(m.UID, m.Flags)
			grown = true
		}
	}
	v.modseq = max(v.modseq, ch.ModSeq)

	out := s.c.lines()
	if allowExpunge {
		s.expunged(out)
	}
	out.keywords(v)
	for _, m := range flagged {
		if i, ok := v.index(m.UID); ok {
			if _, gone := v.gone[m.UID]; !gone {
				out.flags(i+1, m, s.condstore)
			}
		}
	}
	if grown {
		out.exists(len(v.uids))
	}
	v.compact()
	return out.done()
}

// expunged takes what is gone out of the view and tells it: by UIDs to who knows
// VANISHED (RFC 7162 §3.2.10), otherwise by sequence numbers, from the highest.
func (s *session) expunged(out *lines) {
	v := s.view
	uids, seqs := v.remove()
	if s.qresync {
		var gone []numRange
		for _, uid := range uids {
			gone = appendUID(gone, uid)
		}
		out.vanished("", gone)
		return
	}
	for i := len(seqs) - 1; i >= 0; i-- {
		out.expunge(seqs[i])
	}
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

// flags writes a FETCH response with the flags of a message, and its modseq
// where the client wants to hear of it.
func (l *lines) flags(seq int, m storage.Message, modseq bool) {
	l.b = append(l.b, "* "...)
	l.b = appendInt(l.b, seq)
	l.b = append(l.b, " FETCH (UID "...)
	l.b = appendInt(l.b, m.UID)
	l.b = append(l.b, " FLAGS "...)
	l.b = appendFlags(l.b, m.Flags)
	if modseq {
		l.b = appendModSeq(l.b, m.ModSeq)
	}
	l.b = append(l.b, ')')
	l.end()
}

// modseq writes a FETCH response with the modseq of a message alone.
func (l *lines) modseq(seq int, m storage.Message) {
	l.b = append(l.b, "* "...)
	l.b = appendInt(l.b, seq)
	l.b = append(l.b, " FETCH (UID "...)
	l.b = appendInt(l.b, m.UID)
	l.b = appendModSeq(l.b, m.ModSeq)
	l.b = append(l.b, ')')
	l.end()
}

// appendModSeq writes the MODSEQ item of a FETCH response (RFC 7162 §3.1.4).
func appendModSeq(b []byte, n uint64) []byte {
	b = append(b, " MODSEQ ("...)
	b = appendInt(b, n)
	return append(b, ')')
}

// vanishedRoom is how many octets of ranges one VANISHED has, about: a client
// must be able to read the line.
const vanishedRoom = 4096

// vanished writes VANISHED responses (RFC 7162 §3.2.10) for ranges of UIDs.
func (l *lines) vanished(earlier string, ranges []numRange) {
	for len(ranges) > 0 {
		l.b = append(l.b, "* VANISHED "...)
		l.b = append(l.b, earlier...)
		begin := len(l.b)
		for len(ranges) > 0 && len(l.b)-begin < vanishedRoom {
			if len(l.b) > begin {
				l.b = append(l.b, ',')
			}
			l.b = appendRange(l.b, ranges[0])
			ranges = ranges[1:]
		}
		l.end()
	}
}
