// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/notice"
	"pecd/storage"
)

// levels tells of mailboxes that reached a level of their quota, and of contacts
// that are not reached any more.
func (s *Service) levels(ctx context.Context) (more bool, err error) {
	untold, err := s.cfg.Store.UntoldLevels(ctx)
	if err != nil {
		return false, err
	}
	for _, l := range untold {
		err = errors.Join(err, unlessConflict(s.tellLevel(ctx, l))) // the others are told all the same
	}
	doubtful, failed := s.cfg.Store.RefusedContacts(ctx, refused, s.cfg.Clock.Now().Add(-doubt))
	err = errors.Join(err, failed)
	for _, c := range doubtful {
		err = errors.Join(err, unlessConflict(s.doubt(ctx, c)))
	}
	return false, err
}

// unlessConflict leaves out that something has changed meanwhile: it is looked at
// again in a moment.
func unlessConflict(err error) error {
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// tellLevel tells a mailbox and its contacts the level that it has: by now it may
// be another one, or none.
func (s *Service) tellLevel(ctx context.Context, l storage.MailboxLevel) error {
	box, level, quota, err := s.levelOf(ctx, l.Mailbox)
	if box.ID != 0 && fault.Is(err, fault.NotFound) { // its tier is gone: nothing is enforced, nothing is told
		return s.commit(ctx, &storage.SetQuotaLevel{Mailbox: box.ID, Was: l.Level, Told: true})
	}
	if err != nil {
		return err
	}
	set := &storage.SetQuotaLevel{Mailbox: box.ID, Was: l.Level, Level: level, Told: true}
	if level == 0 || box.State == storage.MailboxClosed {
		return s.commit(ctx, set)
	}
	now := s.now()
	line, body := filling(box.Address, level, box.Used, quota)
	id := fmt.Sprintf("spazio.%d.%d.%d", box.ID, level, now.Unix())
	step, err := s.inform(new(storage.Step).Add(set), box, quota, id, now, line, body)
	if err != nil {
		return err
	}
	contacts, err := s.cfg.Store.TargetsOn(ctx, box.ID)
	if err != nil {
		return err
	}
	for _, t := range contacts {
		step.Add(&storage.QueueNotice{Contact: t.Contact.ID, Mailbox: box.ID, Level: level, At: now})
	}
	step.Add(s.record(ctx, ledger.Event{Kind: ledger.QuotaReached, Mailbox: box.Address, Size: box.Used, Detail: fmt.Sprintf("%d%%", level)}))
	return s.cfg.Store.Commit(ctx, step)
}

// levelOf reads a mailbox with its quota and the level that it has of it.
func (s *Service) levelOf(ctx context.Context, id storage.MailboxID) (box storage.Mailbox, level int, quota int64, err error) {
	if box, err = s.cfg.Store.MailboxByID(ctx, id); err != nil {
		return box, 0, 0, err
	}
	f, err := s.cfg.Directory.Figures(ctx, box)
	return box, storage.QuotaLevel(box.Used, f.QuotaBytes), f.QuotaBytes, err
}

// fillingOf is what a contact is told of a level.
func (s *Service) fillingOf(ctx context.Context, n storage.Notice) (line, body notice.Text, err error) {
	box, _, quota, err := s.levelOf(ctx, n.Mailbox)
	line, body = filling(n.Address, n.Level, box.Used, quota)
	return line, body, err
}

// inform adds to step a message of the provider's for a mailbox, which its quota
// does not keep out.
func (s *Service) inform(step *storage.Step, box storage.Mailbox, quota int64, id string, at time.Time, line, body notice.Text) (*storage.Step, error) {
	raw, err := notice.Compose(notice.Message{ID: id, From: s.cfg.From, To: box.Address, At: at, Subject: line, Body: body})
	if err != nil {
		return nil, fault.New("notify.inform", fault.Internal, err)
	}
	kept := &storage.NewBody{Head: append([]byte("Return-Path: <>\r\n"), raw...)}
	return step.Add(kept, &storage.Append{Mailbox: box.ID, Body: storage.BodyRef{New: kept}, InternalDate: at, Quota: quota, Exempt: true}), nil
}

// compare looks for mailboxes whose level is another than is known: the quota was
// changed, messages were removed. It is a net below what deliveries note.
func (s *Service) compare(ctx context.Context) (more bool, err error) {
	all, err := s.cfg.Store.QuotaLevels(ctx)
	if err != nil {
		return false, err
	}
	known := make(map[storage.MailboxID]storage.MailboxLevel, len(all))
	for _, l := range all {
		known[l.Mailbox] = l
	}
	var changed []*storage.SetQuotaLevel
	err = s.cfg.Store.Mailboxes(ctx, "", func(box storage.Mailbox) error {
		f, err := s.cfg.Directory.Figures(ctx, box)
		if fault.Is(err, fault.NotFound) {
			return nil // its tier is gone: nothing is enforced, nothing is told
		}
		if err != nil {
			return err
		}
		is, was := storage.QuotaLevel(box.Used, f.QuotaBytes), known[box.ID]
		if is != was.Level {
			changed = append(changed, &storage.SetQuotaLevel{Mailbox: box.ID, Was: was.Level, Level: is, Told: is < was.Level && (was.Told || is == 0)})
		}
		return nil
	})
	for _, c := range changed {
		err = errors.Join(err, unlessConflict(s.commit(ctx, c)))
	}
	return false, err
}

// doubt takes a contact's confirmation away and tells its user in the mailboxes
// that it was told of.
func (s *Service) doubt(ctx context.Context, c storage.Contact) error {
	now := s.now()
	after := c
	after.Confirmed, after.Refused, after.RefusedAt = time.Time{}, 0, time.Time{}
	step := new(storage.Step).Add(&storage.PutContact{Contact: after, Before: c},
		s.record(ctx, ledger.Event{Kind: ledger.ContactRemoved, User: c.Login, To: c.Masked(), Detail: "rifiuta gli avvisi: da confermare di nuovo / refuses notices: to be confirmed again"}))
	all, err := s.cfg.Store.Targets(ctx, c.Login)
	if err != nil {
		return err
	}
	line, body := doubted(c)
	for _, t := range all {
		if t.Contact.ID != c.ID {
			continue
		}
		box, _, quota, err := s.levelOf(ctx, t.Mailbox)
		if err != nil {
			return err
		}
		if step, err = s.inform(step, box, quota, fmt.Sprintf("contatto.%d.%d.%d", c.ID, box.ID, now.Unix()), now, line, body); err != nil {
			return err
		}
	}
	if err := s.cfg.Store.Commit(ctx, step); err != nil {
		return err
	}
	return s.forget(ctx, c.Login)
}
