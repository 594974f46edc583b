// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"math"
	"time"

	"pecd/storage"
)

// maxPurgedSent is how many rows one PurgeSent removes.
const maxPurgedSent = 5000

func countSent(op *storage.CountSent) (change, error) {
	if op.Recipients < 0 {
		return nil, invalid("sqlite.CountSent", "%d recipients", op.Recipients)
	}
	return func(r *run) error {
		_, err := r.exec(`INSERT INTO sent (mailbox, at, messages, recipients) VALUES (?, ?, 1, ?)
			ON CONFLICT DO UPDATE SET messages = messages + 1, recipients = recipients + excluded.recipients`,
			op.Mailbox, op.At.Unix(), op.Recipients)
		return err
	}, nil
}

func purgeSent(op *storage.PurgeSent) change {
	return func(r *run) error {
		n, err := r.affected("DELETE FROM sent WHERE mailbox = ?1 AND at IN (SELECT at FROM sent WHERE mailbox = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
			op.Mailbox, op.Before.Unix(), maxPurgedSent)
		r.after(func() { op.Purged = int(n) })
		return err
	}
}

// Sent implements storage.Sending.
func (s *Store) Sent(ctx context.Context, m storage.MailboxID, from time.Time) ([]storage.SentCount, error) {
	counts, err := all(ctx, s.read, func(row scanner) (c storage.SentCount, err error) {
		var at int64
		err = row.Scan(&at, &c.Messages, &c.Recipients)
		c.At = time.Unix(at, 0).UTC()
		return c, err
	}, "SELECT at, messages, recipients FROM sent WHERE mailbox = ? AND at >= ? ORDER BY at", m, second(from))
	return counts, failed("sqlite.Sent", err)
}

// SentTotals implements storage.Sending.
func (s *Store) SentTotals(ctx context.Context, from time.Time, fn func(storage.SentTotal) error) error {
	for after := storage.MailboxID(0); ; {
		found, err := all(ctx, s.read, func(row scanner) (t storage.SentTotal, err error) {
			var first, last int64
			err = row.Scan(&t.Mailbox, &t.Address, &t.Messages, &t.Recipients, &first, &last)
			t.First, t.Last = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC()
			return t, err
		}, `SELECT s.mailbox, m.address, sum(s.messages), sum(s.recipients), min(s.at), max(s.at)
			FROM sent s JOIN mailboxes m ON m.id = s.mailbox WHERE s.mailbox > ? AND s.at >= ? GROUP BY s.mailbox ORDER BY s.mailbox LIMIT ?`,
			after, second(from), chunk)
		if err != nil {
			return failed("sqlite.SentTotals", err)
		}
		for _, t := range found {
			if err := fn(t); err != nil {
				return err
			}
			after = t.Mailbox
		}
		if len(found) < chunk {
			return nil
		}
	}
}

// second is the first second that is not before an instant; all of them where it is zero.
func second(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
