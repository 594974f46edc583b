// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

// grown notes that a mailbox reached a level of its quota, if it did: hardly ever
// is there anything to write.
func (r *run) grown(box storage.MailboxID, before, used, quota int64) error {
	level := storage.QuotaLevel(used, quota)
	if level <= storage.QuotaLevel(before, quota) {
		return nil
	}
	_, err := r.exec("INSERT INTO quota_levels (mailbox, level, told) VALUES (?1, ?2, 0) ON CONFLICT DO UPDATE SET level = ?2, told = 0", box, level)
	return err
}

func setQuotaLevel(op *storage.SetQuotaLevel) change {
	return func(r *run) error {
		var level int
		var told bool
		err := r.row("SELECT level, told FROM quota_levels WHERE mailbox = ?", op.Mailbox).Scan(&level, &told)
		if err != nil && !noRows(err) {
			return err
		}
		if level != op.Was || told && op.Told && op.Level == op.Was {
			return fault.New("sqlite.SetQuotaLevel", fault.Conflict, fmt.Errorf("mailbox %d is at level %d", op.Mailbox, level))
		}
		_, err = r.exec("INSERT INTO quota_levels (mailbox, level, told) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET level = ?2, told = ?3",
			op.Mailbox, op.Level, op.Told)
		return err
	}
}

func (s *Store) levels(ctx context.Context, where string) ([]storage.MailboxLevel, error) {
	return all(ctx, s.read, func(row scanner) (l storage.MailboxLevel, err error) {
		err = row.Scan(&l.Mailbox, &l.Level, &l.Told)
		return l, err
	}, "SELECT mailbox, level, told FROM quota_levels"+where+" ORDER BY mailbox")
}

// UntoldLevels implements storage.Notices.
func (s *Store) UntoldLevels(ctx context.Context) ([]storage.MailboxLevel, error) {
	ls, err := s.levels(ctx, " WHERE NOT told")
	return ls, failed("sqlite.UntoldLevels", err)
}

// QuotaLevels implements storage.Notices.
func (s *Store) QuotaLevels(ctx context.Context) ([]storage.MailboxLevel, error) {
	ls, err := s.levels(ctx, "")
	return ls, failed("sqlite.QuotaLevels", err)
}
