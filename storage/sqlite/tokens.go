// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// rememberRecoveries is how long a recovery is kept: longer than any is good for,
// and than their number is bounded over.
const rememberRecoveries = 24 * time.Hour

func putAPIToken(op *storage.PutAPIToken) (change, error) {
	const opName = "sqlite.PutAPIToken"
	t := op.Token
	if t.Name == "" || t.Role == "" {
		return nil, invalid(opName, "token without name or role")
	}
	return func(r *run) error {
		id, err := r.writeToken(opName, t)
		if err != nil {
			return err
		}
		r.after(func() { op.ID = id })
		if op.Logged == nil {
			return nil
		}
		rec := op.Logged(id)
		if rec.Event == "" {
			return invalid(opName, "record without event")
		}
		_, err = r.record(rec)
		return err
	}, nil
}

// writeToken inserts a token, or sets the end of the one with its ID.
func (r *run) writeToken(op string, t storage.APIToken) (int64, error) {
	if t.ID != 0 {
		n, err := r.affected("UPDATE api_tokens SET expires = ?, revoked = ? WHERE id = ?", nanos(t.Expires), nanos(t.Revoked), t.ID)
		if err == nil && n == 0 {
			err = absent(op, "token %d", t.ID)
		}
		return t.ID, err
	}
	created := nanos(t.Created)
	if created == 0 {
		created = nanos(r.now)
	}
	var id int64
	err := r.row(`INSERT INTO api_tokens (name, sum, role, customer, mailbox, created, expires, revoked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
		t.Name, t.Sum[:], string(t.Role), t.Customer, t.Mailbox, created, nanos(t.Expires), nanos(t.Revoked)).Scan(&id)
	if noRows(err) {
		return 0, fault.New(op, fault.Exists, fmt.Errorf("a token with this sum exists"))
	}
	return id, err
}

const tokenColumns = "id, name, sum, role, customer, mailbox, created, expires, revoked"

func scanToken(row scanner) (t storage.APIToken, err error) {
	var sum []byte
	var created, expires, revoked int64
	err = row.Scan(&t.ID, &t.Name, &sum, &t.Role, &t.Customer, &t.Mailbox, &created, &expires, &revoked)
	copy(t.Sum[:], sum)
	t.Created, t.Expires, t.Revoked = instant(created), instant(expires), instant(revoked)
	return t, err
}

// APITokens implements storage.Tokens.
func (s *Store) APITokens(ctx context.Context) ([]storage.APIToken, error) {
	ts, err := all(ctx, s.read, scanToken, "SELECT "+tokenColumns+" FROM api_tokens ORDER BY id")
	return ts, failed("sqlite.APITokens", err)
}

// APIToken implements storage.Tokens.
func (s *Store) APIToken(ctx context.Context, sum [32]byte) (storage.APIToken, error) {
	const op = "sqlite.APIToken"
	ts, err := all(ctx, s.read, scanToken, "SELECT "+tokenColumns+" FROM api_tokens WHERE sum = ?", sum[:])
	if err == nil && len(ts) == 0 {
		return storage.APIToken{}, absent(op, "token")
	}
	if err != nil {
		return storage.APIToken{}, failed(op, err)
	}
	return ts[0], nil
}

func addRecovery(op *storage.AddRecovery) (change, error) {
	rec := op.Recovery
	rec.Login = address(rec.Login)
	if rec.Login == "" || len(rec.Sum) == 0 || rec.Kind == "" {
		return nil, invalid("sqlite.AddRecovery", "recovery without login, sum or kind")
	}
	return func(r *run) error {
		created := rec.Created
		if created.IsZero() {
			created = r.now
		}
		if _, err := r.exec("DELETE FROM recoveries WHERE created < ?", nanos(created.Add(-rememberRecoveries))); err != nil {
			return err
		}
		_, err := r.exec("INSERT INTO recoveries (kind, login, sum, made_by, created, expires, tries, used) VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
			string(rec.Kind), rec.Login, rec.Sum, rec.By, nanos(created), nanos(rec.Expires))
		return err
	}, nil
}

func tryRecovery(op *storage.TryRecovery) change {
	return func(r *run) error {
		n, err := r.affected("UPDATE recoveries SET tries = tries + 1 WHERE id = ? AND used = 0 AND tries < ?", op.ID, op.Most)
		if err == nil && n == 0 {
			err = fault.New("sqlite.TryRecovery", fault.Conflict, fmt.Errorf("recovery %d is used up", op.ID))
		}
		return err
	}
}

func useRecovery(op *storage.UseRecovery) change {
	return func(r *run) error {
		n, err := r.affected("UPDATE recoveries SET used = ? WHERE id = ? AND used = 0", nanos(op.At), op.ID)
		if err == nil && n == 0 {
			err = fault.New("sqlite.UseRecovery", fault.Conflict, fmt.Errorf("recovery %d was used", op.ID))
		}
		return err
	}
}

func endRecoveries(op *storage.EndRecoveries) change {
	return func(r *run) error {
		_, err := r.exec("UPDATE recoveries SET used = ? WHERE login = ? AND used = 0", nanos(op.At), address(op.Login))
		return err
	}
}

const recoveryColumns = "id, kind, login, sum, made_by, created, expires, tries, used"

func scanRecovery(row scanner) (v storage.Recovery, err error) {
	var created, expires, used int64
	err = row.Scan(&v.ID, &v.Kind, &v.Login, &v.Sum, &v.By, &created, &expires, &v.Tries, &used)
	v.Created, v.Expires, v.Used = instant(created), instant(expires), instant(used)
	return v, err
}

// RecoveryLink implements storage.Tokens.
func (s *Store) RecoveryLink(ctx context.Context, sum [32]byte) (storage.Recovery, error) {
	const op = "sqlite.RecoveryLink"
	vs, err := all(ctx, s.read, scanRecovery, "SELECT "+recoveryColumns+" FROM recoveries WHERE sum = ? AND kind = ?", sum[:], string(storage.RecoveryLink))
	if err == nil && len(vs) == 0 {
		return storage.Recovery{}, absent(op, "recovery")
	}
	if err != nil {
		return storage.Recovery{}, failed(op, err)
	}
	return vs[0], nil
}

// Recoveries implements storage.Tokens.
func (s *Store) Recoveries(ctx context.Context, login string, since time.Time) ([]storage.Recovery, error) {
	vs, err := all(ctx, s.read, scanRecovery, "SELECT "+recoveryColumns+" FROM recoveries WHERE login = ? AND created >= ? ORDER BY id DESC",
		address(login), nanos(since))
	return vs, failed("sqlite.Recoveries", err)
}
