// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"

	"pecd/storage"
)

func appendRecord(op *storage.AppendRecord) (change, error) {
	rec := op.Record
	if rec.Event == "" {
		return nil, invalid("sqlite.AppendRecord", "record without event")
	}
	return func(r *run) error {
		seq, err := r.insert("INSERT INTO records (at, event, id, mailbox, data) VALUES (?, ?, ?, ?, ?)",
			nanos(rec.At), rec.Event, rec.ID, rec.Mailbox, rec.Data)
		r.after(func() { op.Seq = seq })
		return err
	}, nil
}

func scanRecord(row scanner) (rec storage.Record, err error) {
	var at int64
	err = row.Scan(&rec.Seq, &at, &rec.Event, &rec.ID, &rec.Mailbox, &rec.Data)
	rec.At = instant(at)
	return rec, err
}

// Records implements storage.Log.
func (s *Store) Records(ctx context.Context, from int64, fn func(storage.Record) error) error {
	for {
		recs, err := all(ctx, s.read, scanRecord,
			"SELECT seq, at, event, id, mailbox, data FROM records WHERE seq >= ? ORDER BY seq LIMIT ?", from, chunk)
		if err != nil {
			return failed("sqlite.Records", err)
		}
		for _, rec := range recs {
			if err := fn(rec); err != nil {
				return err
			}
			from = rec.Seq + 1
		}
		if len(recs) < chunk {
			return nil
		}
	}
}
