// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"

	"pecd/storage"
)

func putFilter(op *storage.PutFilter) (change, error) {
	const opName = "sqlite.PutFilter"
	f := op.Filter
	if f.Name == "" {
		return nil, invalid(opName, "filter without name")
	}
	return func(r *run) error {
		at := nanos(f.At)
		if at == 0 {
			at = nanos(r.now)
		}
		var n int
		err := r.row("SELECT 1 FROM mailboxes WHERE id = ?", f.Mailbox).Scan(&n)
		if noRows(err) {
			return absent(opName, "mailbox %d", f.Mailbox)
		}
		if err != nil {
			return err
		}
		_, err = r.exec(`INSERT INTO filters (mailbox, name, script, active, at) VALUES (?1, ?2, ?3, 0, ?4)
			ON CONFLICT DO UPDATE SET script = ?3, at = ?4`, f.Mailbox, f.Name, f.Script, at)
		return err
	}, nil
}

func removeFilter(op *storage.RemoveFilter) change {
	return func(r *run) error {
		n, err := r.affected("DELETE FROM filters WHERE mailbox = ? AND name = ?", op.Mailbox, op.Name)
		if err == nil && n == 0 {
			err = absent("sqlite.RemoveFilter", "filter %q of mailbox %d", op.Name, op.Mailbox)
		}
		return err
	}
}

func activateFilter(op *storage.ActivateFilter) change {
	return func(r *run) error {
		if _, err := r.exec("UPDATE filters SET active = 0 WHERE mailbox = ? AND active", op.Mailbox); err != nil || op.Name == "" {
			return err
		}
		n, err := r.affected("UPDATE filters SET active = 1 WHERE mailbox = ? AND name = ?", op.Mailbox, op.Name)
		if err == nil && n == 0 {
			err = absent("sqlite.ActivateFilter", "filter %q of mailbox %d", op.Name, op.Mailbox)
		}
		return err
	}
}

const filterColumns = "mailbox, name, script, active, at"

func scanFilter(row scanner) (f storage.Filter, err error) {
	var at int64
	err = row.Scan(&f.Mailbox, &f.Name, &f.Script, &f.Active, &at)
	f.At = instant(at)
	return f, err
}

// Filters implements storage.Filters.
func (s *Store) Filters(ctx context.Context, m storage.MailboxID) ([]storage.Filter, error) {
	fs, err := all(ctx, s.read, scanFilter, "SELECT "+filterColumns+" FROM filters WHERE mailbox = ? ORDER BY name", m)
	return fs, failed("sqlite.Filters", err)
}

// Filter implements storage.Filters.
func (s *Store) Filter(ctx context.Context, m storage.MailboxID, name string) (storage.Filter, error) {
	return s.filter(ctx, "sqlite.Filter", "SELECT "+filterColumns+" FROM filters WHERE mailbox = ? AND name = ?", m, name)
}

// ActiveFilter implements storage.Filters.
func (s *Store) ActiveFilter(ctx context.Context, m storage.MailboxID) (storage.Filter, error) {
	return s.filter(ctx, "sqlite.ActiveFilter", "SELECT "+filterColumns+" FROM filters WHERE mailbox = ? AND active", m)
}

func (s *Store) filter(ctx context.Context, op, query string, args ...any) (storage.Filter, error) {
	st, err := s.read.stmt(ctx, query)
	if err != nil {
		return storage.Filter{}, failed(op, err)
	}
	f, err := scanFilter(st.QueryRowContext(ctx, args...))
	if noRows(err) {
		return storage.Filter{}, absent(op, "filter")
	}
	return f, failed(op, err)
}
