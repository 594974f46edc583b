// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// targets are the contacts (c) that are told of mailboxes at present (n), as
// storage.Notices.TargetsOn has it. The joins are done in this order: nearly all
// mailboxes have no row in notices, and cost one look.
const targets = `FROM notices n CROSS JOIN contacts c ON c.id = n.contact AND c.confirmed > 0
	CROSS JOIN users u ON u.login = c.login AND NOT u.disabled AND u.deleted = 0
	CROSS JOIN grants g ON g.login = c.login AND g.mailbox = n.mailbox AND g.permission & 1
	CROSS JOIN mailboxes b ON b.id = n.mailbox
	WHERE (EXISTS (SELECT 1 FROM tiers t WHERE t.code = b.tier AND t.notices) OR EXISTS (SELECT 1 FROM notices_allowed l WHERE l.mailbox = b.id))`

func putTarget(op *storage.PutTarget) change {
	return func(r *run) error {
		if !op.On {
			for _, table := range [...]string{"notices_due", "notices"} {
				if _, err := r.exec("DELETE FROM "+table+" WHERE contact = ? AND mailbox = ?", op.Contact, op.Mailbox); err != nil {
					return err
				}
			}
			return nil
		}
		var n int
		err := r.row("SELECT 1 FROM contacts c, mailboxes b WHERE c.id = ? AND b.id = ?", op.Contact, op.Mailbox).Scan(&n)
		if noRows(err) {
			return absent("sqlite.PutTarget", "contact %d or mailbox %d", op.Contact, op.Mailbox)
		}
		if err != nil {
			return err
		}
		_, err = r.exec("INSERT INTO notices (contact, mailbox) VALUES (?, ?) ON CONFLICT DO NOTHING", op.Contact, op.Mailbox)
		return err
	}
}

func allowNotices(op *storage.AllowNotices) change {
	return func(r *run) error {
		if !op.Allowed {
			_, err := r.exec("DELETE FROM notices_allowed WHERE mailbox = ?", op.Mailbox)
			return err
		}
		var n int
		if err := r.row("SELECT 1 FROM mailboxes WHERE id = ?", op.Mailbox).Scan(&n); noRows(err) {
			return absent("sqlite.AllowNotices", "mailbox %d", op.Mailbox)
		} else if err != nil {
			return err
		}
		_, err := r.exec("INSERT INTO notices_allowed (mailbox) VALUES (?) ON CONFLICT DO NOTHING", op.Mailbox)
		return err
	}
}

// told is a contact that is to be told of an arrival.
type told struct {
	contact             int64
	kind                string
	minute              int64 // beginning of the minute in which it was told
	count               int   // … of so many one by one
	sent                int   // notices of the day
	sentUntil           int64
	collecting, dueThen int64 // the notice that collects, and when it is due; 0
}

