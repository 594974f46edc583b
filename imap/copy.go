// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"pecd/ledger"
	"pecd/storage"
)

// copyMessages answers COPY and UID COPY (RFC 9051 §6.4.7).
func (s *session) copyMessages(args []byte) error {
	op, err := s.transfer(args, false)
	if err != nil || len(op.Source) == 0 {
		return err
	}
	s.code = copied(op)
	return nil
}

// move answers MOVE and UID MOVE (RFC 6851): one step, so that a message is never
// in both folders nor in none.
func (s *session) move(args []byte) error {
	op, err := s.transfer(args, true)
	if err != nil || len(op.Source) == 0 {
		return err
	}
	if err := s.c.put([]byte("* OK [" + copied(op) + "] moved\r\n")); err != nil {
		return err
	}
	if err := s.tell(storage.Changes{Vanished: op.Source}, true); err != nil {
		return err
	}
	return s.tellHighest()
}

// transfer copies or moves the messages that a command names.
func (s *session) transfer(args []byte, move bool) (*storage.CopyMessages, error) {
	p := &parser{b: args}
	p.space()
	set := p.set(s.c.now.uid())
	p.space()
	dest := p.mailbox(s.utf8())
	if !p.end() {
		return nil, errSyntax
	}
	spans, err := s.targets(set)
	if err != nil {
		return nil, err
	}
	if move && s.view.readOnly {
		return nil, errReadOnly
	}
	to, at, err := s.folder(dest)
	if err != nil {
		return nil, s.noTarget(err)
	}
	if err := at.mayWrite(); err != nil {
		return nil, err
	}
	quota, err := s.quota(to.Mailbox)
	if err != nil {
		return nil, s.refuse(err)
	}
	op := &storage.CopyMessages{From: s.view.folder.ID, UIDs: s.view.uidsOf(spans), To: to.ID, Move: move, Quota: quota}
	kind := ledger.MessageCopied
	if move {
		kind = ledger.MessageMoved
	}
	op.Logged = s.did(kind, s.view.at, at)
	if len(op.UIDs) == 0 {
		return op, nil
	}
	if err := s.commit(op); err != nil {
		return nil, s.noTarget(err)
	}
	return op, nil
}

// copied is the COPYUID code of a transfer (RFC 4315). The two sets keep the
// order, so that they correspond.
func copied(op *storage.CopyMessages) string {
	b := appendInt([]byte("COPYUID "), op.UIDValidity)
	b = appendSet(append(b, ' '), op.Source)
	return string(appendSet(append(b, ' '), op.Dest))
}
