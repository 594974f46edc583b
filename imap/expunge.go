// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strconv"

	"pecd/ledger"
	"pecd/storage"
)

// expunge answers EXPUNGE (RFC 9051 §6.4.3).
func (s *session) expunge(args []byte) error {
	if len(args) > 0 {
		return errSyntax
	}
	return s.remove(nil)
}

// expungeUIDs answers UID EXPUNGE (RFC 4315).
func (s *session) expungeUIDs(args []byte) error {
	p := &parser{b: args}
	p.space()
	set := p.set(true)
	if !p.end() {
		return errSyntax
	}
	return s.remove(&set)
}

// remove expunges what has \Deleted, of a set or of the whole folder, and tells
// it.
func (s *session) remove(set *numSet) error {
	if s.view == nil {
		return errNotSelected
	}
	if s.view.readOnly {
		return errReadOnly
	}
	op, err := s.expungeDeleted(set)
	if err != nil || len(op.Expunged) == 0 {
		return err
	}
	if err := s.tell(storage.Changes{Vanished: op.Expunged}, true); err != nil {
		return err
	}
	return s.tellHighest()
}

// closeFolder answers CLOSE (RFC 9051 §6.4.1): it expunges like EXPUNGE and tells
// nothing of it, and nothing in a folder that was opened read-only.
func (s *session) closeFolder(args []byte) error {
	if len(args) > 0 {
		return errSyntax
	}
	v := s.view
	if v == nil {
		return errNotSelected
	}
	if !v.readOnly {
		op, err := s.expungeDeleted(nil)
		if err != nil {
			return err
		}
		// RFC 7162 §3.2.8. Where somebody else changed something in between, of
		// which the client was not told, it has to ask next time.
		if v.follow(op.ModSeq); s.qresync && len(op.Expunged) > 0 && v.modseq == op.ModSeq {
			s.code = highestCode(v.modseq)
		}
	}
	s.view = nil
	return nil
}

// expungeDeleted removes messages with \Deleted: those that the client knows of,
// as they are when it happens.
func (s *session) expungeDeleted(set *numSet) (*storage.Expunge, error) {
	if err := s.sync(true); err != nil {
		return nil, err
	}
	v := s.view
	all := []span{{0, len(v.uids)}}
	if set != nil {
		all, _ = v.resolve(*set)
	}
	op := &storage.Expunge{Folder: v.folder.ID, DeletedOnly: true, Logged: s.did(ledger.MessageExpunged, v.at, place{})}
	for _, sp := range all {
		for i := sp.lo; i < sp.hi; i++ {
			if v.deleted(i) {
				op.UIDs = append(op.UIDs, v.uids[i])
			}
		}
	}
	if len(op.UIDs) == 0 {
		return op, nil
	}
	return op, s.refuse(s.commit(op))
}

// tellHighest tells what else happened, and puts into the tagged OK up to which
// modseq the client has heard everything (RFC 7162 §3.2.7).
func (s *session) tellHighest() error {
	if !s.condstore {
		return nil
	}
	if err := s.sync(true); err != nil {
		return err
	}
	s.code = highestCode(s.view.modseq)
	return nil
}

func highestCode(modseq uint64) string {
	return "HIGHESTMODSEQ " + strconv.FormatUint(modseq, 10)
}

// highest tells the modseq up to which the client has heard everything.
func (l *lines) highest(modseq uint64) {
	l.b = append(l.b, "* OK ["...)
	l.b = append(l.b, highestCode(modseq)...)
	l.b = append(l.b, "] highest"...)
	l.end()
}
