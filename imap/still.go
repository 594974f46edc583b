// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"time"

	"pecd/fault"
	"pecd/storage"
)

const (
	// recheck is how often a session at work looks whether its mailboxes are in use.
	recheck = 5 * time.Second
	// recheckIdle is how often a session that idles, and is told nothing, looks
	// whether its login is still good.
	recheckIdle = 30 * time.Second
)

// codeExpired is the code of what ends a session whose login is not good any more.
const codeExpired = "EXPIRED"

// still fails where the login is not good any more: revoked, lessened, ended; or
// where the mailbox that it opened is closed. It is asked before each command and
// before an idle client is told anything. That an answer cannot be had ends no
// session: the command that needs the store tells.
func (s *session) still() error {
	err := s.srv.cfg.Directory.Still(s.ctx, s.principal)
	if now := s.c.after(0); err == nil && now >= s.recheckAt {
		s.recheckAt = s.c.after(recheck)
		err = s.inUseStill()
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.Disabled, fault.NotFound:
		s.log.Info("imap: login ended")
		return no(codeExpired, fault.CodesOf(err).Text)
	}
	return nil
}

// inUseStill fails where the client's own mailbox, or that of the folder it has
// open, is not in use.
func (s *session) inUseStill() error {
	ids := []storage.MailboxID{s.grant.Mailbox}
	if s.view != nil && s.view.folder.Mailbox != s.grant.Mailbox {
		ids = append(ids, s.view.folder.Mailbox)
	}
	for _, id := range ids {
		m, err := s.store.MailboxByID(s.ctx, id)
		if err == nil {
			err = inUse(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
