// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"context"

	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Tell chooses whether a user's contact is told of what arrives in a mailbox that
// he may read (S4-021). Each user chooses for himself. Denied for a contact that
// is not confirmed, a mailbox that he may not read, and one whose tier has no
// notices (D6) unless they were allowed for it; NotFound where he has no such
// contact. Turning it off is always possible.
func (s *Service) Tell(ctx context.Context, login, mailbox string, contact int64, on bool) error {
	const op = "notify.Tell"
	c, err := s.contact(ctx, login, contact)
	if err != nil {
		return fault.Wrap(op, err)
	}
	box, err := s.cfg.Directory.Mailbox(ctx, mailbox)
	if err == nil && on {
		err = s.mayBeTold(ctx, c, box)
	}
	if err != nil {
		return fault.Wrap(op, err)
	}
	e := ledger.Event{Kind: ledger.NoticeChosen, User: c.Login, Mailbox: box.Address, To: c.Masked(), Detail: "off"}
	if on {
		e.Detail = "on"
	}
	err = s.commit(ctx, &storage.PutTarget{Contact: c.ID, Mailbox: box.ID, On: on}, s.record(ctx, e))
	s.cfg.Directory.Forget(box.Address)
	return fault.Wrap(op, err)
}

func (s *Service) mayBeTold(ctx context.Context, c storage.Contact, box storage.Mailbox) error {
	if c.Confirmed.IsZero() {
		return say("mayBeTold", fault.Denied, "il contatto non è confermato / the contact is not confirmed")
	}
	grants, err := s.cfg.Directory.Grants(ctx, c.Login)
	if err != nil {
		return err
	}
	if g, ok := (directory.Principal{Grants: grants}).Grant(box.Address); !ok || g.Permission&storage.MayRead == 0 {
		return say("mayBeTold", fault.Denied, "l'utente non può leggere questa casella / the user may not read this mailbox")
	}
	tier, err := s.cfg.Directory.Tier(ctx, box.Tier)
	if err != nil || tier.Notices {
		return err
	}
	allowed, err := s.cfg.Store.NoticesAllowed(ctx, box.ID)
	if err == nil && !allowed {
		err = say("mayBeTold", fault.Denied, "gli avvisi non sono compresi nella tipologia "+tier.Name+": vanno attivati dal gestore / "+
			"notices are no part of "+tier.Name+": the provider has to allow them")
	}
	return err
}

// Targets lists what a user chose, by mailbox.
func (s *Service) Targets(ctx context.Context, login string) ([]storage.Target, error) {
	const op = "notify.Targets"
	u, err := s.cfg.Directory.User(ctx, login)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	all, err := s.cfg.Store.Targets(ctx, u.Login)
	return all, fault.Wrap(op, err)
}

// Allow allows notices for a mailbox whose tier has none (D6), or not any more.
// The provider alone may.
func (s *Service) Allow(ctx context.Context, mailbox string, allowed bool) error {
	const op = "notify.Allow"
	box, err := s.cfg.Directory.MayMailbox(ctx, directory.RaiseMailbox, mailbox)
	if err != nil {
		return fault.Wrap(op, err)
	}
	e := ledger.Event{Kind: ledger.MailboxOptions, Mailbox: box.Address, To: "notices", Detail: "avvisi / notices"}
	if !allowed {
		e.From, e.To = e.To, ""
	}
	err = s.commit(ctx, &storage.AllowNotices{Mailbox: box.ID, Allowed: allowed}, s.record(ctx, e))
	s.cfg.Directory.Forget(box.Address)
	return fault.Wrap(op, err)
}
