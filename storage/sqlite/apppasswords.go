// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

func putAppPassword(op *storage.PutAppPassword) (change, error) {
	const opName = "sqlite.PutAppPassword"
	p := op.AppPassword
	p.Login = address(p.Login)
	if p.Login == "" || p.Name == "" {
		return nil, invalid(opName, "application password without login or name")
	}
	if p.ID != 0 {
		return func(r *run) error {
			n, err := r.affected("UPDATE app_passwords SET name = ?, expires = ?, revoked = ? WHERE id = ? AND login = ?",
				p.Name, nanos(p.Expires), nanos(p.Revoked), p.ID, p.Login)
			if err == nil && n == 0 {
				err = absent(opName, "application password %d of %q", p.ID, p.Login)
			}
			if err != nil {
				return err
			}
			r.after(func() { op.ID = p.ID })
			return r.loggedPassword(op, p.ID)
		}, nil
	}
	return func(r *run) error {
		created := nanos(p.Created)
		if created == 0 {
			created = nanos(r.now)
		}
		if err := r.presentFor(opName, p); err != nil {
			return err
		}
		var id int64
		err := r.row(`INSERT INTO app_passwords (login, name, sum, protocols, permission, mailbox, created, expires, revoked)
			VALUES (?, ?, ?, ?, ?, nullif(?, 0), ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
			p.Login, p.Name, p.Sum[:], p.Protocols, p.Permission, p.Mailbox, created, nanos(p.Expires), nanos(p.Revoked)).Scan(&id)
		if noRows(err) {
			return fault.New(opName, fault.Exists, fmt.Errorf("an application password with this sum exists"))
		}
		if err != nil {
			return err
		}
		r.after(func() { op.ID = id })
		return r.loggedPassword(op, id)
	}, nil
}

// loggedPassword appends the record of an application password of that ID.
func (r *run) loggedPassword(op *storage.PutAppPassword, id int64) error {
	if op.Logged == nil {
		return nil
	}
	rec := op.Logged(id)
	if rec.Event == "" {
		return invalid("sqlite.PutAppPassword", "record without event")
	}
	_, err := r.record(rec)
	return err
}

// presentFor fails with NotFound where the user or the mailbox of p is not there.
func (r *run) presentFor(op string, p storage.AppPassword) error {
	var n int
	err := r.row("SELECT 1 FROM users WHERE login = ?", p.Login).Scan(&n)
	if err == nil && p.Mailbox != 0 {
		err = r.row("SELECT 1 FROM mailboxes WHERE id = ?", p.Mailbox).Scan(&n)
	}
	if noRows(err) {
		return absent(op, "user %q or mailbox %d", p.Login, p.Mailbox)
	}
	return err
}

const appPasswordColumns = "id, login, name, sum, protocols, permission, mailbox, created, expires, revoked"

func scanAppPassword(row scanner) (p storage.AppPassword, err error) {
	var sum []byte
	var mailbox sql.NullInt64
	var created, expires, revoked int64
	err = row.Scan(&p.ID, &p.Login, &p.Name, &sum, &p.Protocols, &p.Permission, &mailbox, &created, &expires, &revoked)
	copy(p.Sum[:], sum)
	p.Mailbox = storage.MailboxID(mailbox.Int64)
	p.Created, p.Expires, p.Revoked = instant(created), instant(expires), instant(revoked)
	return p, err
}

// AppPasswords implements storage.Accounts. An unknown login has none.
func (s *Store) AppPasswords(ctx context.Context, login string) ([]storage.AppPassword, error) {
	ps, err := all(ctx, s.read, scanAppPassword,
		"SELECT "+appPasswordColumns+" FROM app_passwords WHERE login = ? ORDER BY id", address(login))
	return ps, failed("sqlite.AppPasswords", err)
}

// AppPassword implements storage.Accounts.
func (s *Store) AppPassword(ctx context.Context, sum [32]byte) (storage.AppPassword, error) {
	const op = "sqlite.AppPassword"
	st, err := s.read.stmt(ctx, "SELECT "+appPasswordColumns+" FROM app_passwords WHERE sum = ?")
	if err != nil {
		return storage.AppPassword{}, failed(op, err)
	}
	p, err := scanAppPassword(st.QueryRowContext(ctx, sum[:]))
	if noRows(err) {
		return storage.AppPassword{}, absent(op, "application password")
	}
	return p, failed(op, err)
}