// noteArrival decides for each contact whether it is told of a message by itself
// or together with others.
func noteArrival(op *storage.NoteArrival) change {
	return func(r *run) error {
		all, err := rows(r, func(row scanner) (t told, err error) {
			err = row.Scan(&t.contact, &t.kind, &t.minute, &t.count, &t.sent, &t.sentUntil, &t.collecting, &t.dueThen)
			return t, err
		}, `SELECT n.contact, c.kind, n.minute, n.told, c.sent, c.sent_until,
			coalesce((SELECT d.id FROM notices_due d WHERE d.contact = n.contact AND d.mailbox = n.mailbox AND d.open), 0),
			coalesce((SELECT d.due FROM notices_due d WHERE d.contact = n.contact AND d.mailbox = n.mailbox AND d.open), 0) `+
			targets+" AND n.mailbox = ?", op.Mailbox)
		if err != nil {
			return err
		}
		for _, t := range all {
			if err := r.tell(t, op); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *run) tell(t told, op *storage.NoteArrival) error {
	at := nanos(op.At)
	if t.collecting != 0 {
		if at < t.dueThen {
			_, err := r.exec("UPDATE notices_due SET count = count + 1, first = min(first, ?1), last = max(last, ?1) WHERE id = ?2", at, t.collecting)
			return err
		}
		if _, err := r.exec("UPDATE notices_due SET open = 0 WHERE id = ?", t.collecting); err != nil {
			return err
		}
	}
	if at < t.minute || at-t.minute >= int64(time.Minute) {
		t.minute, t.count = at, 0
	}
	due, open := at, false
	switch {
	case t.sentUntil > at && t.sent >= op.Rules.PerDay:
		due, open = t.sentUntil, true
	case t.count >= op.Rules.OneByOne:
		due, open = nanos(op.At.Add(op.Rules.Interval)), true
	default:
		_, err := r.exec("UPDATE notices SET minute = ?, told = ? WHERE contact = ? AND mailbox = ?", t.minute, t.count+1, t.contact, op.Mailbox)
		if err != nil {
			return err
		}
	}
	_, err := r.exec(`INSERT INTO notices_due (contact, mailbox, kind, level, count, first, last, open, due, attempts)
		VALUES (?1, ?2, ?3, 0, 1, ?4, ?4, ?5, ?6, 0)`, t.contact, op.Mailbox, t.kind, at, open, due)
	return err
}

func queueNotice(op *storage.QueueNotice) change {
	return func(r *run) error {
		n, err := r.affected(`INSERT INTO notices_due (contact, mailbox, kind, level, count, first, last, open, due, attempts)
			SELECT c.id, b.id, c.kind, ?1, 0, ?2, ?2, 0, ?2, 0 FROM contacts c, mailboxes b WHERE c.id = ?3 AND b.id = ?4`,
			op.Level, nanos(op.At), op.Contact, op.Mailbox)
		if err == nil && n == 0 {
			err = absent("sqlite.QueueNotice", "contact %d or mailbox %d", op.Contact, op.Mailbox)
		}
		return err
	}
}

// stale is the failure of a step that knew another state of a notice.
func stale(op string, id int64) error {
	return fault.New(op, fault.Conflict, fmt.Errorf("notice %d is gone or counts others", id))
}

func closeNotice(op *storage.CloseNotice) change {
	return func(r *run) error {
		n, err := r.affected("UPDATE notices_due SET open = 0 WHERE id = ? AND count = ?", op.ID, op.Count)
		if err == nil && n == 0 {
			err = stale("sqlite.CloseNotice", op.ID)
		}
		return err
	}
}

func settleNotice(op *storage.SettleNotice) change {
	return func(r *run) error {
		var contact int64
		err := r.row("DELETE FROM notices_due WHERE id = ? AND count = ? RETURNING contact", op.ID, op.Count).Scan(&contact)
		if noRows(err) {
			return stale("sqlite.SettleNotice", op.ID)
		}
		if err != nil || op.Dropped {
			return err
		}
		_, err = r.exec(`UPDATE contacts SET sent = CASE WHEN sent_until > ?1 THEN sent + 1 ELSE 1 END,
			sent_until = CASE WHEN sent_until > ?1 THEN sent_until ELSE ?2 END WHERE id = ?3`, nanos(op.At), nanos(op.DayEnds), contact)
		return err
	}
}

func retryNotice(op *storage.RetryNotice) change {
	return func(r *run) error {
		n, err := r.affected("UPDATE notices_due SET due = ?, attempts = attempts + 1, open = 0 WHERE id = ?", nanos(op.Due), op.ID)
		if err == nil && n == 0 {
			err = absent("sqlite.RetryNotice", "notice %d", op.ID)
		}
		return err
	}
}

func scanTarget(row scanner) (t storage.Target, err error) {
	var at [4]int64
	err = row.Scan(append(contactFields(&t.Contact, &at), &t.Mailbox, &t.Address)...)
	setInstants(&t.Contact, at)
	return t, err
}

// Targets implements storage.Notices.
func (s *Store) Targets(ctx context.Context, login string) ([]storage.Target, error) {
	ts, err := all(ctx, s.read, scanTarget, "SELECT "+contactColumns+`, b.id, b.address FROM notices n JOIN contacts c ON c.id = n.contact
		JOIN mailboxes b ON b.id = n.mailbox WHERE c.login = ? ORDER BY b.address, c.id`, address(login))
	return ts, failed("sqlite.Targets", err)
}

// TargetsOn implements storage.Notices.
func (s *Store) TargetsOn(ctx context.Context, m storage.MailboxID) ([]storage.Target, error) {
	ts, err := all(ctx, s.read, scanTarget, "SELECT "+contactColumns+", b.id, b.address "+targets+" AND n.mailbox = ? ORDER BY c.id", m)
	return ts, failed("sqlite.TargetsOn", err)
}

// NoticesAllowed implements storage.Notices.
func (s *Store) NoticesAllowed(ctx context.Context, m storage.MailboxID) (is bool, err error) {
	err = s.read.row(ctx, "SELECT EXISTS (SELECT 1 FROM notices_allowed WHERE mailbox = ?)", []any{m}, &is)
	return is, failed("sqlite.NoticesAllowed", err)
}

// DueNotices implements storage.Notices.
func (s *Store) DueNotices(ctx context.Context, kind storage.ContactKind, now time.Time, limit int) ([]storage.Notice, error) {
	ns, err := all(ctx, s.read, func(row scanner) (n storage.Notice, err error) {
		var at [4]int64
		var first, last, due int64
		err = row.Scan(append(contactFields(&n.Contact, &at),
			&n.ID, &n.Mailbox, &n.Address, &n.Level, &n.Count, &first, &last, &n.Open, &due, &n.Attempts)...)
		setInstants(&n.Contact, at)
		n.First, n.Last, n.Due = instant(first), instant(last), instant(due)
		return n, err
	}, "SELECT "+contactColumns+`, d.id, d.mailbox, b.address, d.level, d.count, d.first, d.last, d.open, d.due, d.attempts
		FROM notices_due d JOIN contacts c ON c.id = d.contact JOIN mailboxes b ON b.id = d.mailbox
		WHERE d.kind = ? AND d.due <= ? ORDER BY d.due, d.id LIMIT ?`, string(kind), nanos(now), limit)
	return ns, failed("sqlite.DueNotices", err)
}
