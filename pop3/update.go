// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
	"pecd/trail"
)

const (
	// recoverableName is what the recoverable folder is called when it is made.
	recoverableName = "Eliminati via POP3"
	// recoverableQuotas is how many times the mailbox's quota its recoverable
	// folder may hold. What is there does not count against the quota: without a
	// bound a program could put any amount aside.
	recoverableQuotas = 10
)

const readOnly = "[SYS/PERM] casella in sola lettura / read-only access"

// dele is DELE.
func (s *session) dele(args string) error {
	i, ok, err := s.message(strings.TrimSpace(args))
	if !ok {
		return err
	}
	if s.grant.Permission&storage.MayWrite == 0 {
		return s.refuse(readOnly)
	}
	s.drop.mark(i)
	return s.text("+OK\r\n")
}

// rset is RSET.
func (s *session) rset(string) error {
	s.drop.unmarkAll()
	return s.text("+OK\r\n")
}

// quit is QUIT. After a login it moves what is marked to the recoverable folder,
// all or nothing, and answers when that is on stable storage.
func (s *session) quit(string) error {
	s.ended = true
	if s.drop == nil || s.drop.marks == 0 {
		return s.text("+OK arrivederci / goodbye\r\n")
	}
	n, err := s.discard()
	switch {
	case err == nil:
		s.srv.cfg.Counters.discarded.Add(int64(n))
		return s.text(fmt.Sprintf("+OK %d messaggi spostati fra gli eliminati, recuperabili per 30 giorni / messages moved, recoverable for 30 days\r\n", n))
	case fault.Is(err, fault.Quota):
		s.log.Warn("pop3: the recoverable folder is full", "mailbox", s.grant.Address)
		return s.refuse("[SYS/PERM] troppi messaggi eliminati in 30 giorni: restano nella casella / too many messages deleted in 30 days: they stay in the mailbox")
	}
	s.log.Error("pop3: QUIT failed, nothing was deleted", "mailbox", s.grant.Address, "error", err)
	return s.refuse("[SYS/TEMP] nessun messaggio eliminato, riprovare / no message was deleted, try again")
}

// discard moves the marked messages, with the record of who did it, and returns
// how many were still there.
func (s *session) discard() (int, error) {
	op := &storage.Discard{From: s.drop.folder.ID, UIDs: s.drop.markedUIDs(), Name: recoverableName}
	to := trail.Place{Mailbox: s.grant.Address, Folder: recoverableName}
	if err := s.prepare(op, &to); err != nil {
		return 0, err
	}
	if s.srv.cfg.Trail != nil {
		in := trail.Place{Mailbox: s.grant.Address, Folder: s.drop.folder.Name}
		op.Logged = trail.Doing(s.srv.cfg.Clock.Now(), ledger.MessageMoved, s.by, in, to)
	}
	err := s.srv.cfg.Store.Commit(s.ctx, new(storage.Step).Add(op))
	return len(op.Source), err
}

// prepare finds out how much the recoverable folder may hold, and its name: that
// of the one there is, or one that is free, so that the record says where the
// messages are.
func (s *session) prepare(op *storage.Discard, to *trail.Place) error {
	tiers, err := s.srv.cfg.Store.Tiers(s.ctx)
	if err != nil {
		return err
	}
	if f, ok := storage.FiguresOf(tiers, s.drop.box); ok {
		op.Limit = recoverableQuotas * f.QuotaBytes
	}
	folders, err := s.srv.cfg.Store.Folders(s.ctx, s.drop.folder.Mailbox)
	taken := make(map[string]bool, len(folders))
	for _, f := range folders {
		if f.Recoverable {
			to.Folder = f.Name
			return err
		}
		taken[f.Name] = true
	}
	for n := 2; taken[to.Folder]; n++ {
		to.Folder = fmt.Sprintf("%s %d", recoverableName, n)
	}
	op.Name = to.Folder
	return err
}
