// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"pecd/ledger"
	"pecd/storage"
	"pecd/trail"
)

// readsAtOnce is how many messages are handed out before it is noted who read
// them.
const readsAtOnce = 256

// did makes the records of what the session does with messages of a folder, for
// the operation that does it; nil where nothing is recorded.
func (s *session) did(kind ledger.Kind, in, to place) storage.Logged {
	if s.srv.cfg.Trail == nil {
		return nil
	}
	return trail.Doing(s.srv.cfg.Clock.Now(), kind, s.who, in.recorded(), to.recorded())
}

// recorded is a place as it is recorded: by address and by the folder's own name.
func (p place) recorded() trail.Place { return trail.Place{Mailbox: p.grant.Address, Folder: p.name} }

// reach records that a further mailbox of the login was reached, the first time
// a folder of it is opened. That of its own is recorded at the login.
func (s *session) reach(p place) error {
	if p.prefix == "" || s.reached[p.grant.Mailbox] {
		return nil
	}
	if err := s.srv.cfg.Trail.Access(s.ctx, s.who, p.grant.Address); err != nil {
		return s.refuse(err)
	}
	if s.reached == nil {
		s.reached = make(map[storage.MailboxID]bool)
	}
	s.reached[p.grant.Mailbox] = true
	return nil
}

// reads tells whether an item hands out contents of a message: a body or a part
// of it, whole or decoded, whether or not that sets \Seen. Headers, ENVELOPE,
// BODYSTRUCTURE and PREVIEW are what clients list messages by.
func reads(it fetchItem) bool {
	switch it.kind {
	case itemBinary:
		return true
	case itemSection:
		return it.spec == specAll || it.spec == specText
	}
	return false
}

// noteRead notes that a message is being read.
func (f *fetcher) noteRead(uid uint32) error {
	if !f.reads {
		return nil
	}
	if f.read = append(f.read, uid); len(f.read) < readsAtOnce {
		return nil
	}
	return f.recordReads()
}

// recordReads hands over to the recorder what was read.
func (f *fetcher) recordReads() error {
	v := f.s.view
	err := f.s.srv.cfg.Trail.Read(f.s.ctx, f.s.who, trail.Messages{
		Mailbox: v.at.grant.Address, Folder: v.at.name, UIDValidity: v.folder.UIDValidity, UIDs: f.read,
	})
	f.read = f.read[:0]
	return err
}
