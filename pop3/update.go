// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
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

// discard moves the marked messages and returns how many were still there.
func (s *session) discard() (int, error) {
	st := s.srv.cfg.Store
	tiers, err := st.Tiers(s.ctx)
	if err != nil {
		return 0, err
	}
	op := &storage.Discard{From: s.drop.folder.ID, UIDs: s.drop.markedUIDs(), Name: recoverableName}
	for _, t := range tiers {
		if t.Code == s.drop.tier {
			op.Limit = recoverableQuotas * t.QuotaBytes
		}
	}
	if err := st.Commit(s.ctx, new(storage.Step).Add(op)); err != nil {
		return 0, err
	}
	return len(op.Source), nil
}
