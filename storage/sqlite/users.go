// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"

	"pecd/storage"
)

func putUser(op *storage.PutUser) (change, error) {
	u := op.User
	u.Login = address(u.Login)
	if u.Login == "" {
		return nil, invalid("sqlite.PutUser", "user without login")
	}
	return func(r *run) error {
		// Not REPLACE, which would delete the row that grants refer to.
		_, err := r.exec(`INSERT INTO users (login, name, hash, disabled, created, deleted, customer, disabled_by) VALUES (?1, ?2, ?3, ?4, coalesce(nullif(?5, 0), ?6), ?7, ?8, ?9)
			ON CONFLICT DO UPDATE SET name = ?2, hash = ?3, disabled = ?4, created = coalesce(nullif(?5, 0), created), deleted = ?7, customer = ?8, disabled_by = ?9`,
			u.Login, u.Name, u.Hash, u.Disabled, nanos(u.Created), nanos(r.now), nanos(u.Deleted), u.Customer, u.DisabledBy)
		return err
	}, nil
}

const userColumns = "login, name, hash, disabled, created, deleted, customer, disabled_by"

func scanUser(row scanner) (u storage.User, err error) {
	var created, deleted int64
	err = row.Scan(&u.Login, &u.Name, &u.Hash, &u.Disabled, &created, &deleted, &u.Customer, &u.DisabledBy)
	u.Created, u.Deleted = instant(created), instant(deleted)
	return u, err
}

// Users implements storage.Accounts.
func (s *Store) Users(ctx context.Context, fn func(storage.User) error) error {
	for after := ""; ; {
		us, err := all(ctx, s.read, scanUser, "SELECT "+userColumns+" FROM users WHERE login > ? ORDER BY login LIMIT ?", after, chunk)
		if err != nil {
			return failed("sqlite.Users", err)
		}
		for _, u := range us {
			if err := fn(u); err != nil {
				return err
			}
			after = u.Login
		}
		if len(us) < chunk {
			return nil
		}
	}
}

// User implements storage.Accounts.
func (s *Store) User(ctx context.Context, login string) (storage.User, error) {
	const op = "sqlite.User"
	st, err := s.read.stmt(ctx, "SELECT "+userColumns+" FROM users WHERE login = ?")
	if err != nil {
		return storage.User{}, failed(op, err)
	}
	u, err := scanUser(st.QueryRowContext(ctx, address(login)))
	if noRows(err) {
		return u, absent(op, "user %q", login)
	}
	return u, failed(op, err)
}

func (p *prepared) putGrant(op *storage.PutGrant) (change, error) {
	const opName = "sqlite.PutGrant"
	login := address(op.Login)
	if op.New != nil && (!p.boxes[op.New] || op.Mailbox != 0) {
		return nil, invalid(opName, "mailbox is not created earlier in the step, or given twice")
	}
	return func(r *run) error {
		id := op.Mailbox
		if op.New != nil {
			id = r.made[op.New]
		}
		if op.Permission == 0 {
			_, err := r.exec("DELETE FROM grants WHERE login = ? AND mailbox = ?", login, id)
			return err
		}
		n, err := r.affected(`INSERT OR REPLACE INTO grants (login, mailbox, permission)
			SELECT u.login, m.id, ? FROM users u, mailboxes m WHERE u.login = ? AND m.id = ?`, op.Permission, login, id)
		if err == nil && n == 0 {
			err = absent(opName, "user %q or mailbox %d", login, id)
		}
		return err
	}, nil
}

// Grants implements storage.Accounts. An unknown login has none.
func (s *Store) Grants(ctx context.Context, login string) ([]storage.Grant, error) {
	gs, err := all(ctx, s.read, scanGrant, grantsWhere+"g.login = ? ORDER BY m.address", address(login))
	return gs, failed("sqlite.Grants", err)
}

// GrantsOn implements storage.Accounts. An unknown mailbox has none.
func (s *Store) GrantsOn(ctx context.Context, m storage.MailboxID) ([]storage.Grant, error) {
	gs, err := all(ctx, s.read, scanGrant, grantsWhere+"g.mailbox = ? ORDER BY g.login", m)
	return gs, failed("sqlite.GrantsOn", err)
}

const grantsWhere = "SELECT g.login, g.mailbox, m.address, g.permission FROM grants g JOIN mailboxes m ON m.id = g.mailbox WHERE "

func scanGrant(row scanner) (g storage.Grant, err error) {
	err = row.Scan(&g.Login, &g.Mailbox, &g.Address, &g.Permission)
	return g, err
}
