// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// prepareNotice is prepareOp for contacts and what they are told.
func prepareNotice(op storage.Op) (change, error) {
	switch op := op.(type) {
	case *storage.PutContact:
		return putContact(op)
	case *storage.DropContacts:
		return dropContacts(op), nil
	case *storage.NoteCode:
		return noteCode(op), nil
	case *storage.PutTarget:
		return putTarget(op), nil
	case *storage.AllowNotices:
		return allowNotices(op), nil
	case *storage.NoteArrival:
		return noteArrival(op), nil
	case *storage.QueueNotice:
		return queueNotice(op), nil
	case *storage.CloseNotice:
		return closeNotice(op), nil
	case *storage.SettleNotice:
		return settleNotice(op), nil
	case *storage.RetryNotice:
		return retryNotice(op), nil
	case *storage.NoticeOutcome:
		return noticeOutcome(op), nil
	case *storage.SetQuotaLevel:
		return setQuotaLevel(op), nil
	}
	return nil, fault.New("sqlite.Commit", fault.Unsupported, fmt.Errorf("unknown operation %T", op))
}

func putContact(op *storage.PutContact) (change, error) {
	const opName = "sqlite.PutContact"
	c := op.Contact
	c.Login = address(c.Login)
	if c.Login == "" || c.Kind == "" || c.Address == "" {
		return nil, invalid(opName, "contact without login, kind or address")
	}
	if c.ID != 0 {
		return func(r *run) error {
			n, err := r.affected(`UPDATE contacts SET confirmed = ?, code = ?, code_at = ?, tries = ?, refused = ?, refused_at = ?
				WHERE id = ? AND login = ? AND code IS ? AND confirmed = ? AND tries = ?`,
				nanos(c.Confirmed), orNull(c.Code), nanos(c.CodeAt), c.Tries, c.Refused, nanos(c.RefusedAt),
				c.ID, c.Login, orNull(op.Before.Code), nanos(op.Before.Confirmed), op.Before.Tries)
			if err != nil {
				return err
			}
			r.after(func() { op.ID = c.ID })
			if n == 1 {
				return nil
			}
			var is int
			if err := r.row("SELECT 1 FROM contacts WHERE id = ? AND login = ?", c.ID, c.Login).Scan(&is); noRows(err) {
				return absent(opName, "contact %d of %q", c.ID, c.Login)
			} else if err != nil {
				return err
			}
			return fault.New(opName, fault.Conflict, fmt.Errorf("contact %d has changed", c.ID))
		}, nil
	}
	return func(r *run) error {
		var is int
		if err := r.row("SELECT 1 FROM users WHERE login = ?", c.Login).Scan(&is); noRows(err) {
			return absent(opName, "user %q", c.Login)
		} else if err != nil {
			return err
		}
		created := nanos(c.Created)
		if created == 0 {
			created = nanos(r.now)
		}
		var id int64
		err := r.row(`INSERT INTO contacts (login, kind, address, created, confirmed, code, code_at, tries)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
			c.Login, string(c.Kind), c.Address, created, nanos(c.Confirmed), orNull(c.Code), nanos(c.CodeAt), c.Tries).Scan(&id)
		if noRows(err) {
			return fault.New(opName, fault.Exists, fmt.Errorf("%q has this contact", c.Login))
		}
		r.after(func() { op.ID = id })
		return err
	}, nil
}

// orNull is a column that is NULL where there are no octets.
func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func dropContacts(op *storage.DropContacts) change {
	login := address(op.Login)
	return func(r *run) error {
		const those = " IN (SELECT id FROM contacts WHERE login = ?1 AND (?2 = 0 OR id = ?2))"
		for _, table := range [...]string{"notices_due", "notices"} {
			if _, err := r.exec("DELETE FROM "+table+" WHERE contact"+those, login, op.ID); err != nil {
				return err
			}
		}
		n, err := r.affected("DELETE FROM contacts WHERE id"+those, login, op.ID)
		if err == nil && n == 0 && op.ID != 0 {
			err = absent("sqlite.DropContacts", "contact %d of %q", op.ID, login)
		}
		return err
	}
}

func noteCode(op *storage.NoteCode) change {
	return func(r *run) error {
		if _, err := r.exec("DELETE FROM codes WHERE at <= ?", nanos(op.At.Add(-24*time.Hour))); err != nil {
			return err
		}
		var hour, day int
		err := r.row("SELECT count(*) FILTER (WHERE at > ?2), count(*) FROM codes WHERE address = ?1",
			op.Address, nanos(op.At.Add(-time.Hour))).Scan(&hour, &day)
		if err != nil {
			return err
		}
		if hour >= op.PerHour || day >= op.PerDay {
			return fault.New("sqlite.NoteCode", fault.TooMany, fmt.Errorf("%d codes in an hour, %d in a day", hour, day))
		}
		_, err = r.exec("INSERT INTO codes (address, at) VALUES (?, ?)", op.Address, nanos(op.At))
		return err
	}
}

const contactColumns = "c.id, c.login, c.kind, c.address, c.created, c.confirmed, c.code, c.code_at, c.tries, c.refused, c.refused_at"

func contactFields(c *storage.Contact, at *[4]int64) []any {
	return []any{&c.ID, &c.Login, &c.Kind, &c.Address, &at[0], &at[1], &c.Code, &at[2], &c.Tries, &c.Refused, &at[3]}
}

func setInstants(c *storage.Contact, at [4]int64) {
	c.Created, c.Confirmed, c.CodeAt, c.RefusedAt = instant(at[0]), instant(at[1]), instant(at[2]), instant(at[3])
}

func scanContact(row scanner) (c storage.Contact, err error) {
	var at [4]int64
	err = row.Scan(contactFields(&c, &at)...)
	setInstants(&c, at)
	return c, err
}

// Contacts implements storage.Notices.
func (s *Store) Contacts(ctx context.Context, login string) ([]storage.Contact, error) {
	cs, err := all(ctx, s.read, scanContact, "SELECT "+contactColumns+" FROM contacts c WHERE c.login = ? ORDER BY c.id", address(login))
	return cs, failed("sqlite.Contacts", err)
}

// Contact implements storage.Notices.
func (s *Store) Contact(ctx context.Context, id int64) (storage.Contact, error) {
	const op = "sqlite.Contact"
	cs, err := all(ctx, s.read, scanContact, "SELECT "+contactColumns+" FROM contacts c WHERE c.id = ?", id)
	if err == nil && len(cs) == 0 {
		return storage.Contact{}, absent(op, "contact %d", id)
	}
	if err != nil {
		return storage.Contact{}, failed(op, err)
	}
	return cs[0], nil
}

// RefusedContacts implements storage.Notices.
func (s *Store) RefusedContacts(ctx context.Context, notices int, before time.Time) ([]storage.Contact, error) {
	cs, err := all(ctx, s.read, scanContact, "SELECT "+contactColumns+
		" FROM contacts c WHERE c.refused >= ? AND c.refused_at < ? AND c.confirmed > 0 ORDER BY c.id", notices, nanos(before))
	return cs, failed("sqlite.RefusedContacts", err)
}

func noticeOutcome(op *storage.NoticeOutcome) change {
	return func(r *run) error {
		if !op.Refused {
			_, err := r.exec("UPDATE contacts SET refused = 0, refused_at = 0 WHERE id = ? AND refused > 0", op.Contact)
			return err
		}
		_, err := r.exec("UPDATE contacts SET refused_at = CASE refused WHEN 0 THEN ? ELSE refused_at END, refused = refused + 1 WHERE id = ?",
			nanos(op.At), op.Contact)
		return err
	}
}
